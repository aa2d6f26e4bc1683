package containerruntime

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/fastship/fastship/cache"
	"github.com/fastship/fastship/internal/unpack"
	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// maxTrees bounds how many trees one root is made of: an overlay mount names
// them all on one page.
const maxTrees = 16

// A layer's tree in the cache is a directory with either of these in it.
const (
	rootDir      = "root"      // the files
	whiteoutMark = "whiteouts" // none: the layer takes files away, so it only makes sense on top of others
)

// trees returns directories that, the lowest first, make the image's root.
// Each layer is unpacked once and kept by its digest; layers up to the last
// one that takes files away are unpacked together, onto each other, and kept
// by the digests of all. release lets the cache evict them again.
func (r *Runtime) trees(ctx context.Context, image v1.Image) (dirs []string, release func(), err error) {
	layers, err := image.Layers()
	if err != nil {
		return nil, nil, err
	}
	config, err := image.ConfigFile()
	if err != nil {
		return nil, nil, err
	}
	if len(config.RootFS.DiffIDs) != len(layers) {
		return nil, nil, fmt.Errorf("the image has %d layers and %d diff ids", len(layers), len(config.RootFS.DiffIDs))
	}
	var releases []func()
	release = func() {
		for _, f := range releases {
			f()
		}
	}
	var upper []string // the highest first
	together := 0      // how many layers, from the lowest on, go into one tree
	for i := len(layers) - 1; i >= 0; i-- {
		if len(upper) == maxTrees-1 {
			together = i + 1
			break
		}
		dir, done, err := r.layerTree(ctx, layers[i], config.RootFS.DiffIDs[i])
		if err != nil {
			release()
			return nil, nil, err
		}
		releases = append(releases, done)
		if _, err := os.Stat(filepath.Join(dir, whiteoutMark)); err == nil {
			together = i + 1
			break
		}
		upper = append(upper, filepath.Join(dir, rootDir))
	}
	if together > 0 {
		dir, done, err := r.joinedTree(ctx, layers[:together], config.RootFS.DiffIDs)
		if err != nil {
			release()
			return nil, nil, err
		}
		releases = append(releases, done)
		dirs = append(dirs, filepath.Join(dir, rootDir))
	}
	for i := len(upper) - 1; i >= 0; i-- {
		dirs = append(dirs, upper[i])
	}
	return dirs, release, nil
}

// treeKey names a tree in the cache by what it is made of. Root keeps owners,
// others cannot, so that their trees differ.
func treeKey(kind string, digests ...string) cache.Digest {
	owners := "mapped"
	if os.Geteuid() == 0 {
		owners = "kept"
	}
	return cache.Sum([]byte(fmt.Sprintf("container tree v1 %s, owners %s\n%s\n", kind, owners, strings.Join(digests, "\n"))))
}

func (r *Runtime) layerTree(ctx context.Context, layer v1.Layer, diffID v1.Hash) (string, func(), error) {
	digest, err := layer.Digest()
	if err != nil {
		return "", nil, err
	}
	return r.options.Cache.Expanded(ctx, treeKey("layer", digest.String()), func(dir string) error {
		err := inRoot(dir, func(root *os.Root) error {
			return unpackLayer(ctx, root, layer, diffID, false)
		})
		if !errors.Is(err, unpack.ErrWhiteout) {
			return err
		}
		if err := os.RemoveAll(filepath.Join(dir, rootDir)); err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(dir, whiteoutMark), nil, 0o644)
	})
}

func (r *Runtime) joinedTree(ctx context.Context, layers []v1.Layer, diffIDs []v1.Hash) (string, func(), error) {
	var digests []string
	for _, l := range layers {
		digest, err := l.Digest()
		if err != nil {
			return "", nil, err
		}
		digests = append(digests, digest.String())
	}
	return r.options.Cache.Expanded(ctx, treeKey("layers", digests...), func(dir string) error {
		return inRoot(dir, func(root *os.Root) error {
			for i, l := range layers {
				if err := unpackLayer(ctx, root, l, diffIDs[i], true); err != nil {
					return err
				}
			}
			return nil
		})
	})
}

// inRoot makes dir's root directory and runs f in it.
func inRoot(dir string, f func(*os.Root) error) error {
	path := filepath.Join(dir, rootDir)
	if err := os.Mkdir(path, 0o755); err != nil {
		return err
	}
	if err := os.Chmod(path, 0o755); err != nil { // whatever the umask
		return err
	}
	root, err := os.OpenRoot(path)
	if err != nil {
		return err
	}
	defer root.Close()
	return f(root)
}

// unpackLayer reads a layer to its end, which verifies its digest, and
// verifies its diff id.
func unpackLayer(ctx context.Context, root *os.Root, layer v1.Layer, diffID v1.Hash, onto bool) error {
	digest, err := layer.Digest()
	if err != nil {
		return err
	}
	blob, err := layer.Compressed()
	if err != nil {
		return fmt.Errorf("read layer %s: %w", digest, err)
	}
	defer blob.Close()
	compressed := withContext(ctx, blob)
	plain, done, err := unpack.Decompress(compressed)
	if err != nil {
		return fmt.Errorf("decompress layer %s: %w", digest, err)
	}
	defer done()
	sum := sha256.New()
	content := io.TeeReader(plain, sum)
	err = unpack.New(root, onto).Unpack(content)
	if err == nil {
		_, err = io.Copy(io.Discard, content) // what pads the tar counts
	}
	if err == nil {
		_, err = io.Copy(io.Discard, compressed) // its end is where the digest is checked
	}
	if err != nil {
		return fmt.Errorf("unpack layer %s: %w", digest, err)
	}
	if got := cache.FromSum(sum.Sum(nil)); string(got) != diffID.String() {
		return fmt.Errorf("unpack layer %s: its content is %s, the image's configuration says %s", digest, got, diffID)
	}
	return nil
}

// withContext ends reading when ctx does: a pull is broken off by that.
func withContext(ctx context.Context, r io.Reader) io.Reader {
	return readerFunc(func(p []byte) (int, error) {
		if ctx.Err() != nil {
			return 0, context.Cause(ctx)
		}
		return r.Read(p)
	})
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }
