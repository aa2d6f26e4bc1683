package image

import (
	"context"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/fastship/fastship/cache"
)

// Who makes ready for a new image hears of it once, and only when it is sure;
// then of each layer that is there, written now or before; then of the end.
func TestComing(t *testing.T) {
	base, memory, state := baseLayout(t, runtime.GOARCH), newCache(t), t.TempDir()
	layout := t.TempDir()
	all := []string{"application", "dependencies", "snapshot-dependencies"}
	run := func(name string, in In, fails bool, want ...string) {
		t.Helper()
		var (
			mu     sync.Mutex
			said   []string
			layers []string
		)
		s := New(Config{Base: "oci:" + base, Layout: layout, Train: trainNever}, Deps{Cache: memory, State: state, Coming: func(_ context.Context, blobs int) (func(cache.Descriptor), func(context.Context)) {
			if blobs != 2 {
				t.Errorf("%s: told of %d blobs, want config and layer", name, blobs)
			}
			said = append(said, "coming")
			layer := func(d cache.Descriptor) {
				info, err := memory.Blobs.Stat(t.Context(), d.Digest)
				if err != nil || info.Size != d.Size {
					t.Errorf("%s: told of %+v before it is there: %+v, %v", name, d, info, err)
				}
				mu.Lock()
				defer mu.Unlock()
				layers = append(layers, d.Name)
			}
			return layer, func(context.Context) { said = append(said, "over") }
		}})
		if _, err := s.Run(t.Context(), (&told{}).env(), in); (err != nil) != fails {
			t.Errorf("%s: %v", name, err)
		}
		if !slices.Equal(said, want) {
			t.Errorf("%s: said %q, want %q", name, said, want)
		}
		if slices.Sort(layers); len(want) > 0 && !slices.Equal(layers, all) || len(want) == 0 && len(layers) > 0 {
			t.Errorf("%s: told of the layers %q", name, layers)
		}
	}
	first := bootJar(t, t.TempDir(), time.Now(), nil)
	run("a new one", first, false, "coming", "over")
	run("the same jar", first, false)
	run("the same content in another jar", bootJar(t, t.TempDir(), time.Now().Add(time.Hour), nil), false)
	run("one class", bootJar(t, t.TempDir(), time.Now(), map[string]string{"BOOT-INF/classes/com/example/Main.class": java17 + "changed"}), false, "coming", "over")
	run("a class that is too new", bootJar(t, t.TempDir(), time.Now(), map[string]string{"BOOT-INF/classes/com/example/Main.class": "\xca\xfe\xba\xbe\x00\x00\x00\x60"}), true, "coming", "over")
}
