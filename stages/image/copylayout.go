package image

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/fastship/fastship/internal/fault"
)

// checkLayout wants a folder that is new, empty, or an OCI layout.
func checkLayout(dir string) error {
	entries, err := os.ReadDir(dir)
	entries = slices.DeleteFunc(entries, func(e fs.DirEntry) bool { return strings.HasPrefix(e.Name(), newFile) }) // of one that was killed
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(entries) == 0 {
		return nil
	}
	if err != nil {
		return fault.New(fault.BadInput, "name a folder", "write an OCI layout: %w", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "oci-layout")); err != nil {
		return fault.New(fault.BadInput, "name a folder that is new, empty, or an OCI layout", "write an OCI layout: %s holds something else", dir)
	}
	return nil
}

// newFile begins the names of files that are not whole yet.
const newFile = ".new-"

// copyLayout makes a second layout with the image, its blobs linked where the
// file system allows it. The file that tells a layout comes first, so that one
// which was cut short is known for what it is; index.json comes last, by
// renaming.
func copyLayout(ctx context.Context, from, to string) error {
	blobs := filepath.Join("blobs", "sha256")
	if err := os.MkdirAll(to, 0o755); err != nil {
		return fmt.Errorf("write the OCI layout: %w", err)
	}
	if err := copyFile(filepath.Join(from, "oci-layout"), filepath.Join(to, "oci-layout"), false); err != nil {
		return fmt.Errorf("write the OCI layout: %w", err)
	}
	if err := os.MkdirAll(filepath.Join(to, blobs), 0o755); err != nil {
		return fmt.Errorf("write the OCI layout: %w", err)
	}
	entries, err := os.ReadDir(filepath.Join(from, blobs))
	if err != nil {
		return fmt.Errorf("write the OCI layout: %w", err)
	}
	var files []string
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), ".") {
			files = append(files, filepath.Join(blobs, e.Name()))
		}
	}
	for _, file := range append(files, "index.json") {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err := copyFile(filepath.Join(from, file), filepath.Join(to, file), filepath.Dir(file) == blobs); err != nil {
			return fmt.Errorf("write the OCI layout: %w", err)
		}
	}
	return nil
}

// copyFile makes to hold what from holds. A blob that is there stays, and may
// become a second name of the same file.
func copyFile(from, to string, blob bool) error {
	if blob {
		there, err := os.Stat(to)
		source, sourceErr := os.Stat(from)
		if err == nil && sourceErr == nil && there.Size() == source.Size() || os.Link(from, to) == nil {
			return nil
		}
	}
	r, err := os.Open(from)
	if err != nil {
		return err
	}
	defer r.Close()
	w, err := os.CreateTemp(filepath.Dir(to), newFile+"*")
	if err != nil {
		return err
	}
	defer os.Remove(w.Name()) // gone already when it was renamed
	_, err = io.Copy(w, r)
	if err := errors.Join(err, w.Chmod(0o644), w.Close()); err != nil {
		return err
	}
	return os.Rename(w.Name(), to)
}
