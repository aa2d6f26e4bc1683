package proc

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

// startError says why a child could not be started. execve(2) gives ENOENT
// for three different things, and the person must know which it was.
func startError(c Cmd, err error) error {
	wrap := func(format string, args ...any) error {
		return &os.PathError{Op: "start", Path: c.Path, Err: fmt.Errorf(format, args...)}
	}
	if errors.Is(err, exec.ErrNotFound) {
		return wrap("%w", exec.ErrNotFound)
	}
	if c.Dir != "" {
		if info, statErr := os.Stat(c.Dir); statErr != nil {
			return wrap("in its working directory: %w", statErr)
		} else if !info.IsDir() {
			return wrap("in its working directory: %s: %w", c.Dir, syscall.ENOTDIR)
		}
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if line := interpreterLine(c); strings.HasSuffix(line, "\r") {
			return wrap("its first line %q ends in CR: it has Windows line endings: %w", line, fs.ErrNotExist)
		} else if line != "" {
			return wrap("the interpreter of its first line %q: %w", line, fs.ErrNotExist)
		}
		return wrap("%w", fs.ErrNotExist)
	case errors.Is(err, fs.ErrPermission):
		return wrap("not executable: %w", fs.ErrPermission)
	case errors.Is(err, syscall.ENOEXEC):
		return wrap("not a program for this machine, nor a script with a #! line: %w", syscall.ENOEXEC)
	}
	return fmt.Errorf("start %s: %w", c.Path, err)
}

// interpreterLine returns the #! line of the program, or "" when it has none
// or cannot be read.
func interpreterLine(c Cmd) string {
	path := c.Path
	if !filepath.IsAbs(path) {
		path = filepath.Join(c.Dir, path)
	}
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	line, _ := bufio.NewReader(io.LimitReader(f, 256)).ReadString('\n')
	if !strings.HasPrefix(line, "#!") {
		return ""
	}
	return strings.TrimSuffix(line, "\n")
}
