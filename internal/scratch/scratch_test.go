package scratch

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// TestMain is also the process that a test kills: it makes a folder and waits.
func TestMain(m *testing.M) {
	parent := os.Getenv("SCRATCH_HOLD")
	if parent == "" {
		os.Exit(m.Run())
	}
	dir, _, err := Dir(parent, "x-")
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "secret"), []byte("s"), 0o600)
	}
	fmt.Println(dir, err)
	time.Sleep(time.Minute)
}

func TestAKilledProcessLeavesNothingForLong(t *testing.T) {
	parent := t.TempDir()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	holder := exec.Command(self)
	holder.Env = append(os.Environ(), "SCRATCH_HOLD="+parent)
	out, err := holder.StdoutPipe()
	if err == nil {
		err = holder.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	var dir, said string
	_, _ = fmt.Sscan(line, &dir, &said)
	if err != nil || said != "<nil>" {
		t.Fatalf("the holder said %q, %v", line, err)
	}
	names := func() (all []string) {
		found, err := os.ReadDir(parent)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range found {
			all = append(all, e.Name())
		}
		return all
	}
	for _, name := range []string{"x-file", "y-other", "x-"} { // not ours to remove
		if err := os.Mkdir(filepath.Join(parent, name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Remove(filepath.Join(parent, "x-file")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(parent, "x-file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	Sweep(parent, "x-")
	if n := names(); len(n) != 4 {
		t.Errorf("beside a live holder: %q", n)
	}
	if err := holder.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = holder.Wait() // it was killed
	if _, err := os.Stat(filepath.Join(dir, "secret")); err != nil {
		t.Fatalf("after kill -9: %v", err)
	}
	mine, remove, err := Dir(parent, "x-")
	if err != nil {
		t.Fatal(err)
	}
	if n := names(); len(n) != 4 {
		t.Errorf("after the next one was made: %q", n)
	}
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("the killed process' folder: %v", err)
	}
	if info, err := os.Stat(mine); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the new one: %v, %v", info, err)
	}
	remove()
	if n := names(); len(n) != 3 {
		t.Errorf("after it was removed: %q", n)
	}
}

func TestManyAtOnceKeepTheirOwn(t *testing.T) {
	parent := t.TempDir()
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 50 {
				dir, remove, err := Dir(parent, "x-")
				if err == nil {
					err = os.WriteFile(filepath.Join(dir, "f"), nil, 0o600)
				}
				if err != nil {
					t.Errorf("%v", err)
					return
				}
				remove()
			}
		})
	}
	all.Wait()
	if left, err := os.ReadDir(parent); err != nil || len(left) != 0 {
		t.Errorf("left %v, %v", left, err)
	}
}
