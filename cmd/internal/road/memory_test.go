package road

import (
	"testing"

	"github.com/fastship/fastship/cache"
	"github.com/fastship/fastship/cmd/internal/spec"
)

// TestForceLeavesThisHostsOwnMemory: --force does the work again; what tells
// this host how to do it faster stays, and so does a Maven that was downloaded.
func TestForceLeavesThisHostsOwnMemory(t *testing.T) {
	m, err := openMemory(Options{Spec: &spec.Spec{}, CacheDir: t.TempDir(), Force: true}, nil)
	if err != nil {
		t.Fatal(err)
	}
	key := cache.NewKey("test", "1").Key()
	cache.Keep(t.Context(), &m.local, key, "kept", nil)
	if _, _, ok := cache.Lookup[string](t.Context(), &m.Cache, key); ok {
		t.Error("--force finds earlier work")
	}
	if got, _, ok := cache.Lookup[string](t.Context(), &m.local, key); !ok || got != "kept" {
		t.Errorf("this host forgot: %q, %v", got, ok)
	}
	if got, _, ok := cache.Lookup[string](t.Context(), &m.pinned, key); !ok || got != "kept" {
		t.Errorf("a downloaded Maven is forgotten: %q, %v", got, ok)
	}
}
