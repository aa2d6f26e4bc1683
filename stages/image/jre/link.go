package jre

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/fastship/fastship/internal/proc"
	"github.com/fastship/fastship/stages/internal/oci"
)

// link makes a run-time image of modules at home, which must not exist, with
// an archive of the JDK's own classes that any JVM start maps (class data
// sharing: 0.3 s of 1.3 s).
//
// The archive is written by the JVM itself instead of by jlink: one of them
// instead of two, and with a collector and a heap that do not depend on the
// machine. fixed tells whether its bytes are the same at every run.
func link(ctx context.Context, jdk JDK, modules []string, home string) (fixed bool, err error) {
	strip := "--strip-java-debug-attributes"
	if jdk.Major < 13 {
		strip = "--strip-debug" // the same, before it could also strip libraries
	}
	// No --compress: layers are compressed as a whole, and a JVM that need
	// not inflate its own classes starts faster.
	args := []string{
		"--add-modules", strings.Join(modules, ","), "--output", home,
		strip, "--no-header-files", "--no-man-pages",
		"-J-XX:TieredStopAtLevel=1", "-J-XX:+UseSerialGC", // a short job
	}
	if err := run(ctx, jdk.tool("jlink"), args, nil); err != nil {
		return false, err
	}
	// The JVM refuses its archive when this file's time is another one.
	if err := os.Chtimes(filepath.Join(home, "lib", "modules"), oci.Epoch(), oci.Epoch()); err != nil {
		return false, err
	}
	dump := []string{"-Xshare:dump", "-XX:+UseG1GC", "-Xms128m", "-Xmx128m"}
	java := filepath.Join(home, "bin", "java")
	command := withFixedAddresses(ctx, jdk.Arch)
	if command == nil {
		return false, run(ctx, java, dump, nil)
	}
	return true, run(ctx, command[0], append(append(command[1:], java), dump...), nil)
}

// withFixedAddresses is the command in front of another that switches address
// space randomization off, without which the archive's bytes differ from run
// to run; nil where that is not there or not allowed (Docker's seccomp
// profile forbids it).
func withFixedAddresses(ctx context.Context, arch string) []string {
	command := []string{"setarch", arch, "-R"}
	exit, err := proc.Run(ctx, proc.Cmd{Path: command[0], Args: append(command[1:], "true")})
	if err != nil || exit.Code != 0 {
		return nil
	}
	return command
}

const (
	workPrefix = "fastship-jre-"
	// workGrace is the age below which an unlocked directory may be one that
	// its process is about to lock.
	workGrace = time.Minute
)

// workspace makes an empty directory for one link. It is locked, so that a
// later run can tell it from what a killed one has left.
func workspace() (dir string, release func(), err error) {
	if dir, err = os.MkdirTemp("", workPrefix); err != nil {
		return "", nil, err
	}
	f, err := lock(dir)
	if err != nil {
		os.RemoveAll(dir)
		return "", nil, err
	}
	return dir, func() {
		os.RemoveAll(dir)
		f.Close()
	}, nil
}

func lock(dir string) (*os.File, error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		return nil, fmt.Errorf("lock %s: %w", dir, err)
	}
	return f, nil
}

// sweep removes the directories of runs that were killed.
func sweep() {
	dirs, _ := filepath.Glob(filepath.Join(os.TempDir(), workPrefix+"*")) // the pattern is good
	for _, dir := range dirs {
		info, err := os.Lstat(dir)
		if err != nil || !info.IsDir() || time.Since(info.ModTime()) < workGrace {
			continue
		}
		if f, err := lock(dir); err == nil {
			os.RemoveAll(dir) // another user's stays
			f.Close()
		}
	}
}
