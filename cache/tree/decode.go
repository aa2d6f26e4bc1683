package tree

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"

	"github.com/klauspost/compress/zstd"

	"github.com/fastship/fastship/cache"
)

// decodeSegment reads a stored segment, which may come from an enemy: what
// it claims is checked before anything is allocated for it.
func decodeSegment(stored []byte) ([]Entry, error) {
	dec, err := zstd.NewReader(bytes.NewReader(stored), zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxSegment), zstd.WithDecoderMaxWindow(maxSegmentWind))
	if err != nil {
		return nil, fmt.Errorf("read a segment: %w", err)
	}
	defer dec.Close()
	b, err := io.ReadAll(io.LimitReader(dec, maxSegment+1))
	if err != nil {
		return nil, fmt.Errorf("read a segment: %w: %w", err, cache.ErrCorrupt)
	}
	if len(b) > maxSegment {
		return nil, fmt.Errorf("read a segment: more than %d bytes: %w", maxSegment, cache.ErrCorrupt)
	}
	d := &decoder{b: b}
	entries := d.segment()
	if d.err != nil {
		return nil, fmt.Errorf("read a segment: %w: %w", d.err, cache.ErrCorrupt)
	}
	return entries, nil
}

// decoder reads fields until the first error, then zeros.
type decoder struct {
	b   []byte
	err error
}

func (d *decoder) fail(format string, a ...any) {
	if d.err == nil {
		d.err = fmt.Errorf(format, a...)
		d.b = nil
	}
}

func (d *decoder) number(what string, limit uint64) int64 {
	v, n := binary.Uvarint(d.b)
	if n <= 0 || v > limit {
		d.fail("%s is cut off or above %d", what, limit)
		return 0
	}
	d.b = d.b[n:]
	return int64(v)
}

func (d *decoder) take(what string, n int64) []byte {
	if n > int64(len(d.b)) {
		d.fail("%s is cut off", what)
		return nil
	}
	v := d.b[:n]
	d.b = d.b[n:]
	return v
}

func (d *decoder) sum(what string) cache.Digest { return cache.FromSum(d.take(what, 32)) }

func (d *decoder) segment() []Entry {
	if string(d.take("the magic", int64(len(segmentMagic)))) != segmentMagic {
		d.fail("no segment of this format")
	}
	blobs := make([]*blob, 0, 16)
	seen := map[cache.Digest]bool{}
	for n := d.number("the number of blobs", maxEntries); n > 0 && d.err == nil; n-- {
		o := d.blob()
		if seen[o.digest] {
			d.fail("blob %s is listed twice", o.digest)
		}
		seen[o.digest] = true
		blobs = append(blobs, o)
	}
	var entries []Entry
	last := ""
	for n := d.number("the number of entries", maxEntries); n > 0 && d.err == nil; n-- {
		e := d.entry(last, blobs)
		if d.err == nil && e.Path <= last {
			d.fail("%q follows %q", e.Path, last)
		}
		last = e.Path
		entries = append(entries, e)
	}
	if len(d.b) > 0 {
		d.fail("%d bytes follow the last entry", len(d.b))
	}
	if d.err != nil {
		return nil
	}
	eachClash(entries, func(file string) { d.fail("%q is a file and a directory", file) })
	d.overlaps(entries)
	return entries
}

func (d *decoder) blob() *blob {
	o := &blob{digest: d.sum("a blob's digest")}
	if k := d.take("a blob's kind", 1); len(k) == 1 {
		o.kind = kind(k[0])
	}
	limit := uint64(maxPack)
	if o.kind == whole {
		limit = maxFile
	}
	o.size = d.number("a blob's size", limit)
	if o.kind > framed {
		d.fail("blob kind %d is unknown", o.kind)
	}
	if o.kind != framed {
		return o
	}
	var off int64
	for n := d.number("the number of frames", maxPack); n > 0 && d.err == nil; n-- {
		f := frame{off, d.number("a frame's size", maxPack), d.number("a frame's decoded size", maxFrame)}
		off += f.size
		if off > o.size {
			d.fail("the frames of %s have more bytes than it", o.digest)
		}
		o.frames = append(o.frames, f)
	}
	if off != o.size {
		d.fail("the frames of %s have %d bytes, not its %d", o.digest, off, o.size)
	}
	return o
}

func (d *decoder) entry(last string, blobs []*blob) Entry {
	shared := d.number("a shared prefix", uint64(len(last)))
	rest := d.take("a path", d.number("a path's length", maxPath))
	e := Entry{Path: last[:shared] + string(rest)}
	e.Size = d.number("a size", maxFile)
	e.Mode = fs.FileMode(d.number("a mode", 0o777))
	e.Digest = d.sum("a digest")
	e.Used = Day(d.number("a day", 1<<24))
	e.Note = string(d.take("a note", d.number("a note's length", maxNote)))
	at := d.number("a blob's index", uint64(len(blobs)))
	if d.err != nil {
		return e
	}
	if err := CheckPath(e.Path); err != nil {
		d.fail("%w", err)
		return e
	}
	if at == 0 {
		if e.Size != 0 || e.Digest != cache.Sum(nil) {
			d.fail("%q has bytes and no blob", e.Path)
		}
		return e
	}
	o := blobs[at-1]
	e.at.blob = o
	within := o.size
	switch o.kind {
	case whole:
		if o.size != e.Size || o.digest != e.Digest {
			d.fail("%q is not the blob %s", e.Path, o.digest)
		}
		return e
	case framed:
		if len(o.frames) == 0 {
			d.fail("%q lies in a pack without frames", e.Path)
			return e
		}
		e.at.frame = int(d.number("a frame's index", uint64(len(o.frames)-1)))
		within = o.frames[e.at.frame].raw
	}
	e.at.off = d.number("an offset", maxPack)
	if e.at.off+e.Size > within {
		d.fail("%q ends outside its pack", e.Path)
	}
	return e
}

// overlaps refuses files of a pack that share a part of their bytes: equal
// files may share all of them.
func (d *decoder) overlaps(entries []Entry) {
	var in []Entry
	for _, e := range entries {
		if e.at.blob != nil && e.at.blob.kind != whole && e.Size > 0 {
			in = append(in, e)
		}
	}
	slices.SortFunc(in, byPlace)
	for i := 1; i < len(in); i++ {
		a, b := in[i-1], in[i]
		if a.at.blob != b.at.blob || a.at.frame != b.at.frame || a.at.off+a.Size <= b.at.off {
			continue
		}
		if a.at.off != b.at.off || a.Size != b.Size || a.Digest != b.Digest {
			d.fail("%q and %q overlap", a.Path, b.Path)
		}
	}
}

func byPlace(a, b Entry) int {
	if c := strings.Compare(string(a.at.blob.digest), string(b.at.blob.digest)); c != 0 {
		return c
	}
	if a.at.frame != b.at.frame {
		return a.at.frame - b.at.frame
	}
	return int(a.at.off - b.at.off)
}
