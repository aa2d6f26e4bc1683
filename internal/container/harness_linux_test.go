package container

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestMain(m *testing.M) {
	if code, ok := Init(os.Args); ok {
		os.Exit(code)
	}
	if as := os.Getenv(refusedAs); as != "" {
		if err := refusedMain(as); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		return
	}
	if os.Getenv(victimRoot) != "" {
		victim()
		return
	}
	os.Exit(m.Run())
}

// guestProgram names a guest that has been built.
const guestProgram = "FASTSHIP_TEST_GUEST"

// guest builds testdata/guest, a static program, once.
var guest = sync.OnceValues(func() ([]byte, error) {
	if program := os.Getenv(guestProgram); program != "" {
		return os.ReadFile(program)
	}
	dir, err := os.MkdirTemp("", "guest")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	program := filepath.Join(dir, "guest")
	cmd := exec.Command("go", "build", "-o", program, "./testdata/guest")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%w: %s", err, out)
	}
	return os.ReadFile(program)
})

// root makes an image's tree: the guest as /bin/guest and users.
func root(t testing.TB) string {
	t.Helper()
	program, err := guest()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	write(t, dir, "bin/guest", string(program), 0o755)
	write(t, dir, "bin/script", "#!/bin/missing\n", 0o755)
	write(t, dir, "bin/foreign", "\x7fELF another machine's", 0o755)
	write(t, dir, "bin/data", "not executable", 0o644)
	write(t, dir, "etc/passwd", "root:x:0:0:root:/root:/bin/sh\napp:x:65532:65533:app:/home/app:/none\n", 0o644)
	write(t, dir, "etc/group", "root:x:0:\napp:x:65533:\nextra:x:7:other,app\n", 0o644)
	write(t, dir, "closed/file", "old", 0o644)
	if err := os.MkdirAll(filepath.Join(dir, "tmp"), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(dir, "tmp"), 0o777|os.ModeSticky); err != nil {
		t.Fatal(err)
	}
	return dir
}

func write(t testing.TB, dir, name, text string, mode os.FileMode) {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
}

// logs collects lines and lets a test wait for one.
type logs struct {
	mu    sync.Mutex
	all   []string
	added chan struct{}
}

func (l *logs) add(line string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, line)
	if l.added != nil {
		close(l.added)
		l.added = nil
	}
}

func (l *logs) wait(t testing.TB, prefix string) string {
	t.Helper()
	deadline := time.After(10 * time.Second)
	for {
		l.mu.Lock()
		i := slices.IndexFunc(l.all, func(s string) bool { return strings.HasPrefix(s, prefix) })
		if i >= 0 {
			defer l.mu.Unlock()
			return l.all[i]
		}
		if l.added == nil {
			l.added = make(chan struct{})
		}
		added := l.added
		l.mu.Unlock()
		select {
		case <-added:
		case <-deadline:
			t.Fatalf("no line %q in %q", prefix, l.all)
		}
	}
}

func (l *logs) has(line string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Contains(l.all, line)
}

func spec(t testing.TB, args ...string) (Spec, *logs) {
	t.Helper()
	if err := Available(t.Context()); err != nil {
		t.Skip(err)
	}
	l := &logs{}
	scratch, err := os.MkdirTemp("", "scratch")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := RemoveAll(scratch); err != nil {
			t.Error(err)
		}
	})
	return Spec{Layers: []string{root(t)}, Scratch: scratch, Args: append([]string{"/bin/guest"}, args...), Stdout: l.add, Stderr: l.add}, l
}

func run(t testing.TB, s Spec) *Container {
	t.Helper()
	c, err := Run(context.Background(), s)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.Kill()
		c.Wait()
	})
	return c
}

func namespace(pid int) string {
	ns, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/pid", pid))
	if err != nil {
		return ""
	}
	return ns
}

func processesOf(c *Container) []int {
	ns := namespace(c.PID())
	if ns == "" {
		return nil // its init is gone, and so are they
	}
	return processes(ns)
}

// processes lists who runs in a pid namespace.
func processes(ns string) []int {
	var all []int
	entries, _ := os.ReadDir("/proc")
	for _, e := range entries {
		var pid int
		if _, err := fmt.Sscan(e.Name(), &pid); err == nil && namespace(pid) == ns {
			all = append(all, pid)
		}
	}
	return all
}

func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for range 500 {
		if ok() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("%s did not come", what)
}
