package main

import (
	"bytes"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// TestSandboxRunsTheImage is the main job of the README: the whole road, and
// HTTP 200 out of the image; nothing of it is left afterwards.
func TestSandboxRunsTheImage(t *testing.T) {
	for _, name := range []string{"hello", "shaded", "orders"} {
		t.Run(name, func(t *testing.T) {
			if name != "hello" {
				integration(t)
			}
			dir := app(t, name)
			_, stderr := run(t, 0, dir, "run", "--sandbox", "--result", "result.json")
			r := result(t, filepath.Join(dir, "result.json"))
			if r.Sandbox == nil || r.Sandbox.Status != 200 {
				t.Fatalf("the sandbox answered %+v\n%s", r.Sandbox, stderr)
			}
			if r.Rollout == nil || r.Rollout.Outcome != "succeeded" {
				t.Errorf("rollout %+v", r.Rollout)
			}
			nothingLeft(t, dir)
		})
	}
}

// TestSandboxTellsTheFirstCause runs services that cannot live.
func TestSandboxTellsTheFirstCause(t *testing.T) {
	integration(t)
	for _, c := range []struct{ app, last, above string }{
		{"broken/crash", `exited with code 1`, `crash`},
		{"broken/hidden-module", `exited with code 1`, `image\.modules.*java\.sql\.rowset|java\.sql\.rowset.*image\.modules`},
		{"broken/unhealthy", `500`, ``},
	} {
		t.Run(filepath.Base(c.app), func(t *testing.T) {
			dir := app(t, c.app)
			_, stderr := run(t, 30, dir, "run", "--sandbox")
			if last := lastOf(stderr); !regexp.MustCompile(c.last).MatchString(last) {
				t.Errorf("last line %q, want %q\n%s", last, c.last, stderr)
			}
			if !regexp.MustCompile(c.above).MatchString(stderr) {
				t.Errorf("nothing says %q\n%s", c.above, stderr)
			}
			nothingLeft(t, dir)
		})
	}
}

// TestSandboxRollsOver keeps one run serving while a second one, after a
// change of the code, rolls its service over: every request in between is
// answered.
func TestSandboxRollsOver(t *testing.T) {
	dir := app(t, "hello")
	url, end := keeping(t, dir)
	rewrite(t, dir, "hello from fastship", "second revision")
	stop := make(chan struct{})
	asked, failed := 0, 0
	var asking sync.WaitGroup
	asking.Go(func() {
		for ; ; time.Sleep(5 * time.Millisecond) {
			select {
			case <-stop:
				return
			default:
			}
			asked++
			r, err := http.Get(url)
			if err == nil {
				r.Body.Close()
			}
			if err != nil || r.StatusCode != http.StatusOK {
				failed++
			}
		}
	})
	run(t, 0, dir, "run", "--sandbox")
	close(stop)
	asking.Wait()
	if asked < 10 || failed > 0 {
		t.Errorf("%d of %d requests failed during the second run", failed, asked)
	}
	if body := answer(t, url, 5*time.Second); !strings.Contains(body, "second revision") {
		t.Errorf("after the second run the service answers %q", body)
	}

	end()
}

// TestSandboxRollsBack keeps one run serving while a second one brings code
// that dies at its start: it tells why in the JVM's own words, and the first
// one serves on.
func TestSandboxRollsBack(t *testing.T) {
	integration(t)
	dir := app(t, "hello")
	url, end := keeping(t, dir)
	rewrite(t, dir, "int port =", `if (args != null) throw new IllegalStateException("no database at 10.0.0.9");
        int port =`)
	_, stderr := run(t, 31, dir, "run", "--sandbox", "--result", "result.json")
	if last := lastOf(stderr); !strings.Contains(last, "exited with code 1") {
		t.Errorf("last line %q", last)
	}
	for _, want := range []string{`Exception in thread "main" java.lang.IllegalStateException: no database at 10.0.0.9`, "at com.example.hello.Hello.main(Hello.java:"} {
		if !strings.Contains(stderr, want) {
			t.Errorf("the JVM's %q is not told\n%s", want, stderr)
		}
	}
	if r := result(t, filepath.Join(dir, "result.json")); r.Rollout == nil || r.Rollout.Outcome != "rolled-back" || !strings.Contains(r.Rollout.Cause, "exited with code 1") {
		t.Errorf("rollout %+v", r.Rollout)
	}
	if body := answer(t, url, 5*time.Second); !strings.Contains(body, "hello from fastship") {
		t.Errorf("after the rollback the service answers %q", body)
	}
	end()
}

// keeping starts a run that keeps serving, and returns where it does. end
// interrupts it, and holds that it ends well and leaves nothing.
func keeping(t *testing.T, dir string) (url string, end func()) {
	t.Helper()
	keeper := program(t, dir, "run", "--sandbox", "--keep")
	lines := follow(t, keeper)
	if err := keeper.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { keeper.Process.Kill(); keeper.Wait() })
	waitFor(t, func() bool {
		url = regexp.MustCompile(`http://127\.0\.0\.1:\d+`).FindString(lines.first("serving"))
		return url != ""
	})
	if body := answer(t, url, 5*time.Second); !strings.Contains(body, "hello from fastship") {
		t.Fatalf("first revision answers %q", body)
	}
	return url, func() {
		t.Helper()
		keeper.Process.Signal(syscall.SIGINT)
		keeper.Wait()
		if code := keeper.ProcessState.ExitCode(); code != 0 {
			t.Errorf("the keeping run ends with %d\n%s", code, lines.all())
		}
		nothingLeft(t, dir)
	}
}

// rewrite changes hello's source.
func rewrite(t *testing.T, dir, from, to string) {
	t.Helper()
	file := filepath.Join(dir, "src/main/java/com/example/hello/Hello.java")
	source, err := os.ReadFile(file)
	if err != nil || !bytes.Contains(source, []byte(from)) {
		t.Fatalf("find %q in %s: %v", from, file, err)
	}
	if err := os.WriteFile(file, bytes.Replace(source, []byte(from), []byte(to), 1), 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestSandboxSurvivesKillNine kills a serving sandbox: no process outlives it,
// and the next run clears the rest and works.
func TestSandboxSurvivesKillNine(t *testing.T) {
	dir := app(t, "hello")
	keeper := program(t, dir, "run", "--sandbox", "--keep")
	lines := follow(t, keeper)
	if err := keeper.Start(); err != nil {
		t.Fatal(err)
	}
	waitFor(t, func() bool { return lines.first("serving") != "" })
	keeper.Process.Kill()
	keeper.Wait()
	noTaskLeft(t, dir)
	run(t, 0, dir, "run", "--sandbox")
	nothingLeft(t, dir)
}

// nothingLeft holds that no process, no mount and no state of a sandbox is
// left in the project.
func nothingLeft(t *testing.T, dir string) {
	t.Helper()
	noTaskLeft(t, dir)
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(mounts), dir) {
		t.Errorf("mounts are left in the project:\n%s", mounts)
	}
	if state := filepath.Join(dir, ".fastship", "sandbox"); exists(state) {
		left, _ := os.ReadDir(state)
		for _, e := range left {
			t.Errorf("left behind: .fastship/sandbox/%s", e.Name())
		}
	}
}
