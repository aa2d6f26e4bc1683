package maven

import (
	"archive/zip"
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/fastship/fastship/cache"
)

// What a job made is kept in few blobs, so that a small change is a small one
// to keep and to send: each large library inside a Spring Boot jar by itself,
// or beside a jar by itself, as the repository's tree keeps it too; a jar's
// small libraries together, and so those beside one; and all the rest, test
// reports and the jars' own classes, in one.

// piece is a range of one of the job's blobs.
type piece struct {
	Blob int   `json:"blob"` // its place among the action's
	Off  int64 `json:"off"`
	Len  int64 `json:"len"`
}

// ownBlob is the size from which a library is a blob by itself, as in
// cache/tree; a smallest one is not worth a region.
const (
	ownBlob     = 512 << 10
	leastRegion = 4 << 10
)

// region is a part of a file.
type region struct {
	off, len int64
	library  bool
}

// regions parts a file into the libraries that lie in it uncompressed and what
// is between them. What is no such jar is one region.
func regions(file *os.File, size int64) []region {
	whole := []region{{0, size, false}}
	archive, err := zip.NewReader(file, size)
	if err != nil {
		return whole
	}
	var libraries []region
	for _, f := range archive.File {
		if f.Method != zip.Store || !strings.HasSuffix(f.Name, ".jar") || f.CompressedSize64 < leastRegion {
			continue
		}
		off, err := f.DataOffset()
		if err != nil {
			return whole
		}
		libraries = append(libraries, region{off, int64(f.CompressedSize64), true})
	}
	slices.SortFunc(libraries, func(a, b region) int { return cmp.Compare(a.off, b.off) })
	var all []region
	at := int64(0)
	for _, l := range libraries {
		if l.off < at || l.len > size-l.off {
			return whole // overlapping, or beyond the end: no honest jar
		}
		if l.off > at {
			all = append(all, region{at, l.off - at, false})
		}
		all, at = append(all, l), l.off+l.len
	}
	if at < size || size == 0 {
		all = append(all, region{at, size - at, false})
	}
	return all
}

// packer makes the blobs of a job's files.
type packer struct {
	store cache.LocalStore
	blobs []cache.Descriptor // of libraries; the last one, added by finish, is the rest
	known map[cache.Digest]int

	small group // libraries that lie in files of their own

	rest    sections
	restSum hash.Hash
	restLen int64
	restOf  []*piece // pieces whose blob is the rest
}

func newPacker(store cache.LocalStore) *packer {
	return &packer{store: store, known: map[cache.Digest]int{}, restSum: sha256.New(), small: newGroup()}
}

// group is small libraries that become one blob.
type group struct {
	pieces   []*piece
	sections sections
	sum      hash.Hash
	len      int64
}

func newGroup() group { return group{sum: sha256.New()} }

func (g *group) add(at *piece, of section) hash.Hash {
	at.Off = g.len
	g.pieces, g.sections, g.len = append(g.pieces, at), append(g.sections, of), g.len+at.Len
	return g.sum
}

// keepGroup keeps a group's blob, unless it is empty.
func (p *packer) keepGroup(ctx context.Context, g group) error {
	if len(g.pieces) == 0 {
		return nil
	}
	n, err := p.keep(ctx, g.sum, g.sections, g.len)
	for _, at := range g.pieces {
		at.Blob = n
	}
	return err
}

// add reads a file once and keeps its libraries, unless they are kept already.
// The file may be a library itself.
func (p *packer) add(ctx context.Context, path string, library bool) ([]*piece, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	var pieces []*piece
	inside := newGroup()
	parts := []region{{0, info.Size(), true}}
	small := &p.small
	if !library {
		parts, small = regions(file, info.Size()), &inside
	}
	for _, r := range parts {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		at := &piece{Len: r.len}
		pieces = append(pieces, at)
		section := section{path: path, off: r.off, len: r.len}
		switch {
		case !r.library:
			at.Off = p.restLen
			p.restOf, p.rest, p.restLen = append(p.restOf, at), append(p.rest, section), p.restLen+r.len
			err = sum(p.restSum, file, r)
		case r.len < ownBlob:
			err = sum(small.add(at, section), file, r)
		default:
			own := sha256.New()
			if err = sum(own, file, r); err == nil {
				at.Blob, err = p.keep(ctx, own, sections{section}, r.len)
			}
		}
		if err != nil {
			return nil, err
		}
	}
	return pieces, p.keepGroup(ctx, inside)
}

// addText keeps a text that is in no file.
func (p *packer) addText(text []byte) []*piece {
	at := &piece{Off: p.restLen, Len: int64(len(text))}
	p.restSum.Write(text)
	p.restOf, p.rest, p.restLen = append(p.restOf, at), append(p.rest, section{text: text}), p.restLen+at.Len
	return []*piece{at}
}

func sum(h hash.Hash, file io.ReaderAt, r region) error {
	n, err := io.CopyBuffer(h, struct{ io.Reader }{io.NewSectionReader(file, r.off, r.len)}, make([]byte, 128<<10))
	if err == nil && n != r.len {
		err = io.ErrUnexpectedEOF
	}
	return err
}

// keep puts a blob into the store, unless it is there, and returns its place.
func (p *packer) keep(ctx context.Context, h hash.Hash, of sections, size int64) (int, error) {
	d := cache.Descriptor{Digest: cache.FromSum(h.Sum(nil)), Size: size}
	if n, ok := p.known[d.Digest]; ok {
		return n, nil
	}
	if info, err := p.store.Stat(ctx, d.Digest); err != nil || info.Size != size {
		r := of.open()
		defer r.Close()
		if err := p.store.Put(ctx, d.Digest, size, r); err != nil {
			return 0, err
		}
	}
	n := len(p.blobs)
	p.known[d.Digest], p.blobs = n, append(p.blobs, d)
	return n, nil
}

// finish keeps the rest. It returns all blobs.
func (p *packer) finish(ctx context.Context) ([]cache.Descriptor, error) {
	if err := p.keepGroup(ctx, p.small); err != nil {
		return nil, err
	}
	if len(p.restOf) == 0 {
		return p.blobs, nil
	}
	n, err := p.keep(ctx, p.restSum, p.rest, p.restLen)
	for _, at := range p.restOf {
		at.Blob = n
	}
	return p.blobs, err
}

// section is a part of a file by its path, or a text.
type section struct {
	path     string // empty for a text
	off, len int64
	text     []byte
}

// sections read one after the other, one file open at a time.
type sections []section

func (all sections) open() io.ReadCloser { return &sectionReader{left: all} }

type sectionReader struct {
	left sections
	file *os.File
	part io.Reader
}

// Read implements io.Reader.
func (s *sectionReader) Read(p []byte) (int, error) {
	for {
		if s.part != nil {
			n, err := s.part.Read(p)
			if n > 0 || err != nil && err != io.EOF {
				return n, err
			}
			s.part = nil
		}
		if len(s.left) == 0 {
			return 0, io.EOF
		}
		next := s.left[0]
		s.left = s.left[1:]
		if next.path == "" {
			s.part = bytes.NewReader(next.text)
			continue
		}
		if s.file == nil || s.file.Name() != next.path {
			_ = s.Close() // it was read from alone
			file, err := os.Open(next.path)
			if err != nil {
				return 0, err
			}
			s.file = file
		}
		s.part = io.NewSectionReader(s.file, next.off, next.len)
	}
}

// Close implements io.Closer.
func (s *sectionReader) Close() error {
	if s.file == nil {
		return nil
	}
	return s.file.Close()
}

// fetching bounds the blobs that a remote store is asked for at once.
const fetching = 8

// bring has the blobs of pieces on this machine, fetched side by side.
func (s *Step) bring(ctx context.Context, blobs []cache.Descriptor, pieces []*piece) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(fetching)
	asked := map[int]bool{}
	for _, p := range pieces {
		if asked[p.Blob] {
			continue
		}
		asked[p.Blob] = true
		group.Go(func() error {
			r, err := s.deps.Cache.Blobs.Open(ctx, blobs[p.Blob].Digest, 0, 0)
			if err != nil {
				return err
			}
			return r.Close()
		})
	}
	return group.Wait()
}

// assemble writes a file's pieces. When they do not make what was kept, the
// blob that is broken is dropped, so that the build that follows repairs it.
func (s *Step) assemble(ctx context.Context, to io.Writer, f keptFile, blobs []cache.Descriptor) error {
	h := sha256.New()
	buffer := make([]byte, 256<<10)
	for _, p := range f.Pieces {
		r, err := s.deps.Cache.Blobs.Open(ctx, blobs[p.Blob].Digest, p.Off, p.Len)
		if err != nil {
			return err
		}
		_, err = io.CopyBuffer(io.MultiWriter(to, h), struct{ io.Reader }{r}, buffer)
		r.Close()
		if err != nil {
			return err
		}
	}
	if cache.FromSum(h.Sum(nil)) == f.Digest {
		return nil
	}
	err := fmt.Errorf("its pieces do not make it: %w", cache.ErrCorrupt)
	for _, p := range f.Pieces {
		err = errors.Join(err, s.dropBroken(ctx, blobs[p.Blob].Digest))
	}
	return err
}

// dropBroken removes a blob that is not what its name says.
func (s *Step) dropBroken(ctx context.Context, d cache.Digest) error {
	r, err := s.deps.Cache.Blobs.Open(ctx, d, 0, -1)
	if errors.Is(err, cache.ErrNotFound) {
		return nil // dropped already
	}
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, r)
	r.Close()
	if errors.Is(err, cache.ErrCorrupt) {
		return s.deps.Cache.Blobs.Delete(ctx, d)
	}
	return err
}
