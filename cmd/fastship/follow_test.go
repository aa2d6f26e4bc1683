package main

import (
	"bufio"
	"os/exec"
	"strings"
	"sync"
	"testing"
)

// gathered is what a process prints while it runs.
type gathered struct {
	mu    sync.Mutex
	lines []string
}

// follow gathers a command's stderr; call it before the command starts.
func follow(t *testing.T, cmd *exec.Cmd) *gathered {
	t.Helper()
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	g := &gathered{}
	go func() {
		for scanner := bufio.NewScanner(stderr); scanner.Scan(); {
			g.mu.Lock()
			g.lines = append(g.lines, scanner.Text())
			g.mu.Unlock()
		}
	}()
	return g
}

// first returns the first line that contains a word, or the empty string.
func (g *gathered) first(word string) string {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, line := range g.lines {
		if strings.Contains(line, word) {
			return line
		}
	}
	return ""
}

func (g *gathered) all() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return strings.Join(g.lines, "\n")
}
