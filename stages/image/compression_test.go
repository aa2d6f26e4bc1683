package image

import (
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/fastship/fastship/stages/internal/oci"
)

// TestCompression: zstd where its readers are known or it is asked for. The
// layers of somebody else's base stay what they are.
func TestCompression(t *testing.T) {
	memory, base := newCache(t), "oci:"+baseLayout(t, runtime.GOARCH)
	in := bootJar(t, t.TempDir(), time.Now(), map[string]string{"BOOT-INF/lib/big-1.0.jar": library(t, "good")})
	for _, c := range []struct {
		config Config
		want   string
	}{
		{Config{}, oci.MediaTypeLayerZstd},
		{Config{Compression: "auto"}, oci.MediaTypeLayerZstd},
		{Config{Compression: "auto", Pushed: true}, oci.MediaTypeLayerGzip},
		{Config{Compression: "gzip"}, oci.MediaTypeLayerGzip},
		{Config{Compression: "zstd", Pushed: true}, oci.MediaTypeLayerZstd},
		{Config{Compression: "zstd", Jars: "verbatim"}, oci.MediaTypeLayerZstd},
	} {
		c.config.Base, c.config.Layout = base, t.TempDir()
		r := run(t, c.config, memory, in)
		img := read(t, c.config.Layout, r.Out.Digest)
		if err := validImage(img); err != nil {
			t.Errorf("%+v: %v", c.config, err)
		}
		m, err := img.Manifest()
		if err != nil {
			t.Fatal(err)
		}
		for i, l := range m.Layers {
			want := c.want
			if i == 0 {
				want = oci.MediaTypeLayerGzip
			}
			if string(l.MediaType) != want {
				t.Errorf("%+v: layer %d is %s", c.config, i, l.MediaType)
			}
		}
	}
}

// TestBaseCodec: the linked base is compressed as the layers on it are, and
// best where it will be pulled.
func TestBaseCodec(t *testing.T) {
	for _, c := range []Config{{}, {Pushed: true}, {Compression: "gzip"}, {Compression: "zstd", Pushed: true}} {
		if a, b := c.baseCodec(), c.codec(true); a.MediaType != b.MediaType {
			t.Errorf("%+v: base %s, libraries %s", c, a.Name, b.Name)
		}
	}
	pushed := Config{Compression: "zstd", Pushed: true}
	if name := pushed.baseCodec().Name; !strings.Contains(name, "best") {
		t.Errorf("pushed: %s", name)
	}
}
