package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// TestSameCommitSameDigest builds one commit in other folders, under other
// settings of what must not matter, each with a cache of its own: the image's
// digest is the same.
func TestSameCommitSameDigest(t *testing.T) {
	integration(t)
	origin := app(t, "hello")
	for _, args := range [][]string{
		{"init", "-q", "-b", "main"}, {"add", "-A"},
		{"-c", "user.name=t", "-c", "user.email=t@localhost", "commit", "-qm", "hello"},
	} {
		git(t, origin, args...)
	}
	var digest string
	var layers any
	for _, c := range []struct {
		name, umask string
		env         []string
	}{
		{"plain", "022", nil},
		{"one processor, another umask, zone and language", "077", []string{"GOMAXPROCS=1", "TZ=Asia/Kolkata", "LC_ALL=C"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "somewhere else", "hello")
			cmd := program(t, dir)
			clone := exec.Command("sh", "-c", `umask "$1" && git clone -q "$2" "$3" && cd "$3" && exec "$4" run --result result.json`, "sh", c.umask, origin, dir, cmd.Path)
			clone.Env = append(append(cmd.Env, c.env...), "FASTSHIP_CACHE_DIR="+t.TempDir())
			if out, err := clone.CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			r := result(t, filepath.Join(dir, "result.json"))
			if r.Image == nil || r.Image.Digest == "" {
				t.Fatal("no image in the result")
			}
			if digest == "" {
				digest, layers = r.Image.Digest, r.Image.Layers
			}
			if r.Image.Digest != digest {
				t.Errorf("digest %s of %v, want %s of %v", r.Image.Digest, r.Image.Layers, digest, layers)
			}
		})
	}
}

func git(t *testing.T, dir string, args ...string) {
	t.Helper()
	cmd := exec.Command("git", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("git %v: %v\n%s", args, err, out)
	}
}
