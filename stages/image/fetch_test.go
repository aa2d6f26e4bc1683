package image

import (
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"

	"github.com/fastship/fastship/cache"
	"github.com/fastship/fastship/internal/fault"
	"github.com/fastship/fastship/runner"
	"github.com/fastship/fastship/stages/internal/oci"
)

// TestPushedBaseIsNotFetched: of an image that is pushed, the base's layers
// stay where they are; one that stays here gets them.
func TestPushedBaseIsNotFetched(t *testing.T) {
	var layers atomic.Int64
	host, _ := baseRegistry(t, func(_ http.ResponseWriter, r *http.Request) bool {
		if strings.Contains(r.URL.Path, "blobs/sha256") {
			layers.Add(1)
		}
		return false
	})
	in := bootJar(t, t.TempDir(), time.Now(), nil)
	deps := Deps{Cache: newCache(t), Keychain: authn.NewMultiKeychain(), State: t.TempDir()}
	c := Config{Base: host + "/base/java:17", Layout: t.TempDir(), Pushed: true}
	pushed, err := New(c, deps).Run(t.Context(), (&told{}).env(), in)
	if err != nil {
		t.Fatal(err)
	}
	if layers.Load() != 1 { // the config
		t.Errorf("%d blobs were read", layers.Load())
	}
	base := pushed.Out.Layers[0]
	if _, err := os.Stat(oci.BlobPath(c.Layout, base.Digest)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the base's layer is in the layout: %v", err)
	}
	if pushed.Out.From != pushed.Out.Base || !strings.Contains(pushed.Out.From, "@sha256:") {
		t.Errorf("from %q", pushed.Out.From)
	}
	again, err := New(c, deps).Run(t.Context(), (&told{}).env(), in)
	if err != nil || again.Status != runner.Cached {
		t.Errorf("the second run: %+v, %v", again, err)
	}

	c.Pushed, c.Compression = false, compressionGzip
	here, err := New(c, deps).Run(t.Context(), (&told{}).env(), in)
	if err != nil || here.Out.Digest != pushed.Out.Digest || here.Out.From != "" || layers.Load() != 2 {
		t.Fatalf("%+v, %v, %d blobs", here, err, layers.Load())
	}
	if err := validImage(read(t, c.Layout, here.Out.Digest)); err != nil {
		t.Error(err)
	}
	// What is here anyway is linked.
	c.Pushed, c.Layout = true, t.TempDir()
	if _, err := New(c, deps).Run(t.Context(), (&told{}).env(), in); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(oci.BlobPath(c.Layout, base.Digest)); err != nil {
		t.Error(err)
	}
}

// TestBaseWithoutItsRegistry: what a name stood for in the last run serves
// when nobody answers, and another name does not.
func TestBaseWithoutItsRegistry(t *testing.T) {
	var down atomic.Bool
	host, _ := baseRegistry(t, func(w http.ResponseWriter, _ *http.Request) bool {
		if down.Load() {
			w.WriteHeader(http.StatusNotImplemented) // out of order, and no reason to try again
		}
		return down.Load()
	})
	in := bootJar(t, t.TempDir(), time.Now(), nil)
	deps := Deps{Cache: newCache(t), Keychain: authn.NewMultiKeychain(), State: t.TempDir()}
	c := Config{Base: host + "/base/java:17", Layout: t.TempDir()}
	first, err := New(c, deps).Run(t.Context(), (&told{}).env(), in)
	if err != nil {
		t.Fatal(err)
	}
	down.Store(true)
	step := New(c, deps)
	if err := step.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	var e told
	away, err := step.Run(t.Context(), e.env(), in)
	if err != nil || away.Out.Digest != first.Out.Digest {
		t.Fatal(away, err)
	}
	if said := fmt.Sprint(e.all); !strings.Contains(said, host+" cannot be reached") {
		t.Error(said)
	}
	c.Base = host + "/base/java:21"
	if err := New(c, deps).Check(t.Context()); fault.ClassOf(err) != fault.Missing {
		t.Errorf("another name: %v", err)
	}
	c.Base, deps.Cache = host+"/base/java:17", newCache(t)
	if err := New(c, deps).Check(t.Context()); fault.ClassOf(err) != fault.Missing {
		t.Errorf("an empty cache: %v", err)
	}
}

// TestBaseByIndexDigest: the digest of an index leads to this platform's image
// without a question once it was asked.
func TestBaseByIndexDigest(t *testing.T) {
	host, requests := baseRegistry(t, nil)
	resp, err := http.Head("http://" + host + "/v2/base/java/manifests/17")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	index, err := cache.ParseDigest(resp.Header.Get("Docker-Content-Digest"))
	if err != nil {
		t.Fatal(err)
	}
	in := bootJar(t, t.TempDir(), time.Now(), nil)
	deps := Deps{Cache: newCache(t), Keychain: authn.NewMultiKeychain()}
	c := Config{Base: host + "/base/java@" + string(index), Layout: t.TempDir()}
	first, err := New(c, deps).Run(t.Context(), (&told{}).env(), in)
	if err != nil || strings.Contains(first.Out.Base, string(index)) {
		t.Fatal(first.Out.Base, err)
	}
	requests.Store(0)
	again, err := New(c, deps).Run(t.Context(), (&told{}).env(), in)
	if err != nil || again.Out.Digest != first.Out.Digest || requests.Load() != 0 {
		t.Errorf("%v, %v, %d requests", again.Out.Base, err, requests.Load())
	}
}
