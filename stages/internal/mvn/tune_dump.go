package mvn

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/fastship/fastship/internal/proc"
)

const (
	maxArchive = 96 << 20 // bytes; those seen have 25 to 40 MB
	dumpTime   = 3 * time.Minute
)

// Dump makes an archive of the classes in dir and returns its file: by the JDK
// that they were recorded on, on one CPU and with the lowest priority, without
// any option of the user's.
func (c Classes) Dump(ctx context.Context, h Host, j JDK, dir string) (file string, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, dumpTime, fmt.Errorf("it took more than %v", dumpTime))
	defer cancel()
	file, list := filepath.Join(dir, "archive"), filepath.Join(dir, "classes")
	if err := os.WriteFile(list, c.list, 0o600); err != nil {
		return "", err
	}
	common := slices.Concat([]string{flagCompiler, flagCollector, "-XX:ActiveProcessorCount=1", "-Xmx512m"}, c.options,
		[]string{"-XX:SharedArchiveFile=" + file, "-cp", c.ClassPath})
	if err := quietJava(ctx, h, j, append(common, "-XX:SharedClassListFile="+list, "-Xshare:dump")); err != nil {
		return "", err
	}
	info, err := os.Stat(file)
	if err != nil {
		return "", err
	}
	if info.Size() > maxArchive {
		return "", fmt.Errorf("it has %d MB, more than %d", info.Size()>>20, maxArchive>>20)
	}
	if err := quietJava(ctx, h, j, append(common, "-XX:+VerifySharedSpaces", "-Xshare:on", "-version")); err != nil {
		return "", fmt.Errorf("start from it: %w", err)
	}
	return file, nil
}

// quietJava runs a JVM that nobody waits for. The error is what it said last
// of an error, when it ends with one.
func quietJava(ctx context.Context, h Host, j JDK, args []string) error {
	c := proc.Cmd{Path: filepath.Join(j.Home, "bin", "java"), Args: args, Grace: time.Second}
	c.Env = h.Without(envToolOptions).Without(envJavaOptions).Without(envOldOptions).Environ
	if nice, err := exec.LookPath("nice"); err == nil {
		c.Path, c.Args = nice, slices.Concat([]string{"-n", "19", c.Path}, args)
	}
	var mu sync.Mutex
	said := ""
	c.Stderr = func(line string) {
		mu.Lock()
		defer mu.Unlock()
		if said == "" || strings.Contains(line, "rror") {
			said = line
		}
	}
	c.Stdout = c.Stderr
	exit, err := proc.Run(ctx, c)
	if err == nil && exit.Code != 0 {
		err = errors.New("java: " + said)
	}
	return err
}
