package rollout

import "testing"

func TestReadsZstd(t *testing.T) {
	for version, want := range map[string]bool{"": true, "LATEST": true, "1.4.0": true, "1.10.0": true, "2.0": true, "1.3.0": false, "1.0.0": false, "new": false} {
		if got := readsZstd(version); got != want {
			t.Errorf("platform version %q: %t", version, got)
		}
	}
}
