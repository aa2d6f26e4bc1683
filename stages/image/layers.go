package image

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/fastship/fastship/cache"
	"github.com/fastship/fastship/stages/image/appjar"
	"github.com/fastship/fastship/stages/internal/oci"
)

// home is where the application is in the image.
const home = "app"

// layerFile is a jar of a layer: what the layer's key says of it, and where
// its bytes are.
type layerFile struct {
	Path   string       `json:"path"`
	Digest cache.Digest `json:"digest"`
	size   int64
	open   func() (io.ReadCloser, error)
}

// layerKey names a layer's content: the codec, and each jar's place and
// sha256. Nothing weaker will do. The jar that Maven made has a CRC-32 of
// every library inside, for free; but two builds of one snapshot may agree in
// it, and reading 60 MB for their sha256 takes 40 ms.
func layerKey(codec oci.Codec, files []layerFile) cache.Key {
	return cache.NewKey("image layer", "1").Add("codec", codec.Name).Add("files", files).Key()
}

// codec compresses the application's layers. Jars are compressed already, so
// more than the lightest gzip buys next to nothing.
func codec() oci.Codec { return oci.Gzip(1) }

// planLayers sorts the application's jars into layers, bottom first.
func planLayers(app *appjar.App) (map[string][]layerFile, error) {
	files := map[string][]layerFile{}
	for _, l := range app.Libraries {
		files[l.Layer] = append(files[l.Layer], layerFile{home + "/lib/" + l.Name, l.Digest, l.Size, l.Open})
	}
	// Once to learn its digest, and only if the layer is not there a second
	// time to write it: however large, it is never in memory.
	sum := sha256.New()
	size, err := app.WriteTo(sum)
	if err != nil {
		return nil, err
	}
	files[app.Layer] = append(files[app.Layer], layerFile{home + "/app.jar", cache.FromSum(sum.Sum(nil)), size, pipe(app)})
	for _, f := range files {
		slices.SortFunc(f, func(a, b layerFile) int { return strings.Compare(a.Path, b.Path) })
	}
	return files, nil
}

func pipe(app *appjar.App) func() (io.ReadCloser, error) {
	return func() (io.ReadCloser, error) {
		r, w := io.Pipe()
		go func() {
			_, err := app.WriteTo(w)
			w.CloseWithError(err)
		}()
		return r, nil
	}
}

// makeLayers returns the application's layers in order, from the cache or
// written now, and how many had to be written.
func (s *Step) makeLayers(ctx context.Context, app *appjar.App) ([]oci.Layer, int, error) {
	files, err := planLayers(app)
	if err != nil {
		return nil, 0, err
	}
	layers := make([]oci.Layer, len(app.Layers))
	hits := make([]bool, len(app.Layers))
	group, ctx := errgroup.WithContext(ctx)
	for i, role := range app.Layers {
		group.Go(func() error {
			var err error
			layers[i], _, hits[i], err = cache.Do(ctx, s.deps.Cache, layerKey(codec(), files[role]), func(ctx context.Context) (oci.Layer, []cache.Descriptor, error) {
				l, err := oci.WriteLayer(ctx, s.deps.Cache.Blobs, role, ociFiles(files[role]), codec())
				return l, []cache.Descriptor{l.Descriptor}, err
			})
			layers[i].Descriptor.Name = role // one key, whatever the layer is called
			return err
		})
	}
	err = group.Wait()
	written := 0
	for _, hit := range hits {
		if !hit {
			written++
		}
	}
	return layers, written, err
}

func ociFiles(files []layerFile) []oci.File {
	out := make([]oci.File, len(files))
	for i, f := range files {
		out[i] = oci.File{Path: f.Path, Mode: 0o644, ModTime: modTime(f.Digest), Size: f.size, Open: f.verified}
	}
	return out
}

// modTime gives a jar a time that stands for its content. Class data archives
// know a jar by path, size and time only: with one time for all, an edit that
// keeps the size would run the old class.
func modTime(d cache.Digest) time.Time {
	b, err := hex.DecodeString(d.Hex()[:8])
	if err != nil {
		return oci.Epoch()
	}
	// 30 bits end in 2004: never in the future.
	return oci.Epoch().Add(time.Duration(binary.BigEndian.Uint32(b)>>2) * time.Second)
}

// verified opens the jar and refuses to end it when its bytes are not those
// that the layer's key was made of: somebody writes to it right now.
func (f layerFile) verified() (io.ReadCloser, error) {
	r, err := f.open()
	if err != nil {
		return nil, err
	}
	return &verifier{r, sha256.New(), f}, nil
}

type verifier struct {
	io.ReadCloser
	sum  hash.Hash
	file layerFile
}

func (v *verifier) Read(p []byte) (int, error) {
	n, err := v.ReadCloser.Read(p)
	v.sum.Write(p[:n])
	if err == io.EOF && cache.FromSum(v.sum.Sum(nil)) != v.file.Digest {
		return n, fmt.Errorf("%s changed while it was read", v.file.Path)
	}
	return n, err
}
