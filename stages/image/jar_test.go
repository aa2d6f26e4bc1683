package image

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/fastship/fastship/internal/fault"
)

// TestOfJar: image.main stands in for a Main-Class that the jar has not.
func TestOfJar(t *testing.T) {
	path := filepath.Join(t.TempDir(), "orders.jar")
	content := jarOf(t, time.Time{}, map[string]string{"META-INF/MANIFEST.MF": "Manifest-Version: 1.0\n\n", "a/Main.class": classNaming("x")})
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	if in, _, err := OfJar(t.Context(), path, "a.Main", ""); err != nil || in.Name != "orders" || in.Jar.Name != path {
		t.Errorf("%+v, %v", in, err)
	}
	for _, main := range []string{"", "a.Other"} {
		if _, _, err := OfJar(t.Context(), path, main, ""); fault.ClassOf(err) != fault.ImageFailed {
			t.Errorf("%q: %v", main, err)
		}
	}
}
