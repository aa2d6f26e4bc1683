package container

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"
)

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
