package inspect

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"

	"github.com/fastship/fastship/internal/fault"
)

// section is where an archive has a file.
type section struct{ offset, size int64 }

// openArchive opens a docker-archive, an oci-archive, or one that is both, as
// newer docker save writes.
func openArchive(name, file string, o Options) (*Image, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, fault.As(fault.BadInput, err)
	}
	image, err := readArchive(name, f, o)
	if err != nil {
		f.Close()
		return nil, err
	}
	image.close = f.Close
	return image, nil
}

func readArchive(name string, f *os.File, o Options) (*Image, error) {
	sections, err := indexTar(f)
	if err != nil {
		hint := "make it again: it was cut short, or is no archive of an image"
		if magic := make([]byte, 2); readStart(f, magic) && string(magic) == "\x1f\x8b" {
			hint = "unpack it with gunzip first"
		}
		return nil, fault.New(fault.BadInput, hint, "read the archive %s: %w", name, err)
	}
	open := func(file string) (io.ReadCloser, int64, error) {
		s, ok := sections[path.Clean(file)]
		if !ok {
			return nil, 0, fmt.Errorf("%s: %w", file, fs.ErrNotExist)
		}
		return io.NopCloser(io.NewSectionReader(f, s.offset, s.size)), s.size, nil
	}
	_, docker := sections["manifest.json"]
	_, oci := sections["index.json"]
	switch {
	case oci:
		return readLayout(name, open, o)
	case docker:
		return readDocker(name, open)
	}
	return nil, fault.New(fault.BadInput, "name an archive of docker save, or of an OCI layout", "the archive %s holds no image: it has neither manifest.json nor index.json", name)
}

func readStart(f *os.File, b []byte) bool {
	_, err := f.ReadAt(b, 0)
	return err == nil
}

// indexTar lists an archive's files. The tar reader reads whole blocks and
// nothing ahead, so that the file's offset is that of the entry's bytes.
// Docker writes a layer that is there twice as a link.
func indexTar(f *os.File) (map[string]section, error) {
	found, linked := map[string]section{}, map[string]string{}
	for t := tar.NewReader(f); ; {
		h, err := t.Next()
		if errors.Is(err, io.EOF) && len(found) > 0 {
			break
		}
		if errors.Is(err, io.EOF) {
			return nil, errors.New("it is empty")
		}
		if err != nil {
			return nil, err
		}
		name := path.Clean(strings.TrimPrefix(h.Name, "/"))
		switch h.Typeflag {
		case tar.TypeReg:
			offset, err := f.Seek(0, io.SeekCurrent)
			if err != nil {
				return nil, err
			}
			found[name] = section{offset, h.Size}
		case tar.TypeSymlink:
			linked[name] = path.Join(path.Dir(name), h.Linkname)
		case tar.TypeLink:
			linked[name] = path.Clean(h.Linkname)
		}
	}
	for name, target := range linked {
		if s, ok := found[target]; ok {
			found[name] = s
		}
	}
	return found, nil
}

// readDocker reads what docker save has written since 1.10.
func readDocker(name string, open files) (*Image, error) {
	bad := func(err error) error {
		return fault.New(fault.BadInput, "make it again: it was cut short, or changed", "read the image in %s: %w", name, err)
	}
	var manifest []struct {
		Config   string
		RepoTags []string
		Layers   []string
	}
	n, err := readJSON(open, "manifest.json", "", &manifest)
	if err != nil {
		return nil, bad(err)
	}
	if len(manifest) != 1 {
		return nil, fault.New(fault.BadInput, "save one image alone", "the archive %s holds %d images", name, len(manifest))
	}
	image := &Image{Name: name}
	size, err := readJSON(open, manifest[0].Config, "", &image.Config)
	if err != nil {
		return nil, bad(err)
	}
	image.Size = n + size
	for _, file := range manifest[0].Layers {
		r, size, err := open(file)
		if err != nil {
			return nil, bad(err)
		}
		r.Close()
		image.layers = append(image.layers, blob{
			mediaType: string("application/vnd.docker.image.rootfs.diff.tar"), size: size,
			open: func(context.Context) (io.ReadCloser, error) {
				r, _, err := open(file)
				return r, err
			},
		})
	}
	return image, image.checkLayers()
}
