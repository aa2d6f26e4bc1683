package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/fastship/fastship/internal/proc"
)

// host is what a benchmark stands on: a fresh binary, a folder of its own, and
// where it asks for one a real registry on loopback.
type host struct {
	dir      string // removed at the end
	fastship string // the binary
	registry string // host:port; empty: none
	args     []string
	stop     []func()
}

func newHost(ctx context.Context, args []string) (*host, error) {
	dir, err := os.MkdirTemp("", "fastship-bench-")
	if err != nil {
		return nil, err
	}
	h := &host{dir: dir, fastship: filepath.Join(dir, "fastship"), args: args}
	h.stop = append(h.stop, func() { os.RemoveAll(dir) })
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags=-s -w", "-o", h.fastship, "./cmd/fastship")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		h.close()
		return nil, fmt.Errorf("build fastship: %w\n%s", err, out)
	}
	fmt.Printf("%s, %d cores, %s\n\n", runtime.GOOS+"/"+runtime.GOARCH, runtime.NumCPU(), cpuModel())
	return h, nil
}

func (h *host) close() {
	for i := len(h.stop) - 1; i >= 0; i-- {
		h.stop[i]()
	}
}

// startRegistry runs Debian's distribution registry on a free port.
func (h *host) startRegistry(ctx context.Context) error {
	program, err := exec.LookPath("docker-registry")
	if err != nil {
		return errors.New("docker-registry is not installed: apt-get install docker-registry")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	h.registry = l.Addr().String()
	l.Close()
	config := filepath.Join(h.dir, "registry.yml")
	text := fmt.Sprintf("version: 0.1\nlog: {level: error, accesslog: {disabled: true}}\nstorage: {filesystem: {rootdirectory: %s}}\nhttp: {addr: %q}\n", filepath.Join(h.dir, "registry"), h.registry)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return err
	}
	server := exec.CommandContext(ctx, program, "serve", config)
	if err := server.Start(); err != nil {
		return err
	}
	h.stop = append(h.stop, func() { server.Process.Kill(); server.Wait() })
	for range 100 {
		if answer, err := http.Get("http://" + h.registry + "/v2/"); err == nil {
			answer.Body.Close()
			return nil
		}
		time.Sleep(50 * time.Millisecond)
	}
	return errors.New("the registry does not answer")
}

// usage is what one process cost.
type usage struct {
	wall   float64 // seconds
	cpu    float64 // seconds, user and system, children included
	memory int64   // bytes, the peak of this process alone; 0 where unknown
	out    []byte
}

// command runs a program to its end and measures it.
func command(ctx context.Context, dir string, env []string, name string, args ...string) (usage, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), env...)
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	start := time.Now()
	if err := cmd.Start(); err != nil {
		return usage{}, err
	}
	peak := proc.WatchMemory(cmd.Process.Pid)
	err := cmd.Wait()
	u := usage{wall: time.Since(start).Seconds(), out: []byte(out.String()), memory: peak()}
	u.cpu = (cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()).Seconds()
	if err != nil {
		return u, fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, out.String())
	}
	return u, nil
}

func cpuModel() string {
	info, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(info)) {
		if name, ok := strings.CutPrefix(line, "model name"); ok {
			return strings.TrimLeft(strings.TrimSpace(name), ": ")
		}
	}
	return "unknown processor"
}
