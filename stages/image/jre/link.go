package jre

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/fastship/fastship/runner"
	"github.com/fastship/fastship/stages/internal/oci"
)

// link makes a run-time image in dir, with an archive of the JDK's own classes
// where its JVM runs here. fixed tells whether its bytes are the same at every
// run. JDK 8 has its run-time image ready made, for which home is elsewhere.
func link(ctx context.Context, r Request, dir string) (home string, fixed bool, err error) {
	jdk := r.JDK
	if jdk.Major < 9 {
		return jdk.runtime(), true, nil
	}
	home, fits := homeIn(dir)
	if err := os.MkdirAll(filepath.Dir(home), 0o755); err != nil {
		return "", false, err
	}
	strip := "--strip-java-debug-attributes"
	if jdk.Major < 13 {
		strip = "--strip-debug" // the same, before it could also strip libraries
	}
	// No --compress: layers are compressed as a whole, and a JVM that need
	// not inflate its own classes starts faster.
	args := []string{
		"--add-modules", strings.Join(r.Modules, ","), "--output", home,
		strip, "--no-header-files", "--no-man-pages",
		"-J-XX:TieredStopAtLevel=1", "-J-XX:+UseSerialGC", // a short job
	}
	if jdk.linksOptions() {
		args = append(args, "--add-options="+strings.Join(jdk.defaultOptions(), " "))
	}
	foreign := jdk.Home != r.Linker.Home
	if foreign {
		args = append(args, "--module-path", filepath.Join(jdk.Home, "jmods"))
	}
	if !jdk.hasJmods() { // so that an administrator's java.security does not stand in the way
		args = append(args, "--ignore-modified-runtime")
	}
	changed := func(line string) {
		file, ok := strings.CutSuffix(strings.TrimPrefix(line, "Warning: "), " has been modified")
		if ok && filepath.Base(file) != "cacerts" { // which the base has of its own
			r.Emit(runner.Warning{Text: file + " was changed after the JDK was installed: the image has it as it is"})
		}
	}
	if err := runTelling(ctx, r.Linker.tool("jlink"), args, changed); err != nil {
		return "", false, err
	}
	// The JVM refuses its archive when this file's time is another one.
	if err := os.Chtimes(filepath.Join(home, "lib", "modules"), oci.Epoch(), oci.Epoch()); err != nil {
		return "", false, err
	}
	if foreign { // its JVM does not run here: it starts without an archive
		r.note("the JVM for %s does not run here, so its classes are not archived: it starts some 0.3 s slower", jdk.Platform())
		return home, true, nil
	}
	fixed, err = archive(ctx, jdk, home)
	return home, fixed && fits, err
}

const (
	workPrefix = "fastship-jre-"
	// workGrace is the age below which an unlocked directory may be one that
	// its process is about to lock.
	workGrace = time.Minute
)

// homeLength is the length in bytes of every path that a base is linked at:
// the class data archive of JDK 17 depends on it, though not on the path.
const homeLength = 200

// homeIn is where in dir to link, and whether it has that length.
func homeIn(dir string) (home string, fixed bool) {
	const name = "java"
	pad := homeLength - len(dir) - len("/") - len("/"+name)
	if pad < 1 {
		return filepath.Join(dir, name), false
	}
	return filepath.Join(dir, strings.Repeat("x", pad), name), true
}

// workspace makes an empty directory for one link; its path has no symbolic
// links. It is locked, so that a later run can tell it from what a killed one
// has left.
func workspace() (dir string, release func(), err error) {
	if dir, err = os.MkdirTemp("", workPrefix); err != nil {
		return "", nil, err
	}
	f, err := lock(dir)
	if err == nil {
		dir, err = filepath.EvalSymlinks(dir)
	}
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
