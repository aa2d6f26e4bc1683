package maven

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/fastship/fastship/cache"
	"github.com/fastship/fastship/internal/fault"
	"github.com/fastship/fastship/runner"
)

// needMaven skips a test that runs the real Maven.
func needMaven(t *testing.T) {
	t.Helper()
	if os.Getenv("FASTSHIP_INTEGRATION") != "1" {
		t.Skip("runs Maven; set FASTSHIP_INTEGRATION=1")
	}
}

// app copies a sample service into a folder of its own, without what earlier
// builds left in it.
func app(t *testing.T, name string) string {
	t.Helper()
	from := filepath.Join("..", "..", "testdata", "apps", filepath.FromSlash(name))
	dir := filepath.Join(t.TempDir(), filepath.Base(name))
	err := filepath.WalkDir(from, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		if d.IsDir() {
			if d.Name() == "target" {
				return filepath.SkipDir
			}
			return os.MkdirAll(filepath.Join(dir, rel), 0o755)
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(dir, rel), text, 0o644)
	})
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// files writes a project: path and content in turns.
func files(t testing.TB, pathsAndTexts ...string) string {
	t.Helper()
	dir := t.TempDir()
	for i := 0; i < len(pathsAndTexts); i += 2 {
		path := filepath.Join(dir, filepath.FromSlash(pathsAndTexts[i]))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(pathsAndTexts[i+1]), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// run is one run of the step with all it said.
type run struct {
	out    Out
	err    error
	events []runner.Body
}

func runStep(t *testing.T, ctx context.Context, s *Step) run {
	t.Helper()
	return runBeside(t, ctx, s, func(what string, work func(context.Context) error) {
		if what != "keep what Maven made" {
			t.Errorf("unexpected work in the background: %s", what)
		}
		inline(what, work)
	})
}

// runBeside hands the work that may go on beside image and push to background.
func runBeside(t *testing.T, ctx context.Context, s *Step, background func(string, func(context.Context) error)) run {
	t.Helper()
	var r run
	var mu sync.Mutex
	env := runner.Env{
		Emit: func(b runner.Body) {
			mu.Lock()
			defer mu.Unlock()
			r.events = append(r.events, b)
		},
		Background: background,
	}
	result, err := s.Run(ctx, env, In{Dir: s.config.Dir})
	r.out, r.err = result.Out, err
	return r
}

// step is the step as cmd would make it, on this machine's Maven and JDKs.
func step(t *testing.T, c Config, environ ...string) *Step {
	t.Helper()
	return New(c, Deps{Environ: append(os.Environ(), environ...), Home: os.Getenv("HOME"), Cache: memory()})
}

// silent is an environment that nobody listens to.
var silent = runner.Env{Emit: func(runner.Body) {}, Background: inline}

// inline does background work at once.
func inline(_ string, work func(context.Context) error) { _ = work(context.Background()) }

func of[T runner.Body](r run) []T {
	var all []T
	for _, e := range r.events {
		if b, ok := e.(T); ok {
			all = append(all, b)
		}
	}
	return all
}

func (r run) output() string {
	var lines []string
	for _, l := range of[runner.Log](r) {
		lines = append(lines, l.Line)
	}
	return strings.Join(lines, "\n")
}

func (r run) said() string {
	var lines []string
	for _, e := range r.events {
		switch b := e.(type) {
		case runner.Note:
			lines = append(lines, "note: "+b.Text)
		case runner.Warning:
			lines = append(lines, "warning: "+b.Text)
		}
	}
	return strings.Join(lines, "\n")
}

// mustFail checks an error's class and that its text holds all of the parts.
func mustFail(t *testing.T, err error, class fault.Class, parts ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want one with %q", parts)
	}
	if fault.ClassOf(err) != class {
		t.Errorf("class %v, want %v: %v", fault.ClassOf(err), class, err)
	}
	text := err.Error() + "\n" + fault.HintOf(err)
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("%q is not in:\n%s", part, text)
		}
	}
}

// memory is an action cache that lasts as long as the test.
func memory() *cache.Cache {
	return &cache.Cache{Actions: &actions{kept: map[cache.Key]cache.Action{}}}
}

type actions struct {
	mu   sync.Mutex
	kept map[cache.Key]cache.Action
}

func (a *actions) GetAction(_ context.Context, k cache.Key) (cache.Action, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	action, ok := a.kept[k]
	if !ok {
		return cache.Action{}, cache.ErrNotFound
	}
	return action, nil
}

func (a *actions) PutAction(_ context.Context, k cache.Key, action cache.Action) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.kept[k] = action
	return nil
}

func (a *actions) DeleteAction(_ context.Context, k cache.Key) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.kept, k)
	return nil
}
