package jre

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/fastship/fastship/internal/proc"
)

// archive writes the class data archive of the run-time image at home, which
// every JVM start maps (1.0 s instead of 1.3 s for a small program).
//
// The JVM itself writes it, not jlink: one archive instead of two, with a
// collector, a heap and a number of processors that do not depend on the
// machine. Its bytes still depend on where memory lies and on which thread
// gets to load a class first: in JDK 17 the finalizer's thread and main race
// for jdk.internal.misc.VM while the JVM starts. So addresses are fixed, all
// threads share one processor and do not preempt each other, and the log is
// asked whether one thread loaded everything; if not, it is done again. fixed
// tells whether all that was possible here.
func archive(ctx context.Context, jdk JDK, home string) (fixed bool, err error) {
	const tries = 20 // a machine with ten times the work of its processors spoils every second one
	command := steadily(ctx, jdk.Arch)
	java := filepath.Join(home, "bin", "java")
	log := home + ".classes"
	command = append(command, java, "-Xshare:dump",
		"-XX:+UseG1GC", "-Xms128m", "-Xmx128m", "-XX:ActiveProcessorCount=2",
		"-Xlog:class+load:file="+log+":tid")
	for range tries {
		if err := run(ctx, command[0], command[1:], nil); err != nil {
			return false, err
		}
		if command[0] == java {
			return false, nil
		}
		threads, err := loaders(log)
		if threads == 1 || err != nil {
			return err == nil, err
		}
	}
	return false, nil
}

// loaders counts the threads in a log of loaded classes and removes it. Its
// lines begin with the thread: [4711] java.lang.Object source: …
func loaders(log string) (int, error) {
	content, err := os.ReadFile(log)
	if err != nil {
		return 0, fmt.Errorf("read which thread loaded which class: %w", err)
	}
	threads := make(map[string]bool)
	for line := range strings.Lines(string(content)) {
		thread, _, _ := strings.Cut(line, " ")
		threads[thread] = true
	}
	if len(threads) == 0 {
		return 0, errors.New("read which thread loaded which class: the log is empty")
	}
	return len(threads), os.Remove(log)
}

// steadily is the command in front of another that fixes its addresses
// (setarch -R), gives it one processor and batch scheduling; nil where one of
// these programs is absent or not allowed: Docker's seccomp profile forbids
// the first.
func steadily(ctx context.Context, arch string) []string {
	cpu, err := oneProcessor()
	if err != nil {
		return nil
	}
	command := []string{"chrt", "--batch", "0", "taskset", "-c", cpu, "setarch", arch, "-R"}
	exit, err := proc.Run(ctx, proc.Cmd{Path: command[0], Args: append(command[1:], "true")})
	if err != nil || exit.Code != 0 {
		return nil
	}
	return command
}

// oneProcessor names one that this process may run on: the last of the list
// in proc(5), such as 0-3,6.
func oneProcessor() (string, error) {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(status)) {
		if list, ok := strings.CutPrefix(line, "Cpus_allowed_list:"); ok {
			list = strings.TrimSpace(list)
			return list[strings.LastIndexAny(list, ",-")+1:], nil
		}
	}
	return "", errors.New("/proc/self/status has no Cpus_allowed_list")
}
