// Package oci writes layers of OCI images: tar → sha256 → compressor → sha256
// → blob, in one pass, the same bytes on every machine.
package oci

import (
	"archive/tar"
	"context"
	"fmt"
	"io"

	"github.com/fastship/fastship/cache"
)

// Layer is a finished layer: a blob in the cache.
type Layer struct {
	Descriptor   cache.Descriptor `json:"descriptor"`   // Name is the layer's role: base, dependencies, …
	DiffID       cache.Digest     `json:"diffId"`       // of the uncompressed tar
	Uncompressed int64            `json:"uncompressed"` // bytes of the tar
}

// WriteLayer makes a layer of files and keeps it in store. Entries are sorted
// by path, missing parent directories are added (0755, 0:0), and nothing of
// the machine gets in: the blob depends on files and codec alone. Each file
// is opened, read and closed once, in path order. Memory is bounded by the
// codec's budget, whatever the layer's size.
//
// Errors name the entry; a file that gives more or fewer bytes than its Size
// is one. Nothing is kept after an error.
func WriteLayer(ctx context.Context, store cache.LocalStore, role string, files []File, codec Codec) (Layer, error) {
	files, err := arrange(files)
	if err != nil {
		return Layer{}, fmt.Errorf("layer %s: %w", role, err)
	}
	blob, err := store.Create(ctx)
	if err != nil {
		return Layer{}, fmt.Errorf("layer %s: %w", role, err)
	}
	defer blob.Abort()
	c, err := newCompressor(ctx, codec, blob, tarSize(files))
	if err != nil {
		return Layer{}, fmt.Errorf("layer %s: %w", role, err)
	}
	if err := writeTar(c, files); err != nil {
		if cause := c.abandon(); cause != nil {
			err = cause
		}
		return Layer{}, fmt.Errorf("layer %s: %w", role, err)
	}
	if err := c.finish(blob); err != nil {
		return Layer{}, fmt.Errorf("layer %s: %w", role, err)
	}
	d, err := blob.Commit()
	if err != nil {
		return Layer{}, fmt.Errorf("layer %s: %w", role, err)
	}
	d.Name, d.MediaType = role, codec.MediaType
	return Layer{Descriptor: d, DiffID: cache.FromSum(c.sum.Sum(nil)), Uncompressed: c.size}, nil
}

// tarSize is about the size of the tar of files: names of more than a header's
// 100 bytes take more.
func tarSize(files []File) int64 {
	const block = 512
	n := int64(2 * block)
	for _, f := range files {
		n += block + (f.Size+block-1)/block*block
	}
	return n
}

func writeTar(c *compressor, files []File) error {
	w := tar.NewWriter(c)
	for _, f := range files {
		if c.ctx.Err() != nil {
			return context.Cause(c.ctx)
		}
		if err := writeEntry(w, f); err != nil {
			return fmt.Errorf("write %s: %w", f.Path, err)
		}
	}
	return w.Close()
}

func writeEntry(w *tar.Writer, f File) error {
	h, err := f.header()
	if err != nil {
		return err
	}
	if err := w.WriteHeader(h); err != nil {
		return err
	}
	if h.Typeflag == tar.TypeReg && f.Write != nil {
		return writeWhole(w, f)
	}
	if h.Typeflag != tar.TypeReg || (f.Open == nil && f.Size == 0) {
		return nil
	}
	if f.Open == nil {
		return fmt.Errorf("%d bytes promised and nothing to read them from", f.Size)
	}
	r, err := f.Open()
	if err != nil {
		return err
	}
	defer r.Close()
	// One byte more than promised is asked for, so that a file that grew is
	// seen too.
	n, err := io.Copy(w, io.LimitReader(r, f.Size))
	if err != nil {
		return err
	}
	if n < f.Size {
		return fmt.Errorf("%d bytes instead of %d: changed while it was read", n, f.Size)
	}
	extra, err := io.CopyN(io.Discard, r, 1)
	if extra > 0 {
		return fmt.Errorf("more than %d bytes: changed while it was read", f.Size)
	}
	if err != io.EOF {
		return err
	}
	return nil
}

// writeWhole is for the entry that writes itself.
func writeWhole(w io.Writer, f File) error {
	sized := &sized{w: w, size: f.Size}
	if err := f.Write(sized); err != nil {
		return err
	}
	if sized.n < f.Size {
		return fmt.Errorf("%d bytes instead of %d: changed while it was read", sized.n, f.Size)
	}
	return nil
}

// sized takes a number of bytes and refuses more.
type sized struct {
	w       io.Writer
	n, size int64
}

func (s *sized) Write(p []byte) (int, error) {
	if s.n+int64(len(p)) > s.size {
		return 0, fmt.Errorf("more than %d bytes: changed while it was read", s.size)
	}
	n, err := s.w.Write(p)
	s.n += int64(n)
	return n, err
}
