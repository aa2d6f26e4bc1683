package dir

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/fastship/fastship/cache"
	"github.com/fastship/fastship/cache/cachetest"
)

func TestStore(t *testing.T) {
	cachetest.Run(t, cachetest.Target{
		Make: func(t *testing.T) string { return filepath.Join(t.TempDir(), "cache") },
		Open: func(t *testing.T, address string) cachetest.Stores {
			s := open(t, address)
			return cachetest.Stores{Blobs: s, Actions: s, Pointers: s, Listing: s}
		},
		Damage: func(t *testing.T, address string, d cache.Digest) {
			damage(t, filepath.Join(address, "blobs", "sha256", d.Hex()))
		},
		DamageAction: func(t *testing.T, address string, k cache.Key) {
			damage(t, filepath.Join(address, "actions", string(k)))
		},
	})
}

func open(t *testing.T, root string) *Store {
	t.Helper()
	s, err := Open(root, Options{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// damage flips a bit in the middle of a file, in place.
func damage(t *testing.T, path string) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)/2] ^= 1
	if err := os.Chmod(path, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}
