package image

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/fastship/fastship/cache"
	"github.com/fastship/fastship/stages/image/jre"
	"github.com/fastship/fastship/stages/internal/oci"
)

// lastMissed tells which action was asked for last and was not there.
type lastMissed struct {
	cache.ActionStore
	mu  sync.Mutex
	key cache.Key
}

func (l *lastMissed) GetAction(ctx context.Context, key cache.Key) (cache.Action, error) {
	a, err := l.ActionStore.GetAction(ctx, key)
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil {
		l.key = key
	}
	return a, err
}

// installedJDK is the one of the java command, with which a base can be linked.
func installedJDK(t *testing.T) string {
	t.Helper()
	java, err := exec.LookPath("java")
	if err == nil {
		java, err = filepath.EvalSymlinks(java)
	}
	home := filepath.Dir(filepath.Dir(java))
	if _, noJmods := os.Stat(filepath.Join(home, "jmods")); err != nil || noJmods != nil {
		t.Skip("no JDK with jmods is on the PATH")
	}
	return home
}

func TestPrepare(t *testing.T) {
	home := installedJDK(t)
	memory, state := newCache(t), t.TempDir()
	missed := &lastMissed{ActionStore: memory.Actions}
	memory.Actions = missed
	step := func() *Step {
		s := New(Config{Layout: filepath.Join(state, "image")}, Deps{Cache: memory, State: state, JDK: func(context.Context) (string, error) { return home, nil }})
		if err := s.Check(t.Context()); err != nil {
			t.Fatal(err)
		}
		return s
	}
	s := step()
	s.prepareBase(t.Context())
	if s.prepared != nil {
		t.Error("something was prepared for an application that nobody knows")
	}
	needs := jre.Needs{Modules: []string{"java.base"}, English: true}
	s.keepNeeds(needs)
	s = step()
	s.prepareBase(t.Context())
	if s.prepared == nil || len(s.prepared.bases) > 0 {
		t.Fatalf("prepared %+v, want the JDK's identity and no base", s.prepared)
	}
	if missed.key == "" {
		t.Fatal("no base was looked up")
	}
	blob := []byte("a layer")
	layer := oci.Layer{Descriptor: cache.Descriptor{Digest: cache.Sum(blob), Size: int64(len(blob))}}
	if err := memory.Blobs.Put(t.Context(), layer.Descriptor.Digest, layer.Descriptor.Size, strings.NewReader(string(blob))); err != nil {
		t.Fatal(err)
	}
	raw, err := json.Marshal(layer)
	if err != nil {
		t.Fatal(err)
	}
	if err := missed.PutAction(t.Context(), missed.key, cache.Action{Outputs: raw, Blobs: []cache.Descriptor{layer.Descriptor}}); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		needs jre.Needs
		taken bool
	}{
		"the same needs":   {needs: needs, taken: true},
		"another module":   {needs: jre.Needs{Modules: []string{"java.base", "java.sql"}, English: true}},
		"another language": {needs: jre.Needs{Modules: []string{"java.base"}}},
	} {
		s := step()
		s.prepareBase(t.Context())
		targets, err := s.targets(t.Context(), home)
		if err != nil {
			t.Fatal(err)
		}
		got := s.takePrepared(s.again(targets), c.needs)
		if taken := len(got) == 1 && got[0].layers[0].Descriptor.Digest == layer.Descriptor.Digest && got[0].cached && got[0].java != ""; taken != c.taken {
			t.Errorf("%s: got %+v", name, got)
		}
		if s.takePrepared(targets, c.needs) != nil {
			t.Errorf("%s: taken twice: what is lost is looked up again", name)
		}
	}
}

// What Prepare learns it learns by reading.
func TestPrepareWritesNothing(t *testing.T) {
	home := installedJDK(t)
	memory, state := newCache(t), t.TempDir()
	t.Setenv("TMPDIR", t.TempDir())
	s := New(Config{Layout: filepath.Join(state, "image")}, Deps{Cache: memory, State: state, JDK: func(context.Context) (string, error) { return home, nil }})
	s.keepNeeds(jre.Needs{Modules: []string{"java.base"}})
	before, err := os.ReadDir(state)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.prepareBase(t.Context())
	if s.prepared == nil {
		t.Error("nothing was prepared")
	}
	after, err := os.ReadDir(state)
	temporary, tempErr := os.ReadDir(os.TempDir())
	if err != nil || tempErr != nil || len(after) != len(before) || len(temporary) != 0 {
		t.Errorf("%v became %v; temporary %v; %v, %v", before, after, temporary, err, tempErr)
	}
}
