package image

import (
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/fastship/fastship/cache"
	"github.com/fastship/fastship/internal/fault"
	"github.com/fastship/fastship/runner"
	"github.com/fastship/fastship/stages/image/extra"
)

// TestFilesAreALayerOfTheirOwn: image.files lie on top of the application, the
// same bytes on every machine, and are read again only when they changed.
func TestFilesAreALayerOfTheirOwn(t *testing.T) {
	memory, base, project := newCache(t), baseLayout(t, here().Architecture), t.TempDir()
	script := filepath.Join(project, "ops", "run.sh")
	write := func(text string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(script), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(script, []byte(text), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	write("#!/one")
	in := bootJar(t, t.TempDir(), time.Unix(1e9, 0), nil)
	c := Config{Base: "oci:" + base, Layout: t.TempDir(), Dir: project, Files: []extra.Files{{From: "ops", Into: "/srv/ops", Owner: "1000:1000"}}}
	state := t.TempDir()
	make := func() runner.Result[Out] {
		t.Helper()
		r, err := New(c, Deps{Cache: memory, State: state}).Run(t.Context(), (&told{}).env(), in)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	first := make().Out
	top := first.Layers[len(first.Layers)-1]
	if top.Name != "files" || first.Layers[len(first.Layers)-2].Name != "application" {
		t.Fatalf("layers %+v", first.Layers)
	}
	image := read(t, c.Layout, first.Digest)
	if err := validImage(image); err != nil {
		t.Fatal(err)
	}
	if got := entries(t, c.Layout, first); !slices.Equal(got, []string{"srv/ -rwxr-xr-x 0 1", "srv/ops/ -rwxr-xr-x 1000 1", "srv/ops/run.sh -rwxr-xr-x 1000 1 #!/one"}) {
		t.Errorf("entries %q", got)
	}

	// Nothing changed: nothing is written.
	if r := make(); r.Status != runner.Cached || r.Out.Digest != first.Digest {
		t.Errorf("the same files: %s %s", r.Status, r.Out.Digest)
	}
	write("#!/two")
	second := make().Out
	if second.Layers[len(second.Layers)-1].Digest == top.Digest || !slices.Equal(second.Layers[:len(second.Layers)-1], first.Layers[:len(first.Layers)-1]) {
		t.Errorf("another script, and the layers are %+v", second.Layers)
	}
	write("#!/one")
	if r := make(); r.Out.Digest != first.Digest {
		t.Errorf("the old script again, and the image is %s", r.Out.Digest)
	}

	// A file whose stamp is known is not read: a book that lies is believed,
	// until the bytes are needed.
	time.Sleep(50 * time.Millisecond) // until the stamp is settled
	make()
	book := filepath.Join(state, "stamps")
	text, err := os.ReadFile(book)
	if err != nil {
		t.Fatal(err)
	}
	lying := strings.Replace(string(text), cache.Sum([]byte("#!/one")).Hex(), cache.Sum([]byte("#!/lie")).Hex(), 1)
	if lying == string(text) {
		t.Fatalf("the book does not know the file:\n%s", text)
	}
	if err := os.WriteFile(book, []byte(lying), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := New(c, Deps{Cache: memory, State: state}).Run(t.Context(), (&told{}).env(), in); err == nil || !strings.Contains(err.Error(), "srv/ops/run.sh changed while it was read") {
		t.Errorf("a file that is not what the book says: %v", err)
	}

	if err := os.Remove(script); err != nil {
		t.Fatal(err)
	}
	_, err = New(c, Deps{Cache: memory}).Run(t.Context(), (&told{}).env(), in)
	if fault.ClassOf(err) != fault.ImageFailed || !strings.Contains(err.Error(), "image.files[0].from: no file in ops") {
		t.Errorf("without the file: %v", err)
	}
	if err := New(c, Deps{Cache: memory}).Check(t.Context()); fault.ClassOf(err) != fault.BadInput {
		t.Errorf("Check without the file: %v", err)
	}
}

// entries tells of the topmost layer's.
func entries(t *testing.T, at string, out Out) []string {
	t.Helper()
	var found []string
	for h, content := range filesOf(t, read(t, at, out.Digest), topmost) {
		b, err := io.ReadAll(content)
		if err != nil {
			t.Fatal(err)
		}
		found = append(found, strings.TrimSpace(strings.Join([]string{h.Name, os.FileMode(h.Mode).String(), strconv.Itoa(h.Uid), strconv.Itoa(int(h.ModTime.Unix())), string(b)}, " ")))
	}
	return found
}
