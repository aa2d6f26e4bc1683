package oci

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"github.com/fastship/fastship/cache"
)

// Entry is the image, or the index of images, that a layout's index.json
// points at.
type Entry struct {
	Manifest     cache.Descriptor
	OS           string // of an image; empty for an index of several platforms
	Architecture string
	Variant      string
	Annotations  map[string]string
}

// index is the part of OCI's image index that a layout needs.
type index struct {
	SchemaVersion int          `json:"schemaVersion"`
	MediaType     string       `json:"mediaType"`
	Manifests     []indexEntry `json:"manifests"`
}

type indexEntry struct {
	MediaType   string            `json:"mediaType"`
	Digest      cache.Digest      `json:"digest"`
	Size        int64             `json:"size"`
	Platform    *platform         `json:"platform,omitempty"`
	Annotations map[string]string `json:"annotations,omitempty"`
}

type platform struct {
	Architecture string `json:"architecture"`
	OS           string `json:"os"`
	Variant      string `json:"variant,omitempty"`
}

const layoutMarker = `{"imageLayoutVersion":"1.0.0"}`

// WriteLayout makes dir an OCI image layout (image-spec, image-layout.md)
// that holds one image: entry's manifest and blobs, all of them from store. An
// index is one too: its images' manifests are among the blobs.
// Files are hard links to the store's where the file system allows it. A blob
// that is new in dir is verified first; the error for a bad one is
// cache.ErrCorrupt, and the store takes it for missing from then on.
// index.json changes last, by renaming, so that a kill leaves the old image or
// the new one; what only older images used is removed after that.
//
// Several processes may write one layout: they take turns.
func WriteLayout(ctx context.Context, store cache.LocalStore, dir string, entry Entry, blobs []cache.Descriptor) error {
	sums := filepath.Join(dir, "blobs", "sha256")
	if err := os.MkdirAll(sums, 0o755); err != nil {
		return fmt.Errorf("write the image layout: %w", err)
	}
	unlock, err := lockDir(ctx, dir)
	if err != nil {
		return fmt.Errorf("write the image layout: %w", err)
	}
	defer unlock()
	used, err := linkAll(ctx, store, sums, append([]cache.Descriptor{entry.Manifest}, blobs...))
	if err != nil {
		return err
	}
	top := indexEntry{
		MediaType: entry.Manifest.MediaType, Digest: entry.Manifest.Digest, Size: entry.Manifest.Size, Annotations: entry.Annotations,
	}
	if entry.OS != "" {
		top.Platform = &platform{entry.Architecture, entry.OS, entry.Variant}
	}
	content, err := json.Marshal(index{SchemaVersion: 2, MediaType: MediaTypeIndex, Manifests: []indexEntry{top}})
	if err != nil {
		return fmt.Errorf("write the image layout: %w", err)
	}
	if err := keepText(filepath.Join(dir, "oci-layout"), []byte(layoutMarker)); err != nil {
		return fmt.Errorf("write the image layout: %w", err)
	}
	if err := keepText(filepath.Join(dir, "index.json"), content); err != nil {
		return fmt.Errorf("write the image layout: %w", err)
	}
	return sweep(sums, used)
}

// linkAll puts blobs into the layout, side by side, and returns their names.
func linkAll(ctx context.Context, store cache.LocalStore, sums string, blobs []cache.Descriptor) (used map[string]bool, err error) {
	used = map[string]bool{}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(runtime.GOMAXPROCS(0)) // to verify them is to hash them
	for _, d := range blobs {
		if used[d.Digest.Hex()] {
			continue
		}
		used[d.Digest.Hex()] = true
		group.Go(func() error {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			if err := link(ctx, store, sums, d); err != nil {
				return fmt.Errorf("write %s to the image layout: %w", d.Digest, err)
			}
			return nil
		})
	}
	return used, group.Wait()
}

// link puts one blob into the layout, unless it is there.
func link(ctx context.Context, store cache.LocalStore, sums string, d cache.Descriptor) error {
	target := filepath.Join(sums, d.Digest.Hex())
	if info, err := os.Stat(target); err == nil && info.Mode().IsRegular() && info.Size() == d.Size {
		return nil
	}
	if err := verify(ctx, store, d.Digest); err != nil {
		return err
	}
	source, err := store.Path(d.Digest)
	if err != nil {
		return err
	}
	if err := os.Remove(target); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if os.Link(source, target) == nil {
		return nil
	}
	// Another file system, or one without hard links.
	r, err := store.Open(ctx, d.Digest, 0, -1)
	if err != nil {
		return err
	}
	defer r.Close()
	return replace(target, r)
}

// verify reads a blob to its end, which checks its digest.
func verify(ctx context.Context, store cache.LocalStore, d cache.Digest) error {
	r, err := store.Open(ctx, d, 0, -1)
	if err != nil {
		return err
	}
	defer r.Close()
	_, err = io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{r}, make([]byte, 256<<10))
	return err
}

// keepText makes a file hold a text, and leaves one alone that does.
func keepText(path string, text []byte) error {
	if is, err := os.ReadFile(path); err == nil && bytes.Equal(is, text) {
		return nil
	}
	return replace(path, bytes.NewReader(text))
}

// replace writes a file under a temporary name beside it and renames it.
func replace(path string, r io.Reader) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // gone already when it was renamed
	if err := f.Chmod(0o644); err != nil {
		f.Close()
		return err
	}
	if _, err := io.Copy(f, r); err != nil {
		f.Close()
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// sweep removes the blobs that the layout's image does not use, and what a
// killed writer left.
func sweep(sums string, used map[string]bool) error {
	for _, dir := range []string{sums, filepath.Dir(filepath.Dir(sums))} {
		found, err := os.ReadDir(dir)
		if err != nil {
			return fmt.Errorf("clear the image layout: %w", err)
		}
		for _, e := range found {
			stale := strings.HasPrefix(e.Name(), ".new-") || (dir == sums && !used[e.Name()])
			if !stale {
				continue
			}
			if err := os.Remove(filepath.Join(dir, e.Name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return fmt.Errorf("clear the image layout: %w", err)
			}
		}
	}
	return nil
}

// lockDir takes the folder's advisory lock. The kernel drops it with the
// process, however that ends.
func lockDir(ctx context.Context, dir string) (unlock func(), err error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	locked := make(chan error, 1)
	go func() { locked <- unix.Flock(int(f.Fd()), unix.LOCK_EX) }()
	select {
	case err := <-locked:
		if err != nil && !errors.Is(err, unix.ENOTSUP) && !errors.Is(err, unix.ENOLCK) {
			f.Close()
			return nil, fmt.Errorf("lock %s: %w", dir, err)
		}
		return func() { f.Close() }, nil
	case <-ctx.Done():
		go func() { <-locked; f.Close() }() // the call cannot be taken back
		return nil, context.Cause(ctx)
	}
}

// ReadLayout returns the manifest that dir's index.json points at with that
// digest; an empty digest means the only one.
func ReadLayout(dir string, digest cache.Digest) (Entry, error) {
	b, err := os.ReadFile(filepath.Join(dir, "index.json"))
	if err != nil {
		return Entry{}, fmt.Errorf("read the image layout: %w", err)
	}
	var x index
	if err := json.Unmarshal(b, &x); err != nil {
		return Entry{}, fmt.Errorf("read %s: %w", filepath.Join(dir, "index.json"), err)
	}
	for _, m := range x.Manifests {
		if m.Digest != digest && (digest != "" || len(x.Manifests) > 1) {
			continue
		}
		e := Entry{Manifest: cache.Descriptor{MediaType: m.MediaType, Digest: m.Digest, Size: m.Size}, Annotations: m.Annotations}
		if m.Platform != nil {
			e.OS, e.Architecture, e.Variant = m.Platform.OS, m.Platform.Architecture, m.Platform.Variant
		}
		return e, nil
	}
	if digest == "" {
		return Entry{}, fmt.Errorf("the image layout %s has %d images, want one", dir, len(x.Manifests))
	}
	return Entry{}, fmt.Errorf("the image layout %s has no image %s", dir, digest)
}

// BlobPath names the file of a blob in a layout.
func BlobPath(dir string, d cache.Digest) string {
	return filepath.Join(dir, "blobs", "sha256", d.Hex())
}
