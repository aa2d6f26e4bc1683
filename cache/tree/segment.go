package tree

import (
	"encoding/binary"
	"fmt"

	"github.com/klauspost/compress/zstd"

	"github.com/fastship/fastship/cache"
)

const (
	segmentMagic   = "FSTREE1\n"
	maxSegment     = 64 << 20 // bytes, stored and decoded
	maxEntries     = 1 << 20
	maxPath        = 1024
	maxNote        = 4096
	maxFile        = 1 << 40
	maxPack        = 64 << 20
	maxFrame       = 4 << 20
	maxSegmentWind = 8 << 20
)

type kind byte

const (
	whole  kind = iota // the blob is one file
	raw                // files one after the other
	framed             // zstd frames, each of files one after the other
)

// blob is a stored object that files lie in.
type blob struct {
	digest cache.Digest
	size   int64
	kind   kind
	frames []frame
}

type frame struct{ off, size, raw int64 }

// location is where a file's bytes are; no blob stands for an empty file.
type location struct {
	blob  *blob
	frame int
	off   int64 // in the blob, or in the decoded frame
}

func (l location) equal(o location) bool {
	if l.blob == nil || o.blob == nil {
		return l.blob == o.blob
	}
	return l.blob.digest == o.blob.digest && l.frame == o.frame && l.off == o.off
}

// of returns the frame that a place in a framed pack is in.
func (l location) of() frame { return l.blob.frames[l.frame] }

// encodeSegment writes sorted entries as a stored segment.
func encodeSegment(entries []Entry) ([]byte, error) {
	b := append(make([]byte, 0, 64<<10+64*len(entries)), segmentMagic...)
	var blobs []*blob
	index := map[cache.Digest]int{}
	for _, e := range entries {
		if e.at.blob == nil {
			continue
		}
		if _, ok := index[e.at.blob.digest]; !ok {
			blobs = append(blobs, e.at.blob)
			index[e.at.blob.digest] = len(blobs)
		}
	}
	b = binary.AppendUvarint(b, uint64(len(blobs)))
	for _, o := range blobs {
		sum, err := sumOf(o.digest)
		if err != nil {
			return nil, err
		}
		b = append(append(b, sum...), byte(o.kind))
		b = binary.AppendUvarint(b, uint64(o.size))
		if o.kind != framed {
			continue
		}
		b = binary.AppendUvarint(b, uint64(len(o.frames)))
		for _, f := range o.frames {
			b = binary.AppendUvarint(binary.AppendUvarint(b, uint64(f.size)), uint64(f.raw))
		}
	}
	b = binary.AppendUvarint(b, uint64(len(entries)))
	last := ""
	for _, e := range entries {
		n := 0
		for n < len(last) && n < len(e.Path) && last[n] == e.Path[n] {
			n++
		}
		b = binary.AppendUvarint(b, uint64(n))
		b = appendString(b, e.Path[n:])
		b = binary.AppendUvarint(b, uint64(e.Size))
		b = binary.AppendUvarint(b, uint64(e.Mode.Perm()))
		sum, err := sumOf(e.Digest)
		if err != nil {
			return nil, err
		}
		b = append(b, sum...)
		b = binary.AppendUvarint(b, uint64(e.Used))
		b = appendString(b, e.Note)
		if last = e.Path; e.at.blob == nil {
			b = append(b, 0)
			continue
		}
		b = binary.AppendUvarint(b, uint64(index[e.at.blob.digest]))
		if e.at.blob.kind == framed {
			b = binary.AppendUvarint(b, uint64(e.at.frame))
		}
		if e.at.blob.kind != whole {
			b = binary.AppendUvarint(b, uint64(e.at.off))
		}
	}
	if len(b) > maxSegment || len(entries) > maxEntries {
		return nil, fmt.Errorf("write a segment of %d entries: it has %d bytes, more than a segment may", len(entries), len(b))
	}
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(1<<20))
	if err != nil {
		return nil, err
	}
	defer enc.Close()
	return enc.EncodeAll(b, nil), nil
}

func appendString(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}
