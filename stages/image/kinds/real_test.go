package kinds

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fastship/fastship/runner"
	"github.com/fastship/fastship/stages/image"
)

// TestAnyJar runs the jars and wars that FASTSHIP_KINDS names (a list of
// paths, each may have ?PATH to ask for behind it): whatever was packed by
// whatever tool.
func TestAnyJar(t *testing.T) {
	list := os.Getenv("FASTSHIP_KINDS")
	if list == "" {
		t.Skip("FASTSHIP_KINDS names no jars")
	}
	l := newLab(t)
	for _, item := range filepath.SplitList(list) {
		jar, ask := cut(item)
		t.Run(filepath.Base(filepath.Dir(filepath.Dir(jar)))+"/"+filepath.Base(jar), func(t *testing.T) {
			c := l.run(t, l.make(t, image.In{Jar: runner.Descriptor{Name: jar}}, ""))
			for _, path := range ask {
				status, body := get(t, c, path)
				t.Logf("GET %s: %d %q", path, status, body)
				if status != http.StatusOK {
					t.Errorf("GET %s: %d", path, status)
				}
			}
		})
	}
}

// cut parts JAR?PATH?PATH.
func cut(item string) (jar string, ask []string) {
	parts := strings.Split(item, "?")
	if len(parts) == 1 {
		parts = append(parts, "/")
	}
	return parts[0], parts[1:]
}
