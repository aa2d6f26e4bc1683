package push

import (
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/v1/validate"

	"github.com/fastship/fastship/internal/fault"
	"github.com/fastship/fastship/stages/internal/oci"
)

// TestBaseIsStreamed pushes an image whose base lies in another registry, and
// not in the layout: it is read there once, and not at all when the target has
// it.
func TestBaseIsStreamed(t *testing.T) {
	there, here := newServer(t), newServer(t)
	base := random(300_000)
	if _, err := New(Config{Repository: there.host() + "/base"}, anonymous()).Run(t.Context(), (&events{}).env(), makeImage(t, t.TempDir(), base)); err != nil {
		t.Fatal(err)
	}
	for i, want := range []int{1, 0} {
		in := makeImage(t, t.TempDir(), base, random(100+i))
		image, err := readImage(in.Layout, in.Digest)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Remove(oci.BlobPath(in.Layout, image.blobs[0].Digest)); err != nil {
			t.Fatal(err)
		}
		in.Base = there.host() + "/base:any@" + in.Digest
		there.take()
		var e events
		r, err := New(Config{Repository: here.host() + "/x"}, anonymous()).Run(t.Context(), e.env(), in)
		if err != nil || e.last.Done != r.Out.Bytes {
			t.Fatal(err, e.last, r.Out)
		}
		got := there.take()
		if n := len(slices.DeleteFunc(got, func(s string) bool { return s != "GET blobs" })); n != want {
			t.Errorf("push %d read the base %d times, want %d", i, n, want)
		}
		if err := validate.Image(pull(t, here.host()+"/x:"+r.Out.Tags[0])); err != nil {
			t.Error(err)
		}
	}
}

// TestBaseWithOtherBytes: a layer that is not what its digest says reaches no
// tag, and the base's registry is named.
func TestBaseWithOtherBytes(t *testing.T) {
	there, here := newServer(t), newServer(t)
	in := makeImage(t, t.TempDir(), random(300_000))
	image, err := readImage(in.Layout, in.Digest)
	if err != nil {
		t.Fatal(err)
	}
	layer := image.blobs[0]
	if err := os.Remove(oci.BlobPath(in.Layout, layer.Digest)); err != nil {
		t.Fatal(err)
	}
	there.misbehave(func(w http.ResponseWriter, r *http.Request) bool {
		if kind(r.URL.Path) != "blobs" {
			return false
		}
		_, err := w.Write(random(int(layer.Size)))
		return err == nil
	})
	in.Base = there.host() + "/base:1@" + in.Digest
	_, err = New(Config{Repository: here.host() + "/x"}, anonymous()).Run(t.Context(), (&events{}).env(), in)
	if fault.ClassOf(err) != fault.ImageFailed || !strings.Contains(err.Error(), "came from "+there.host()+"/base as other bytes") {
		t.Error(err)
	}
	if slices.Contains(here.take(), "PUT manifests") {
		t.Error("tagged all the same")
	}
}

// TestBaseCannotBeRead: the message and its remedy are about the base's
// registry, though the request to the target failed as well.
func TestBaseCannotBeRead(t *testing.T) {
	there, here := newServer(t), newServer(t)
	in := makeImage(t, t.TempDir(), random(300_000))
	image, err := readImage(in.Layout, in.Digest)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(oci.BlobPath(in.Layout, image.blobs[0].Digest)); err != nil {
		t.Fatal(err)
	}
	in.Base = there.host() + "/base:1@" + in.Digest
	for _, c := range []struct {
		then func()
		want string
	}{
		{func() {
			there.misbehave(func(w http.ResponseWriter, r *http.Request) bool { w.WriteHeader(http.StatusForbidden); return true })
		}, ": refused: "},
		{there.Close, ": nothing answers at " + there.host()},
	} {
		c.then()
		_, err = New(Config{Repository: here.host() + "/x"}, anonymous()).Run(t.Context(), (&events{}).env(), in)
		text := fmt.Sprint(err)
		if fault.ClassOf(err) != fault.ImageFailed || fault.HintOf(err) == "" || !strings.Contains(text, "from "+there.host()+"/base"+c.want) || strings.Contains(text, "answers at "+here.host()) {
			t.Errorf("want %q: %s (%s)", c.want, text, fault.HintOf(err))
		}
	}
}
