package train

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/fastship/fastship/internal/unpack"
	"github.com/fastship/fastship/stages/internal/oci"
)

// unpack lays the image's layers into one tree: jars have the times there that
// they will have in every container.
func (t *training) unpack(ctx context.Context) error {
	for _, dir := range []string{t.root, t.work} {
		if err := makeDir(dir, 0o755); err != nil {
			return err
		}
	}
	root, err := os.OpenRoot(t.root)
	if err != nil {
		return err
	}
	defer root.Close()
	for _, l := range t.Layers {
		if err := t.unpackLayer(ctx, root, l); err != nil {
			return fmt.Errorf("unpack layer %s: %w", l.Descriptor.Name, err)
		}
	}
	// Whoever the image's user is: the JVM writes its files there.
	return makeDir(filepath.Join(t.work, Folder), 0o777)
}

func (t *training) unpackLayer(ctx context.Context, root *os.Root, l oci.Layer) error {
	blob, err := t.Store.Open(ctx, l.Descriptor.Digest, 0, -1)
	if err != nil {
		return err
	}
	defer blob.Close()
	plain, done, err := unpack.Decompress(contextReader{ctx, blob})
	if err != nil {
		return err
	}
	defer done()
	return unpack.New(root, true).Unpack(plain)
}

// contextReader ends with its context; it lives for one call.
type contextReader struct {
	ctx context.Context
	io.Reader
}

func (r contextReader) Read(p []byte) (int, error) {
	if r.ctx.Err() != nil {
		return 0, context.Cause(r.ctx)
	}
	return r.Reader.Read(p)
}

// makeDir makes dir, of that mode whatever the umask says, and what is above it.
func makeDir(dir string, mode os.FileMode) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	return os.Chmod(dir, mode)
}
