package sandbox

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/fastship/fastship/internal/container"
	"github.com/fastship/fastship/internal/fault"
)

// A sandbox's directory. Whoever lives in it holds a lock on lockName, which
// ends with its process, however that ends: a state file without one is a dead
// sandbox's.
const (
	lockName  = "lock"
	stateName = "state.json"
)

// state is what other processes need to know of a sandbox.
type state struct {
	PID        int    `json:"pid"`
	Keep       bool   `json:"keep"`
	Registry   string `json:"registry"` // host:port
	Endpoint   string `json:"endpoint"` // host:port of ECS
	URL        string `json:"url"`      // host:port of the application
	Cluster    string `json:"cluster"`
	Service    string `json:"service"`
	Container  string `json:"container"`
	Region     string `json:"region"`
	Repository string `json:"repository"`
}

// errLocked says that a living process holds the lock.
var errLocked = errors.New("a sandbox lives here")

// tryLock takes the lock of dir. A lock file that was removed meanwhile is not
// the one that others will try, so it is tried again.
func tryLock(path string, flags int) (*os.File, error) {
	for {
		f, err := os.OpenFile(path, os.O_RDWR|flags, 0o644)
		if err != nil {
			return nil, err
		}
		err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err != nil {
			f.Close()
			if errors.Is(err, syscall.EWOULDBLOCK) {
				err = errLocked
			}
			return nil, err
		}
		held, err1 := f.Stat()
		present, err2 := os.Stat(path)
		if err1 == nil && err2 == nil && os.SameFile(held, present) {
			return f, nil
		}
		f.Close()
	}
}

// acquire makes dir and takes its lock.
func acquire(dir string) (*os.File, error) {
	for range 10 {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return nil, fault.New(fault.Missing, "make the project's folder writable", "make the sandbox's directory: %w", err)
		}
		lock, err := tryLock(filepath.Join(dir, lockName), os.O_CREATE)
		switch {
		case err == nil:
			return lock, nil
		case errors.Is(err, errLocked):
			return nil, busy(dir)
		case !errors.Is(err, fs.ErrNotExist): // else another one has just moved out and removed the directory
			return nil, fmt.Errorf("lock the sandbox: %w", err)
		}
	}
	return nil, fmt.Errorf("lock the sandbox: %s comes and goes", dir)
}

func busy(dir string) error {
	who := ""
	if s, err := readState(dir); err == nil {
		who = fmt.Sprintf(" (process %d)", s.PID)
	}
	return fault.New(fault.Missing, "wait for its end, or start it with --keep to roll over to the next image", "another fastship%s uses the sandbox of this project", who)
}

// clearDir removes all but the lock.
func clearDir(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.Name() != lockName {
			err = errors.Join(err, container.RemoveAll(filepath.Join(dir, e.Name())))
		}
	}
	return err
}

// release removes the directory, the lock last, and gives it free.
func release(dir string, lock *os.File) error {
	err := clearDir(dir)
	if err == nil {
		if err = os.Remove(filepath.Join(dir, lockName)); err == nil {
			_ = os.Remove(dir) // not when the next one has moved in already
		}
	}
	if err := errors.Join(err, lock.Close()); err != nil {
		return fmt.Errorf("remove the sandbox: %w", err)
	}
	return nil
}

func writeState(dir string, s state) error {
	raw, err := json.Marshal(s)
	if err != nil {
		return err
	}
	tmp := filepath.Join(dir, stateName+".new")
	if err := os.WriteFile(tmp, raw, 0o644); err != nil {
		return err
	}
	return os.Rename(tmp, filepath.Join(dir, stateName))
}

func readState(dir string) (s state, err error) {
	raw, err := os.ReadFile(filepath.Join(dir, stateName))
	if err != nil {
		return s, err
	}
	return s, json.Unmarshal(raw, &s)
}

// Find returns the sandbox of another process that serves in dir with --keep,
// or nil when there is none. An error of class fault.Missing says that there
// is one that serves nobody but its own run. It writes nothing.
func Find(dir string) (*Remote, error) {
	path := filepath.Join(dir, lockName)
	// A sandbox that has just been started has not written its state yet.
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		lock, err := tryLock(path, 0)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, nil
		}
		if err == nil {
			return nil, lock.Close() // a dead one's
		}
		if !errors.Is(err, errLocked) {
			return nil, fmt.Errorf("look for a sandbox: %w", err)
		}
		s, err := readState(dir)
		switch {
		case err == nil && s.Keep:
			return &Remote{state: s}, nil
		case err == nil || time.Now().After(deadline):
			return nil, busy(dir)
		}
	}
}
