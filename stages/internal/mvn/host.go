package mvn

import (
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

// Host is the machine as the search for Maven and JDKs sees it. The zero
// value is this machine with an empty environment.
type Host struct {
	Environ []string // NAME=value
	Home    string   // the user's home folder
	Root    string   // stands before the system's own folders; empty but in tests
	OS      string   // GOOS; empty means this machine's
	// Toolchains are the toolchains.xml files that Maven reads, the strongest
	// first; empty means ~/.m2/toolchains.xml.
	Toolchains []string
}

// Getenv returns a variable of Environ; the last one wins, as in os/exec.
func (h Host) Getenv(name string) string {
	value := ""
	for _, e := range h.Environ {
		if n, v, ok := strings.Cut(e, "="); ok && n == name {
			value = v
		}
	}
	return value
}

// Without is the host without a variable.
func (h Host) Without(name string) Host {
	h.Environ = slices.DeleteFunc(slices.Clone(h.Environ), func(e string) bool { return strings.HasPrefix(e, name+"=") })
	return h
}

func (h Host) os() string {
	if h.OS != "" {
		return h.OS
	}
	return runtime.GOOS
}

// lookPath finds a program in Environ's PATH; empty when there is none.
func (h Host) lookPath(name string) string {
	for _, dir := range filepath.SplitList(h.Getenv("PATH")) {
		if !filepath.IsAbs(dir) {
			continue // relative to whom? os/exec refuses these as well
		}
		if path := filepath.Join(dir, name); executable(path) {
			return path
		}
	}
	return ""
}

func executable(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
