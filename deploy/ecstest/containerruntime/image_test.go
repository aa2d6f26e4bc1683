package containerruntime_test

import (
	"bytes"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/fastship/fastship/deploy/ecstest"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/klauspost/compress/zstd"
)

func TestUnpackedLayersAreUsedAgain(t *testing.T) {
	b := newBench(t)
	base := appLayer(t)
	first := b.push(v1.Config{Entrypoint: []string{"/app"}, Env: []string{"EXIT=0"}}, base, layer(t, entry{name: "version", content: "1"}))
	<-b.start(b.runtime, one(first)).task.Done()
	if n := b.requests.blobs(); n != 3 { // configuration and two layers
		t.Errorf("%d blobs were read for the first task", n)
	}
	<-b.start(b.runtime, one(first)).task.Done()
	if n := b.requests.blobs(); n != 1 {
		t.Errorf("%d blobs were read for the same image", n)
	}
	second := b.push(v1.Config{Entrypoint: []string{"/app"}, Env: []string{"EXIT=0"}}, base, layer(t, entry{name: "version", content: "2"}))
	<-b.start(b.runtime, one(second)).task.Done()
	if n := b.requests.blobs(); n != 2 {
		t.Errorf("%d blobs were read for an image with one other layer", n)
	}
}

func TestFailedToStart(t *testing.T) {
	b := newBench(t)
	foreign := "amd64"
	if runtime.GOARCH == foreign {
		foreign = "arm64"
	}
	elf := layer(t, entry{name: "app", content: "\x7fELF for another machine"})
	index := mutate.AppendManifests(empty.Index, mutate.IndexAddendum{
		Add:        empty.Image,
		Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: foreign}},
	})
	indexRef, err := name.NewTag(b.registry+"/web:index", name.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.WriteIndex(indexRef, index); err != nil {
		t.Fatal(err)
	}
	missing := b.registry + "/web@sha256:" + strings.Repeat("0", 64)
	closed := httptest.NewServer(nil)
	closed.Close()
	for name, test := range map[string]struct{ image, want string }{
		"missing":       {missing, "CannotPullContainerError: failed to resolve ref " + missing + ": not found"},
		"no registry":   {strings.TrimPrefix(closed.URL, "http://") + "/web:1", "CannotPullContainerError: failed to pull"},
		"bad reference": {"Not A Reference", "CannotPullContainerError: invalid reference format"},
		"platform":      {indexRef.String(), "CannotPullContainerError: image Manifest does not contain descriptor matching platform 'linux/" + runtime.GOARCH},
		"foreign":       {b.pushFor(foreign, v1.Config{Entrypoint: []string{"/app"}}, elf), "CannotStartContainerError: exec /app: exec format error: the image is for linux/" + foreign},
		"no program":    {b.push(v1.Config{}, elf), "CannotStartContainerError: no command specified"},
		"no such file":  {b.push(v1.Config{Entrypoint: []string{"java"}}, elf), "CannotStartContainerError: exec java: executable file not found in $PATH"},
		"no such user":  {b.push(v1.Config{Entrypoint: []string{"/app"}, User: "ghost"}, elf), "CannotStartContainerError: run a container: unable to find user ghost"},
	} {
		t.Run(name, func(t *testing.T) {
			b := &bench{t, b.dir, b.runtime, b.registry, b.requests}
			s := b.start(b.runtime, one(test.image))
			<-s.task.Done()
			e, ok := s.all()[len(s.all())-1].(ecstest.FailedToStart)
			if !ok || e.Container != "web" || !strings.HasPrefix(e.Reason, test.want) {
				t.Errorf("%+v", s.all())
			}
		})
	}
}

func TestWhiteoutsAndCompression(t *testing.T) {
	b := newBench(t)
	program, err := app()
	if err != nil {
		t.Fatal(err)
	}
	var compressed bytes.Buffer
	z, err := zstd.NewWriter(&compressed)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := z.Write(layerTar(t, entry{name: "bin/app", content: string(program)}, entry{name: "gone/file", content: "x"}, entry{name: "opaque/old", content: "x"}, entry{name: "lib", link: "/usr/lib"})); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	zst := zstdLayer{static.NewLayer(compressed.Bytes(), types.OCILayerZStd), layerTar(t, entry{name: "bin/app", content: string(program)}, entry{name: "gone/file", content: "x"}, entry{name: "opaque/old", content: "x"}, entry{name: "lib", link: "/usr/lib"})}
	image := b.push(v1.Config{Entrypoint: []string{"/usr/lib/run"}, Env: []string{"EXIT=0"}}, zst,
		layer(t, entry{name: "opaque/new", content: "x"}, entry{name: "opaque/.wh..wh..opq"}, entry{name: ".wh.gone"}, entry{name: "lib/run", hard: "bin/app"}),
		layer(t, entry{name: "top", content: "x"}))
	s := b.start(b.runtime, one(image))
	<-s.task.Done()
	if e := wait(b, s, anything[ecstest.Exited]); e.Code != 0 {
		t.Errorf("%+v %q", e, b.runtime.Logs(s.id, "web"))
	}
	joined, err := filepath.Glob(filepath.Join(b.dir, "cache/expanded/*/tree/root/usr/lib/run"))
	if err != nil || len(joined) != 1 {
		t.Fatal(joined, err)
	}
	tree := filepath.Join(filepath.Dir(joined[0]), "../..")
	for path, there := range map[string]bool{"bin/app": true, "gone": false, "opaque/old": false, "opaque/new": true, "top": false} {
		if _, err := os.Stat(filepath.Join(tree, path)); (err == nil) != there {
			t.Errorf("%s: %v", path, err)
		}
	}
}

// zstdLayer is a static layer that knows its content's digest.
type zstdLayer struct {
	v1.Layer
	plain []byte
}

func (l zstdLayer) DiffID() (v1.Hash, error) {
	h, _, err := v1.SHA256(bytes.NewReader(l.plain))
	return h, err
}

func TestManyLayersAreJoined(t *testing.T) {
	b := newBench(t)
	layers := []v1.Layer{appLayer(t)}
	for i := range 40 {
		layers = append(layers, layer(t, entry{name: fmt.Sprintf("layers/%d", i), content: "x"}))
	}
	s := b.start(b.runtime, one(b.push(v1.Config{Entrypoint: []string{"/app"}, Env: []string{"EXIT=0"}}, layers...)))
	<-s.task.Done()
	if e := wait(b, s, anything[ecstest.Exited]); e.Code != 0 {
		t.Errorf("%+v", e)
	}
}

func TestLayerThatIsNotWhatItsConfigurationSays(t *testing.T) {
	b := newBench(t)
	lying := zstdLayer{static.NewLayer(layerTar(t, entry{name: "app", content: "one"}), types.OCIUncompressedLayer), []byte("another")}
	s := b.start(b.runtime, one(b.push(v1.Config{Entrypoint: []string{"/app"}}, lying)))
	<-s.task.Done()
	e, ok := s.all()[len(s.all())-1].(ecstest.FailedToStart)
	if !ok || !strings.Contains(e.Reason, "the image's configuration says") {
		t.Errorf("%+v", s.all())
	}
}
