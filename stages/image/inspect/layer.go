package inspect

import (
	"archive/tar"
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/fastship/fastship/internal/fault"
)

// Layer is one layer and, once it was read, what is in it.
type Layer struct {
	Role         string   `json:"role"`             // base, dependencies, …; of other makers the command that made it
	Digest       string   `json:"digest,omitempty"` // empty in a docker-archive
	DiffID       string   `json:"diffId"`
	MediaType    string   `json:"mediaType"`
	Bytes        int64    `json:"bytes"`                  // as it is kept and pulled
	Read         bool     `json:"read"`                   // the rest is known
	Uncompressed int64    `json:"uncompressed,omitempty"` // bytes of the tar
	Files        int      `json:"files,omitempty"`
	Folders      int      `json:"folders,omitempty"`
	Links        int      `json:"links,omitempty"`
	Classes      int      `json:"classes,omitempty"` // in jars and beside them
	Deletions    int      `json:"deletions,omitempty"`
	Jars         []Jar    `json:"jars,omitempty"`
	Varying      []string `json:"varying,omitempty"` // what may differ from build to build

	entries map[string]entry // by path
}

// entry is one of a layer's, as far as a comparison needs it.
type entry struct {
	kind   byte // a tar's type flag
	size   int64
	mode   int64
	owner  string
	link   string
	digest string
	jar    *Jar
}

// read fills in what is in a layer. The bytes are checked against digest and
// diff ID; jars up to maxJar are looked into.
func (l *Layer) read(ctx context.Context, b blob) error {
	r, err := b.open(ctx)
	if err != nil {
		return err
	}
	defer r.Close()
	packed, plain := newCounted(r), (*counted)(nil)
	unpacked, done, err := unpack(packed)
	if err == nil {
		plain = newCounted(unpacked)
		err = l.list(ctx, plain)
		if err == nil {
			_, err = io.Copy(io.Discard, plain) // what stands behind the tar's end counts in its digest
		}
		done()
	}
	if err == nil {
		_, err = io.Copy(io.Discard, packed)
	}
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case err != nil:
		return fault.New(fault.BadInput, "", "read layer %s: %w", l.name(), err)
	case b.digest != "" && packed.digest() != b.digest:
		return fault.New(fault.BadInput, "make it again, or fetch it again", "layer %s is broken: its digest is %s", b.digest, packed.digest())
	case plain.digest() != l.DiffID:
		return fault.New(fault.BadInput, "make it again, or fetch it again", "layer %s is broken: its diff ID is %s, and the config says %s", l.name(), plain.digest(), l.DiffID)
	}
	l.Uncompressed, l.Read = plain.n, true
	return nil
}

func (l *Layer) name() string {
	if l.Digest != "" {
		return l.Digest
	}
	return l.DiffID
}

// unpack takes off a layer's compression, known by its first bytes.
func unpack(r io.Reader) (out io.Reader, done func(), err error) {
	b := bufio.NewReaderSize(r, 64<<10)
	head, err := b.Peek(4)
	switch {
	case err != nil && !errors.Is(err, io.EOF):
		return nil, nil, err
	case bytes.HasPrefix(head, []byte{0x1f, 0x8b}):
		z, err := gzip.NewReader(b)
		if err != nil {
			return nil, nil, err
		}
		return z, func() {}, nil
	case bytes.Equal(head, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		z, err := zstd.NewReader(b, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(256<<20))
		if err != nil {
			return nil, nil, err
		}
		return z, z.Close, nil
	}
	return b, func() {}, nil
}

// maxEntries bounds what a hostile layer makes us remember.
const maxEntries = 2_000_000

func (l *Layer) list(ctx context.Context, r io.Reader) error {
	l.entries = map[string]entry{}
	var v variance
	var kept held
	defer kept.close()
	for t := tar.NewReader(r); ; {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if len(l.entries) >= maxEntries {
			return fmt.Errorf("it has more than %d entries", maxEntries)
		}
		name := path.Clean("/" + h.Name)
		v.see(name, h)
		e := entry{kind: h.Typeflag, size: h.Size, mode: h.Mode, owner: fmt.Sprintf("%d:%d", h.Uid, h.Gid), link: h.Linkname}
		switch {
		case strings.HasPrefix(path.Base(name), ".wh."):
			l.Deletions++
		case h.Typeflag == tar.TypeDir:
			l.Folders++
		case h.Typeflag != tar.TypeReg && h.Typeflag != tar.TypeGNUSparse:
			l.Links++
		default:
			l.Files++
			if strings.HasSuffix(name, ".class") {
				l.Classes++
			}
			if sparse(h) {
				e.digest = "sparse" // of any size, out of few bytes: not read
				break
			}
			if e.digest, e.jar, err = readFile(name, h.Size, t, &kept); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
		}
		if e.jar != nil {
			l.Jars = append(l.Jars, *e.jar)
			l.Classes += e.jar.Classes
			v.inJars = append(v.inJars, e.jar.varying...)
		}
		l.entries[name] = e
	}
	l.Varying = v.tell()
	slices.SortFunc(l.Jars, func(a, b Jar) int { return strings.Compare(a.Path, b.Path) })
	return nil
}

// sparse tells of a file whose tar holds but the parts that are not zeros.
func sparse(h *tar.Header) bool {
	if h.Typeflag == tar.TypeGNUSparse {
		return true
	}
	for name := range h.PAXRecords {
		if strings.HasPrefix(name, "GNU.sparse.") {
			return true
		}
	}
	return false
}

// readFile hashes a file, and looks into it when it is a jar.
func readFile(name string, size int64, r io.Reader, kept *held) (digest string, jar *Jar, err error) {
	h := sha256.New()
	if !strings.HasSuffix(name, ".jar") && !strings.HasSuffix(name, ".war") || size > maxJar {
		_, err := io.Copy(h, r)
		return text(h), nil, err
	}
	content, err := kept.keep(io.TeeReader(r, h), size)
	if err != nil {
		return "", nil, err
	}
	jar = lookInto(name, content, size)
	jar.Digest = text(h)
	return jar.Digest, jar, nil
}

func text(h hash.Hash) string { return "sha256:" + hex.EncodeToString(h.Sum(nil)) }

func sum(b []byte) string {
	s := sha256.Sum256(b)
	return "sha256:" + hex.EncodeToString(s[:])
}

// counted hashes and counts what is read through it.
type counted struct {
	r io.Reader
	h hash.Hash
	n int64
}

func newCounted(r io.Reader) *counted { return &counted{r: r, h: sha256.New()} }

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.h.Write(p[:n])
	c.n += int64(n)
	return n, err
}

func (c *counted) digest() string { return text(c.h) }

// variance collects what in a layer may differ from build to build.
type variance struct {
	last      string
	unordered string
	times     map[time.Time]int
	newest    time.Time
	late      string // an entry of that time
	named     map[string]bool
	access    int
	inJars    []string
}

// since is where times begin that a clock has given: those that stand for a
// jar's content end in 2004 (see the image stage's modTime), and zip's own
// constant is 1980.
var since = time.Date(2005, 1, 1, 0, 0, 0, 0, time.UTC)

func (v *variance) see(name string, h *tar.Header) {
	if v.times == nil {
		v.times, v.named = map[time.Time]int{}, map[string]bool{}
	}
	if name < v.last && v.unordered == "" {
		v.unordered = fmt.Sprintf("%s stands behind %s", name, v.last)
	}
	v.last = name
	if h.ModTime.After(since) {
		v.times[h.ModTime]++
		if h.ModTime.After(v.newest) {
			v.newest, v.late = h.ModTime, name
		}
	}
	for _, n := range []string{h.Uname, h.Gname} {
		if n != "" && n != "root" && n != "nonroot" {
			v.named[n] = true
		}
	}
	if !h.AccessTime.IsZero() || !h.ChangeTime.IsZero() {
		v.access++
	}
}

func (v *variance) tell() []string {
	var all []string
	if len(v.times) > 1 {
		n := 0
		for _, count := range v.times {
			n += count
		}
		all = append(all, fmt.Sprintf("times: %d entries have the time of a clock, the latest %s of %s", n, v.newest.UTC().Format(time.RFC3339), v.late))
	}
	if len(v.named) > 0 {
		var names []string
		for n := range v.named {
			names = append(names, n)
		}
		slices.Sort(names)
		all = append(all, "owners: names of the machine that built it: "+strings.Join(names, ", "))
	}
	if v.access > 0 {
		all = append(all, fmt.Sprintf("times: %d entries tell when they were read or changed", v.access))
	}
	if v.unordered != "" {
		all = append(all, "order: "+v.unordered)
	}
	slices.Sort(v.inJars)
	return append(all, v.inJars...)
}
