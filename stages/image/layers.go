package image

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"hash"
	"io"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/fastship/fastship/cache"
	"github.com/fastship/fastship/stages/image/appjar"
	"github.com/fastship/fastship/stages/image/inspect"
	"github.com/fastship/fastship/stages/image/jre"
	"github.com/fastship/fastship/stages/internal/oci"
)

// home is where the application is in the image.
const home = "app"

// parallelLayers are written at once. Each compresses on all processors; a
// second one fills the gaps that its reading and its end leave.
const parallelLayers = 2

// watching is up to how many processors the libraries are looked into while
// they are written. More of them are sooner done when some look while the
// goroutines of the layers, one each, write: at the price of inflating twice.
const watching = 2 * parallelLayers

// layerFile is a file of a layer: what the layer's key says of it, and where
// its bytes are.
type layerFile struct {
	Path   string       `json:"path"`
	Digest cache.Digest `json:"digest"`
	size   int64
	open   func() (io.ReadCloser, error)

	library bool                                   // a jar that may be rewritten
	content func() (io.ReaderAt, io.Closer, error) // of a library
}

// planLayers sorts the application's files into layers, and names these,
// bottom first.
func planLayers(app *appjar.App) (roles []string, _ map[string][]layerFile, err error) {
	files := map[string][]layerFile{}
	for _, l := range app.Libraries {
		files[l.Layer] = append(files[l.Layer], layerFile{
			Path: home + "/lib/" + l.Name, Digest: l.Digest, size: l.Size, open: l.Open, library: !l.Own, content: l.Content,
		})
	}
	for _, f := range app.Files {
		files[f.Layer] = append(files[f.Layer], layerFile{Path: home + "/" + f.Path, Digest: f.Digest, size: f.Size, open: f.Open})
	}
	// Once to learn its digest, and only if the layer is not there a second
	// time to write it: however large, it is never in memory.
	sum := sha256.New()
	size, err := app.WriteTo(sum)
	if err != nil {
		return nil, nil, err
	}
	files[app.Layer] = append(files[app.Layer], layerFile{Path: home + "/app.jar", Digest: cache.FromSum(sum.Sum(nil)), size: size, open: pipe(app)})
	for _, f := range files {
		sortFiles(f)
	}
	return divide(files, app.Layers), files, nil
}

// sortFiles is the order of a layer.
func sortFiles(files []layerFile) {
	slices.SortFunc(files, func(a, b layerFile) int { return strings.Compare(a.Path, b.Path) })
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

// makeLayers fills the application's layers in order, from the cache or
// written now, and returns how many had to be written, ahead or now.
// coming hears of each, and before the first of them is written. watch sees
// the libraries that are.
func (s *Step) makeLayers(ctx context.Context, jar *appjar.App, app *application, ahead *ahead, coming *coming, watch *jre.Watch) (int, error) {
	roles, files, err := planLayers(jar)
	if err != nil {
		return 0, err
	}
	keys := make([]cache.Key, len(roles))
	for i, role := range roles {
		keys[i] = s.layerKey(files[role])
	}
	if ahead.only(keys) {
		coming.sure()
	}
	if s.config.Train != trainNever {
		if app.Launch, err = s.launchOf(ctx, jar, files); err != nil {
			return 0, err
		}
	}
	layers := make([]madeLayer, len(roles))
	hits := make([]bool, len(roles))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(parallelLayers)
	for _, i := range largestFirst(roles, files) {
		role := roles[i]
		group.Go(func() error {
			made := ahead.await(ctx, keys[i])
			var err error
			layers[i], hits[i], err = s.layer(ctx, keys[i], role, files[role], coming.sure, watch)
			hits[i] = hits[i] && !made
			layers[i].Descriptor.Name = role // one key, whatever the layer is called
			if err == nil {
				coming.has(layers[i].Layer)
			}
			return err
		})
	}
	err = group.Wait()
	written := 0
	app.Layers, app.Notes, app.Inputs = nil, nil, map[string][]inspect.Input{}
	for _, role := range roles {
		app.Inputs[role] = inputsOf(files[role])
	}
	for i, hit := range hits {
		if !hit {
			written++
		}
		app.Layers = append(app.Layers, layers[i].Layer)
		app.Notes = append(app.Notes, layers[i].Verbatim...)
	}
	return written, err
}

// layer takes a layer from the cache, or calls sure and writes it. It tells
// whether it was there.
func (s *Step) layer(ctx context.Context, key cache.Key, role string, files []layerFile, sure func(), watch *jre.Watch) (madeLayer, bool, error) {
	l, _, hit, err := cache.Do(ctx, s.deps.Cache, key, func(ctx context.Context) (madeLayer, []cache.Descriptor, error) {
		sure()
		l, err := s.writeLayer(ctx, role, files, watch)
		return l, []cache.Descriptor{l.Descriptor}, err
	})
	return l, hit, err
}

// largestFirst is the order to write layers in, as their indices: the small
// ones fill the gaps that the end of a large one leaves.
func largestFirst(roles []string, files map[string][]layerFile) []int {
	order := make([]int, len(roles))
	sizes := make([]int64, len(roles))
	for i, role := range roles {
		order[i] = i
		for _, f := range files[role] {
			sizes[i] += f.size
		}
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(sizes[b], sizes[a]) })
	return order
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
		return n, v.file.changed()
	}
	return n, err
}
