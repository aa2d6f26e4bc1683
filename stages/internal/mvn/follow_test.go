package mvn

import (
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

const resolvedProject = `{"event":"project","group":"g","artifact":"a","version":"1","packaging":"jar","basedir":"/p","build":"/p/target","sources":[],"testSources":[],"releases":[17],"toolchain":false,"repackage":{"skip":"false","excludes":["x:y","x:z:c"],"includeOptional":"true","version":"4.1.2"}}
`
const resolvedDependencies = `{"event":"dependencies","project":"g:a","repository":"/m2","dependencies":[{"group":"org.x","artifact":"lib","version":"1","classifier":"","extension":"jar","scope":"compile","optional":true,"file":"/m2/org/x/lib/1/lib-1.jar"}]}
`

func TestReadReportOfAResolution(t *testing.T) {
	r, err := ReadReport(strings.NewReader(resolvedProject + resolvedDependencies))
	if err != nil {
		t.Fatal(err)
	}
	p := r.Project("g:a")
	if s := p.Repackage; s == nil || s.Version != "4.1.2" || s.IncludeOptional != "true" || len(s.Excludes) != 2 || s.Excludes[1] != "x:z:c" {
		t.Errorf("settings %+v", s)
	}
	want := Dependency{Group: "org.x", Artifact: "lib", Version: "1", Extension: "jar", Scope: "compile", Optional: true, File: "/m2/org/x/lib/1/lib-1.jar"}
	if s := p.Resolution; s == nil || s.Repository != "/m2" || len(s.Dependencies) != 1 || s.Dependencies[0] != want {
		t.Errorf("resolution %+v", s)
	}
	if r, err := ReadReport(strings.NewReader(resolvedDependencies)); err != nil || len(r.Projects) != 0 {
		t.Errorf("of an unknown module: %+v, %v", r, err)
	}
}

// heard is what Follow told, one entry a call: how many of the modules were
// resolved by then.
type heard struct {
	mu    sync.Mutex
	calls []int
}

func (h *heard) tell(enough int) func([]*Project) bool {
	return func(projects []*Project) bool {
		h.mu.Lock()
		defer h.mu.Unlock()
		resolved := 0
		for _, p := range projects {
			if p.Resolution != nil {
				resolved++
			}
		}
		h.calls = append(h.calls, resolved)
		return len(h.calls) == enough
	}
}

func (h *heard) count() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.calls)
}

// writing appends to the report as the spy does.
func writing(t *testing.T, w *Watch) (say func(text string)) {
	t.Helper()
	f, err := os.OpenFile(w.report(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return func(text string) {
		if _, err := f.WriteString(text); err != nil {
			t.Error(err)
		}
		time.Sleep(2 * mostWait)
		synctest.Wait()
	}
}

func newWatch(t *testing.T) *Watch {
	t.Helper()
	w, err := NewWatch()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Close)
	return w
}

func TestFollowTellsWhileTheReportGrows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, h := newWatch(t), &heard{}
		stop := w.Follow(h.tell(2))
		time.Sleep(time.Minute) // there is no report yet
		say := writing(t, w)
		say(`{"event":"start","maven":"3.9.9"}` + "\n" + resolvedProject + strings.Replace(resolvedProject, `"a"`, `"b"`, 1))
		if h.count() != 0 {
			t.Error("told of modules without their dependencies")
		}
		say(resolvedDependencies[:40])
		if h.count() != 0 {
			t.Error("told of half a line")
		}
		say(resolvedDependencies[40:])
		if h.count() != 1 {
			t.Errorf("told %d times of one resolution", h.count())
		}
		say(strings.Replace(resolvedDependencies, "g:a", "g:b", 1))
		say(resolvedDependencies)
		stop()
		if len(h.calls) != 2 || h.calls[0] != 1 || h.calls[1] != 2 {
			t.Errorf("told %v; the second was to be enough", h.calls)
		}
	})
}

func TestFollowEnds(t *testing.T) {
	for name, text := range map[string]string{
		"with no report":      "",
		"on a broken line":    `{"event":"project",` + "\n" + resolvedProject + resolvedDependencies,
		"in the middle":       resolvedProject,
		"after the last word": resolvedProject + resolvedDependencies,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, h := newWatch(t), &heard{}
				stop := w.Follow(h.tell(1))
				if text != "" {
					writing(t, w)(text)
				}
				stop()
				stop() // twice is once
				told := strings.HasPrefix(name, "after")
				if (h.count() == 1) != told {
					t.Errorf("told %d times", h.count())
				}
			})
		})
	}
}

// TestFollowIsGoneWithItsStop would fail as a deadlock, or by the race
// detector, if tell could still run.
func TestFollowIsGoneWithItsStop(t *testing.T) {
	for range 10 {
		w := newWatch(t)
		if err := os.WriteFile(w.report(), []byte(resolvedProject+resolvedDependencies), 0o600); err != nil {
			t.Fatal(err)
		}
		stopped := false
		stop := w.Follow(func([]*Project) bool {
			if stopped {
				t.Error("told after the stop")
			}
			return false
		})
		time.Sleep(leastWait - time.Millisecond)
		stop()
		stopped = true
	}
}
