package container

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/fastship/fastship/internal/fault"
)

func TestMain(m *testing.M) {
	if code, ok := Init(os.Args); ok {
		os.Exit(code)
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
var guest = sync.OnceValues(func() (string, error) {
	if program := os.Getenv(guestProgram); program != "" {
		return program, nil
	}
	dir, err := os.MkdirTemp("", "guest")
	if err != nil {
		return "", err
	}
	program := filepath.Join(dir, "guest")
	cmd := exec.Command("go", "build", "-o", program, "./testdata/guest")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return program, nil
})

// root makes an image's tree: the guest as /bin/guest and users.
func root(t testing.TB) string {
	t.Helper()
	program, err := guest()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	raw, err := os.ReadFile(program)
	if err != nil {
		t.Fatal(err)
	}
	write(t, dir, "bin/guest", string(raw), 0o755)
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

func TestProgramIsWhatItsSpecSays(t *testing.T) {
	s, l := spec(t, "report")
	s.User, s.Dir, s.Hostname, s.Env = "app", "/work/here", "web", []string{"GREETING=hello", "HOME=/elsewhere"}
	if exit := run(t, s).Wait(); exit.Code != 0 {
		t.Fatal(exit, l.all)
	}
	groups := "[7]"
	if os.Geteuid() != 0 {
		groups = l.wait(t, "uid=") // one user is mapped: its further groups are not
		groups = groups[strings.Index(groups, "["):]
		groups = groups[:strings.Index(groups, "]")+1]
	}
	for _, line := range []string{
		"uid=65532 gid=65533 groups=" + groups + " pid1=false dir=/work/here host=web",
		"CapEff:0000000000000000", "CapPrm:0000000000000000", "NoNewPrivs:1",
		"env: GREETING=hello", "env: HOME=/elsewhere", "env: HOSTNAME=web", "env: PATH=" + defaultPath,
		"interface: lo up|loopback|running",
		"open: /dev/null true 0", "open: /dev/urandom true 8", "open: /proc/self/exe true 8",
		"descriptors: []", "again through /dev/stdout",
	} {
		if !l.has(line) {
			t.Errorf("no line %q", line)
		}
	}
	if t.Failed() {
		t.Log(strings.Join(l.all, "\n"))
	}
}

func TestRootKeepsFewCapabilitiesAndSeesNoKernelMemory(t *testing.T) {
	s, l := spec(t, "report")
	if exit := run(t, s).Wait(); exit.Code != 0 {
		t.Fatal(exit, l.all)
	}
	var want uint64
	for _, c := range rootCapabilities {
		want |= 1 << c
	}
	for _, line := range []string{fmt.Sprintf("CapEff:%016x", want), fmt.Sprintf("CapBnd:%016x", want), "NoNewPrivs:1"} {
		if !l.has(line) {
			t.Errorf("no line %q in\n%s", line, strings.Join(l.all, "\n"))
		}
	}
	if l.has("open: /proc/kcore true 8") || l.has("open: /proc/keys true 8") {
		t.Error("it reads this machine's memory or keys")
	}
}

func TestExit(t *testing.T) {
	for args, want := range map[string]Exit{
		"exit 0": {}, "exit 7": {Code: 7}, "exit 255": {Code: 255}, "die": {Code: 143, Signal: "SIGTERM"},
	} {
		t.Run(args, func(t *testing.T) {
			s, _ := spec(t, strings.Fields(args)...)
			if got := run(t, s).Wait(); got != want {
				t.Errorf("%v, want %v", got, want)
			}
		})
	}
}

func TestProgramThatCannotStart(t *testing.T) {
	for arg, want := range map[string]string{
		"/bin/foreign": "exec /bin/foreign: exec format error",
		"/bin/data":    "exec /bin/data: permission denied",
		"/bin/none":    "exec /bin/none: no such file or directory",
		"none":         "exec none: executable file not found in $PATH",
		"/bin/script":  "exec /bin/script: its interpreter or dynamic loader is not in the image",
	} {
		t.Run(arg, func(t *testing.T) {
			s, _ := spec(t)
			s.Args, s.User = []string{arg}, "65532:65532"
			_, err := Run(t.Context(), s)
			if _, ok := errors.AsType[*StartError](err); !ok || err.Error() != want {
				t.Errorf("%v, want %s", err, want)
			}
		})
	}
}

func TestUnknownUser(t *testing.T) {
	s, _ := spec(t, "exit", "0")
	s.User = "ghost"
	if _, err := Run(t.Context(), s); err == nil || !strings.Contains(err.Error(), "unable to find user ghost") || fault.ClassOf(err) == fault.Missing {
		t.Error(err)
	}
}

func TestOutputComesLineByLine(t *testing.T) {
	s, _ := spec(t, "lines")
	var out, err []string
	s.Stdout = func(line string) { out = append(out, line) }
	s.Stderr = func(line string) { err = append(err, line) }
	run(t, s).Wait() // all output is handed on before
	if want := []string{"one", "two", "", "last without an end"}; !slices.Equal(out, want) {
		t.Errorf("stdout %q", out)
	}
	if strings.Join(err, "") != strings.Repeat("x", 100_000) {
		t.Errorf("stderr has %d lines of together %d bytes", len(err), len(strings.Join(err, "")))
	}
}

func TestDialAndListening(t *testing.T) {
	for address, want := range map[string]Listener{
		":8080": {Port: 8080}, "0.0.0.0:81": {Port: 81}, "127.0.0.1:9000": {Port: 9000, Loopback: true}, "[::1]:9001": {Port: 9001, Loopback: true},
	} {
		t.Run(address, func(t *testing.T) {
			s, l := spec(t, "serve", address)
			c := run(t, s)
			l.wait(t, "listening")
			got, err := c.Listening(t.Context())
			if err != nil || !slices.Equal(got, []Listener{want}) {
				t.Fatal(got, err)
			}
			client := http.Client{Transport: &http.Transport{
				DisableKeepAlives: true,
				DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
					return c.Dial(ctx, want.Port)
				},
			}}
			var all sync.WaitGroup
			for range 20 {
				all.Go(func() {
					response, err := client.Get("http://container/")
					if err != nil {
						t.Error(err)
						return
					}
					defer response.Body.Close()
					if body, _ := io.ReadAll(response.Body); string(body) != "hello from 0" {
						t.Errorf("%s", body)
					}
				})
			}
			all.Wait()
			if _, err := c.Dial(t.Context(), 1); !errors.Is(err, syscall.ECONNREFUSED) {
				t.Error(err)
			}
		})
	}
}

func TestExec(t *testing.T) {
	s, l := spec(t, "term")
	s.User = "65532"
	c := run(t, s)
	l.wait(t, "ready")
	if code, out, err := c.Exec(t.Context(), []string{"guest", "report"}); err != nil || code != 0 || !strings.Contains(out, "uid=65532") {
		t.Error(code, out, err)
	}
	if code, _, err := c.Exec(t.Context(), []string{"guest", "exit", "3"}); err != nil || code != 3 {
		t.Error(code, err)
	}
	if _, _, err := c.Exec(t.Context(), []string{"/bin/sh", "-c", "true"}); err == nil || !strings.Contains(err.Error(), "no such file") {
		t.Error(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, _, err := c.Exec(ctx, []string{"guest", "sleep"}); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
	eventually(t, "the exec's end", func() bool { return len(processesOf(c)) == 2 }) // the init and its program
}

func TestStop(t *testing.T) {
	s, l := spec(t, "term")
	c := run(t, s)
	l.wait(t, "ready")
	if exit := c.Stop(10 * time.Second); exit != (Exit{}) || !l.has("bye") {
		t.Error(exit, l.all)
	}
	if _, err := c.Listening(t.Context()); !errors.Is(err, errEnded) {
		t.Error(err)
	}

	s, l = spec(t, "stubborn")
	c = run(t, s)
	l.wait(t, "ready")
	begin := time.Now()
	if exit := c.Stop(200 * time.Millisecond); exit != (Exit{Code: 137, Signal: "SIGKILL"}) {
		t.Error(exit)
	}
	if took := time.Since(begin); took < 200*time.Millisecond || took > 5*time.Second {
		t.Error(took)
	}
}

func TestEndOfContextKills(t *testing.T) {
	s, l := spec(t, "stubborn")
	ctx, cancel := context.WithCancel(t.Context())
	c, err := Run(ctx, s)
	if err != nil {
		t.Fatal(err)
	}
	l.wait(t, "ready")
	cancel()
	if exit := c.Wait(); exit.Code != 137 {
		t.Error(exit)
	}
}

func TestNothingIsLeftBehindByTheProgram(t *testing.T) {
	s, l := spec(t, "orphans")
	c := run(t, s)
	if exit := c.Wait(); exit.Code != 0 {
		t.Fatal(exit)
	}
	l.wait(t, "left")
	if left := processesOf(c); len(left) > 0 {
		t.Errorf("%v run on", left)
	}
}

func TestRootIsWrittenToItsScratchOnly(t *testing.T) {
	s, l := spec(t, "write", "/tmp/a", "/closed/file")
	other := t.TempDir()
	write(t, other, "closed/file", "higher", 0o644)
	s.Layers = append(s.Layers, other)
	run(t, s).Wait()
	if !l.has("/tmp/a <nil>") || !l.has("/closed/file <nil>") {
		t.Error(l.all)
	}
	for dir, want := range map[string]string{s.Layers[0]: "old", s.Layers[1]: "higher"} {
		if raw, err := os.ReadFile(filepath.Join(dir, "closed/file")); err != nil || string(raw) != want {
			t.Errorf("%s %v", raw, err)
		}
		if _, err := os.Stat(filepath.Join(dir, "tmp/a")); err == nil {
			t.Error("the layer was written to")
		}
	}
	if mounts, err := os.ReadFile("/proc/self/mountinfo"); err != nil || strings.Contains(string(mounts), s.Scratch) {
		t.Error("the mounts are seen outside", err)
	}
}

func TestReadonlyRoot(t *testing.T) {
	s, l := spec(t, "write", "/tmp/a", "/dev/shm/b")
	s.ReadonlyRoot, s.Dir = true, "/made"
	run(t, s).Wait()
	if !l.has("/tmp/a open /tmp/a: read-only file system") || !l.has("/dev/shm/b <nil>") {
		t.Error(l.all)
	}
}

func TestCopiedRoot(t *testing.T) {
	s, l := spec(t, "write", "/tmp/a")
	// An overlay's options are one page: longer ones make it copy.
	for i := range 40 {
		layer := filepath.Join(t.TempDir(), strings.Repeat("x", 100))
		write(t, layer, "closed/file", fmt.Sprint(i), 0o600)
		s.Layers = append(s.Layers, layer)
	}
	run(t, s).Wait()
	if !l.has("/tmp/a <nil>") {
		t.Error(l.all)
	}
	copied := filepath.Join(s.Scratch, "root")
	if raw, err := os.ReadFile(filepath.Join(copied, "closed/file")); err != nil || string(raw) != "39" {
		t.Errorf("%s %v", raw, err)
	}
	if info, err := os.Stat(filepath.Join(copied, "tmp")); err != nil || info.Mode() != os.ModeDir|os.ModeSticky|0o777 {
		t.Error(info, err)
	}
}

// An image may hold symlinks where the container's own files go; they lead
// into the container's root and nowhere else.
func TestImageLinksDoNotLeadOutside(t *testing.T) {
	s, _ := spec(t, "exit", "0")
	outside := t.TempDir()
	trap := t.TempDir()
	for _, name := range []string{"dev", "proc", "work"} {
		if err := os.Symlink(outside, filepath.Join(trap, name)); err != nil {
			t.Fatal(err)
		}
	}
	write(t, trap, "etc/none", "", 0o644)
	if err := os.Symlink(filepath.Join(outside, "hosts"), filepath.Join(trap, "etc/hosts")); err != nil {
		t.Fatal(err)
	}
	s.Layers, s.Dir = append(s.Layers, trap), "/work/dir"
	c, err := Run(t.Context(), s)
	if err == nil {
		c.Wait()
	}
	if entries, err := os.ReadDir(outside); err != nil || len(entries) > 0 {
		t.Error(entries, err)
	}
}

func TestManyContainersAtOnce(t *testing.T) {
	var all sync.WaitGroup
	for i := range 8 {
		s, _ := spec(t, "exit", fmt.Sprint(i))
		all.Go(func() {
			c, err := Run(context.Background(), s)
			if err != nil {
				t.Error(err)
			} else if exit := c.Wait(); exit.Code != i {
				t.Error(exit, i)
			}
		})
	}
	all.Wait()
}

// victimRoot asks this test binary, started again, to run a container in that
// root until it is killed.
const victimRoot = "FASTSHIP_TEST_VICTIM_ROOT"

func victim() {
	c, err := Run(context.Background(), Spec{
		Layers: []string{os.Getenv(victimRoot)}, Scratch: os.Getenv("FASTSHIP_TEST_SCRATCH"),
		Args: []string{"/bin/guest", "stubborn"}, User: "65532",
		Stdout: func(line string) { fmt.Println(line) },
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("pid", c.PID())
	c.Wait()
}

func TestKilledParentLeavesNoProcess(t *testing.T) {
	s, _ := spec(t)
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), victimRoot+"="+s.Layers[0], "FASTSHIP_TEST_SCRATCH="+s.Scratch)
	l := &logs{}
	r, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go readLines(r, l.add)
	l.wait(t, "ready")
	var pid int
	if _, err := fmt.Sscanf(l.wait(t, "pid "), "pid %d", &pid); err != nil {
		t.Fatal(err)
	}
	inside := processes(namespace(pid))
	if len(inside) != 2 {
		t.Fatalf("processes %v run in the container, not an init and its program", inside)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	eventually(t, "the end of the container's processes", func() bool {
		return !slices.ContainsFunc(inside, func(pid int) bool { return namespace(pid) != "" })
	})
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

// TestUnprivileged runs the other tests as a user without any rights.
func TestUnprivileged(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("already unprivileged")
	}
	program, err := guest()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for d := dir; d != os.TempDir() && d != "/"; d = filepath.Dir(d) {
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(filepath.Dir(program), 0o755); err != nil {
		t.Fatal(err)
	}
	self, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	write(t, dir, "container.test", string(self), 0o755)
	tmp := filepath.Join(dir, "tmp")
	if err := os.Mkdir(tmp, 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(tmp, 0o777|os.ModeSticky); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(filepath.Join(dir, "container.test"), "-test.v")
	cmd.Dir = dir
	cmd.Env = []string{"TMPDIR=" + tmp, "PATH=" + os.Getenv("PATH"), guestProgram + "=" + program}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	out, err := cmd.CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		t.Error(err)
	}
	if !strings.Contains(string(out), "--- PASS: TestProgramIsWhatItsSpecSays") && !strings.Contains(string(out), "namespaces are not allowed here") {
		t.Error("the tests ran neither well nor not at all")
	}
}

// BenchmarkRun is a container's whole life, its program a Go one that does
// nothing.
func BenchmarkRun(b *testing.B) {
	layers := []string{root(b)}
	for b.Loop() {
		scratch := b.TempDir()
		c, err := Run(context.Background(), Spec{Layers: layers, Scratch: scratch, Args: []string{"/bin/guest", "exit", "0"}})
		if err != nil {
			b.Fatal(err)
		}
		c.Wait()
	}
}
