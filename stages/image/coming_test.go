package image

import (
	"context"
	"runtime"
	"slices"
	"testing"
	"time"
)

// Who makes ready for a new image hears of it once, and only when it is sure.
func TestComing(t *testing.T) {
	base, memory, state := baseLayout(t, runtime.GOARCH), newCache(t), t.TempDir()
	layout := t.TempDir()
	var said []string
	run := func(name string, in In, want ...string) {
		t.Helper()
		said = nil
		s := New(Config{Base: "oci:" + base, Layout: layout, Train: trainNever}, Deps{Cache: memory, State: state, Coming: func(_ context.Context, blobs int) func(context.Context) {
			if blobs != 2 {
				t.Errorf("%s: told of %d blobs, want config and layer", name, blobs)
			}
			said = append(said, "coming")
			return func(context.Context) { said = append(said, "withdrawn") }
		}})
		if _, err := s.Run(t.Context(), (&told{}).env(), in); err != nil && !slices.Contains(want, "withdrawn") {
			t.Error(err)
		}
		if !slices.Equal(said, want) {
			t.Errorf("%s: said %q, want %q", name, said, want)
		}
	}
	first := bootJar(t, t.TempDir(), time.Now(), nil)
	run("a new one", first, "coming")
	run("the same jar", first)
	run("the same content in another jar", bootJar(t, t.TempDir(), time.Now().Add(time.Hour), nil))
	run("one class", bootJar(t, t.TempDir(), time.Now(), map[string]string{"BOOT-INF/classes/com/example/Main.class": java17 + "changed"}), "coming")
	run("a class that is too new", bootJar(t, t.TempDir(), time.Now(), map[string]string{"BOOT-INF/classes/com/example/Main.class": "\xca\xfe\xba\xbe\x00\x00\x00\x60"}), "coming", "withdrawn")
}
