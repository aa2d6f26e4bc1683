package archive

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/google/go-containerregistry/pkg/v1/validate"
	"github.com/klauspost/compress/zstd"
)

// zstdLayer is a layer as this program makes them, its frames following each
// other.
type zstdLayer struct {
	v1.Layer // what it was before
	packed   []byte
}

func packed(t *testing.T, l v1.Layer) v1.Layer {
	t.Helper()
	r, err := l.Uncompressed()
	if err != nil {
		t.Fatal(err)
	}
	plain, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	e, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	half := len(plain) / 2
	return zstdLayer{l, e.EncodeAll(plain[half:], e.EncodeAll(plain[:half], nil))}
}

func (l zstdLayer) Digest() (v1.Hash, error) {
	h, _, err := v1.SHA256(bytes.NewReader(l.packed))
	return h, err
}
func (l zstdLayer) Size() (int64, error) { return int64(len(l.packed)), nil }
func (l zstdLayer) Compressed() (io.ReadCloser, error) {
	return io.NopCloser(bytes.NewReader(l.packed)), nil
}
func (zstdLayer) MediaType() (types.MediaType, error) { return types.OCILayerZStd, nil }

// sample has two gzip layers, one of them twice, and between them one of zstd
// where asked for.
func sample(t *testing.T, withZstd bool) v1.Image {
	t.Helper()
	a, err := random.Layer(100_000, types.OCILayer)
	if err != nil {
		t.Fatal(err)
	}
	b, err := random.Layer(3_000_000, types.OCILayer)
	if err != nil {
		t.Fatal(err)
	}
	if withZstd {
		b = packed(t, b)
	}
	image, err := mutate.AppendLayers(empty.Image, a, b, a)
	if err != nil {
		t.Fatal(err)
	}
	return image
}

func write(t *testing.T, image v1.Image, names ...string) []byte {
	t.Helper()
	p, err := New(image, names, 0)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := p.Write(t.Context(), &b); err != nil {
		t.Fatal(err)
	}
	if !p.Same(bytes.NewReader(b.Bytes())) {
		t.Error("an archive is not the same as itself")
	}
	return b.Bytes()
}

func TestOthersReadIt(t *testing.T) {
	for _, withZstd := range []bool{false, true} {
		image := sample(t, withZstd)
		b := write(t, image, "orders:v1")
		if again := write(t, image, "orders:v1"); !bytes.Equal(again, b) {
			t.Error("the same image gives another archive")
		}
		tag, err := name.NewTag("orders:v1")
		if err != nil {
			t.Fatal(err)
		}
		got, err := tarball.Image(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b)), nil }, &tag)
		if err != nil {
			t.Fatal(err)
		}
		if err := validate.Image(got); err != nil {
			t.Errorf("zstd %v: %v", withZstd, err)
		}
		want, err := image.ConfigName()
		id, gotErr := got.ConfigName()
		if err != nil || gotErr != nil || id != want {
			t.Errorf("config %v, want %v: %v %v", id, want, err, gotErr)
		}
		other, err := New(sample(t, withZstd), nil, 0)
		if err != nil || other.Same(bytes.NewReader(b)) || other.Same(strings.NewReader("no tar")) {
			t.Errorf("another image is the same: %v", err)
		}
	}
}

func TestSkip(t *testing.T) {
	image := sample(t, false)
	p, err := New(image, []string{"x:y"}, 2)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := p.Write(t.Context(), &b); err != nil {
		t.Fatal(err)
	}
	// The third layer is the first again, and has to be there all the same.
	if b.Len() < 100_000 || b.Len() > 200_000 || !p.Same(bytes.NewReader(b.Bytes())) {
		t.Errorf("%d bytes", b.Len())
	}
}

type brokenLayer struct {
	v1.Layer
	text string
	err  error
}

func (l brokenLayer) Compressed() (io.ReadCloser, error) {
	return io.NopCloser(strings.NewReader(l.text)), l.err
}

func TestFaults(t *testing.T) {
	good := static.NewLayer([]byte("12345"), types.OCILayer)
	for want, l := range map[string]v1.Layer{
		"is broken":           brokenLayer{Layer: good, text: "12346"},
		"its 4 bytes are":     brokenLayer{Layer: good, text: "1234"},
		"write too long":      brokenLayer{Layer: good, text: "123456"},
		"nothing there":       brokenLayer{Layer: good, err: errors.New("nothing there")},
		"layer 2 to the arch": brokenLayer{Layer: good, text: "12346"},
	} {
		image, err := mutate.AppendLayers(empty.Image, static.NewLayer([]byte("x"), types.OCILayer), good)
		if err != nil {
			t.Fatal(err)
		}
		p, err := New(image, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		p.layers[1].Layer = l
		if err := p.Write(t.Context(), io.Discard); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	p, err := New(sample(t, true), nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	enough := errors.New("enough")
	if err := p.Write(ctx, &cancelling{func() { cancel(enough) }}); !errors.Is(err, enough) {
		t.Errorf("cancelled: %v", err)
	}
}

// cancelling cancels at the first write.
type cancelling struct{ cancel func() }

func (c *cancelling) Write(p []byte) (int, error) {
	c.cancel()
	return len(p), nil
}
