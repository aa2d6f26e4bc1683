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

func TestSteady(t *testing.T) {
	s, l := spec(t, "steady")
	s.Steady = true
	run(t, s).Wait()
	if !l.has("processors 1 policy 3") { // SCHED_BATCH
		t.Error(l.all)
	}
	if os.Geteuid() == 0 && !l.has("personality 00040000 <nil>") { // others may not read it in a namespace of users
		t.Error(l.all)
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
	write(t, dir, "guest", string(program), 0o755)
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
	cmd.Env = []string{"TMPDIR=" + tmp, "PATH=" + os.Getenv("PATH"), guestProgram + "=" + filepath.Join(dir, "guest")}
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
