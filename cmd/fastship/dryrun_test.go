package main

import (
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-containerregistry/pkg/registry"
)

// TestDryRunWritesNothing runs --dry-run where it cannot write: in a mount
// namespace whose file system is read-only, HOME included, against a registry
// that counts every request that is not a read.
func TestDryRunWritesNothing(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("a read-only mount namespace needs root")
	}
	need(t, "unshare")
	var writes atomic.Int32
	images := registry.New()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			writes.Add(1)
		}
		images.ServeHTTP(w, r)
	}))
	defer server.Close()
	for _, c := range []struct {
		name string
		args string
	}{
		{"run", "run --dry-run"},
		{"sandbox", "run --dry-run --sandbox"},
		{"json", "run --dry-run --json"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := app(t, "hello")
			config(t, dir, "image: {repository: %s/hello}\n", strings.TrimPrefix(server.URL, "http://"))
			cmd := program(t, dir)
			line := "mount -o remount,bind,ro / && ! touch " + filepath.Join(dir, "probe") + " 2>/dev/null && exec " + cmd.Path + " " + c.args
			readOnly := exec.Command("unshare", "--mount", "sh", "-c", line)
			readOnly.Dir, readOnly.Env = dir, cmd.Env
			out, err := readOnly.CombinedOutput()
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			for _, stage := range []string{"source", "maven", "image", "push"} {
				if !strings.Contains(string(out), stage) {
					t.Errorf("no plan of %s in\n%s", stage, out)
				}
			}
			if exists(filepath.Join(dir, ".fastship")) || exists(filepath.Join(dir, "target")) {
				t.Error("something was written into the project")
			}
		})
	}
	if n := writes.Load(); n != 0 {
		t.Errorf("the registry saw %d writes", n)
	}
}
