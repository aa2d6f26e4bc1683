package appjar

import (
	"archive/zip"
	"fmt"
	"io"
	"os"

	"github.com/fastship/fastship/internal/zipfs"
)

// onDisk is the library that lies in a file of its own. Its name is not set.
func (a *App) onDisk(file string) (Library, error) {
	info, err := os.Stat(file)
	if err != nil {
		return Library{}, err
	}
	l := Library{
		Size: info.Size(),
		Open: func() (io.ReadCloser, error) { return os.Open(file) },
		Archive: func() (*zip.Reader, io.Closer, error) {
			f, err := os.Open(file)
			if err != nil {
				return nil, nil, err
			}
			z, err := zip.NewReader(zipfs.Ahead(f), info.Size())
			if err != nil {
				f.Close()
				return nil, nil, fmt.Errorf("open %s: %w", file, err)
			}
			return z, f, nil
		},
		Content: func() (io.ReaderAt, io.Closer, error) {
			f, err := os.Open(file)
			return f, f, err
		},
	}
	if a.options.Digest == nil {
		return l, nil
	}
	d, err := a.options.Digest(file)
	l.Digest, l.Size = d.Digest, d.Size
	return l, err
}
