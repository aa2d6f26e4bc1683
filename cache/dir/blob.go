package dir

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/fastship/fastship/cache"
)

// Open implements cache.BlobStore.
func (s *Store) Open(ctx context.Context, d cache.Digest, off, n int64) (io.ReadCloser, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if off < 0 {
		return nil, fmt.Errorf("open blob %s: negative offset %d", d, off)
	}
	path, _, err := s.find(d)
	if err != nil {
		return nil, err
	}
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("blob %s: %w", d, cache.ErrNotFound)
	}
	if err != nil {
		return nil, fmt.Errorf("open blob %s: %w", d, err)
	}
	info, err := f.Stat() // of the file that is read, for markCorrupt
	if err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("open blob %s: %w", d, err)
	}
	s.use(path, info)
	if off == 0 && n < 0 {
		return &verifier{file: f, sum: sha256.New(), digest: d, found: func() { s.markCorrupt(d, info) }}, nil
	}
	if n < 0 {
		n = max(0, info.Size()-off)
	}
	return struct {
		io.Reader
		io.Closer
	}{io.NewSectionReader(f, off, n), f}, nil
}

// verifier reads a whole blob and compares its digest at the end.
type verifier struct {
	file   *os.File
	sum    hash.Hash
	digest cache.Digest
	found  func() // told of a mismatch
	err    error
}

// Read implements io.Reader.
func (v *verifier) Read(p []byte) (int, error) {
	if v.err != nil {
		return 0, v.err
	}
	n, err := v.file.Read(p)
	v.sum.Write(p[:n])
	if err == io.EOF {
		if got := cache.FromSum(v.sum.Sum(nil)); got != v.digest {
			v.found()
			err = fmt.Errorf("blob %s holds %s: %w", v.digest, got, cache.ErrCorrupt)
		}
	}
	v.err = err
	return n, err
}

// Close implements io.Closer.
func (v *verifier) Close() error { return v.file.Close() }

// Put implements cache.BlobStore.
func (s *Store) Put(ctx context.Context, d cache.Digest, size int64, r io.Reader) error {
	path, info, err := s.find(d)
	if err == nil && info.Size() == size {
		s.use(path, info)
		return ctx.Err()
	}
	if err != nil && !errors.Is(err, cache.ErrNotFound) {
		return err
	}
	w, err := s.create(ctx)
	if err != nil {
		return err
	}
	defer w.Abort()
	// One byte more than promised shows a reader that does not end.
	n, err := io.Copy(w, io.LimitReader(readerFunc(func(p []byte) (int, error) {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		return r.Read(p)
	}), size+1))
	if err != nil {
		return fmt.Errorf("write blob %s: %w", d, err)
	}
	if n != size {
		return fmt.Errorf("write blob %s: got %d bytes or more instead of %d: %w", d, n, size, cache.ErrCorrupt)
	}
	if got := cache.FromSum(w.sum.Sum(nil)); got != d {
		return fmt.Errorf("write blob %s: got %s: %w", d, got, cache.ErrCorrupt)
	}
	_, err = w.Commit()
	return err
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// Create implements cache.LocalStore.
func (s *Store) Create(ctx context.Context) (cache.BlobWriter, error) { return s.create(ctx) }

func (s *Store) create(ctx context.Context) (*writer, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	file, path, err := s.createTmp()
	if err != nil {
		return nil, fmt.Errorf("create a blob: %w", err)
	}
	return &writer{store: s, file: file, path: path, sum: sha256.New()}, nil
}

// writer is a blob that is being written, under tmp.
type writer struct {
	store *Store
	file  io.WriteCloser
	path  string
	sum   hash.Hash
	size  int64
	err   error // the first failed Write
	done  bool
}

var errDone = errors.New("the blob is committed or aborted already")

// Write implements io.Writer.
func (w *writer) Write(p []byte) (int, error) {
	if w.done {
		return 0, errDone
	}
	if w.err != nil {
		return 0, w.err
	}
	n, err := w.file.Write(p)
	w.sum.Write(p[:n])
	w.size += int64(n)
	if err != nil {
		w.err = fmt.Errorf("write a blob: %w", err)
	}
	return n, w.err
}

// Commit implements cache.BlobWriter.
func (w *writer) Commit() (cache.Descriptor, error) {
	switch {
	case w.done:
		return cache.Descriptor{}, errDone
	case w.err != nil:
		return cache.Descriptor{}, w.err
	}
	d := cache.Descriptor{Digest: cache.FromSum(w.sum.Sum(nil)), Size: w.size}
	if path, info, err := w.store.find(d.Digest); err == nil && info.Size() == w.size {
		w.store.use(path, info)
		w.Abort()
		return d, nil
	}
	// The lock, which the open file holds, guards the name in tmp until the
	// blob has its own.
	if err := w.store.place(w.path, filepath.Join(w.store.blobDir(), d.Digest.Hex())); err != nil {
		return cache.Descriptor{}, fmt.Errorf("commit blob %s: %w", d.Digest, err)
	}
	w.done = true
	if err := w.file.Close(); err != nil {
		return cache.Descriptor{}, fmt.Errorf("commit blob %s: %w", d.Digest, err)
	}
	return d, nil
}

// Abort implements cache.BlobWriter.
func (w *writer) Abort() {
	if w.done {
		return
	}
	w.done = true
	_ = w.store.fs.Remove(w.path) // else the next process sweeps it
	_ = w.file.Close()
}
