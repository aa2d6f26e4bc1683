package image

import (
	"archive/tar"
	"archive/zip"
	"fmt"
	"io"
	"iter"
	"math/rand/v2"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
)

// inLayout is a layout's index, and a digest to look up in it.
func inLayout(t testing.TB, at, digest string) (v1.ImageIndex, v1.Hash) {
	t.Helper()
	index, err := layout.ImageIndexFromPath(at)
	if err != nil {
		t.Fatal(err)
	}
	h, err := v1.NewHash(digest)
	if err != nil {
		t.Fatal(err)
	}
	return index, h
}

// topmost is the layer of an image that lies above all others.
const topmost = -1

// filesOf are the entries of one of an image's layers, to be read in turn.
func filesOf(t testing.TB, img v1.Image, layer int) iter.Seq2[*tar.Header, io.Reader] {
	t.Helper()
	layers, err := img.Layers()
	if err != nil {
		t.Fatal(err)
	}
	if layer == topmost {
		layer = len(layers) - 1
	}
	return func(yield func(*tar.Header, io.Reader) bool) {
		t.Helper()
		r, err := layers[layer].Uncompressed()
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		for files := tar.NewReader(r); ; {
			h, err := files.Next()
			if err == io.EOF {
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if !yield(h, files) {
				return
			}
		}
	}
}

// addNoise adds entries of 8 MB that do not compress, mb in all; name has
// their number.
func addNoise(t testing.TB, w *zip.Writer, name string, mb int) {
	t.Helper()
	noise := rand.NewChaCha8([32]byte{1})
	for i := range (mb + 7) / 8 {
		e, err := w.Create(fmt.Sprintf(name, i))
		if err == nil {
			_, err = io.CopyN(e, noise, 8<<20)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}
