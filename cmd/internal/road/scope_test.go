package road

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestScopesOfThePastAreForgotten holds that the caches of pull requests long
// merged do not fill the disk, and that nothing else is removed.
func TestScopesOfThePastAreForgotten(t *testing.T) {
	root, now := t.TempDir(), time.Now()
	if err := forgetScopes(root, now); err != nil {
		t.Fatalf("without any: %v", err)
	}
	for name, age := range map[string]time.Duration{"old": scopeLife + time.Hour, "young": scopeLife - time.Hour} {
		dir := scopeDir(root, "untrusted/"+name)
		if err := os.MkdirAll(filepath.Join(dir, "blobs"), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(dir, now.Add(-age), now.Add(-age)); err != nil {
			t.Fatal(err)
		}
	}
	if err := forgetScopes(root, now); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(filepath.Join(root, scopesDir))
	if err != nil || len(entries) != 1 || entries[0].Name() != "young" {
		t.Fatalf("left: %v, %v", entries, err)
	}
	// Its next run keeps it for another week.
	if err := touchScope(root, scopeDir(root, "untrusted/young")); err != nil {
		t.Fatal(err)
	}
	if err := forgetScopes(root, now.Add(scopeLife-time.Hour)); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(scopeDir(root, "untrusted/young")); err != nil {
		t.Error(err)
	}
}
