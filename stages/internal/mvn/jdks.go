package mvn

import (
	"context"
	"encoding/xml"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// JDKs yields the installed JDKs and JREs, each once, best known first:
// JAVA_HOME, the java on PATH, toolchains.xml, JAVA_HOME_* variables, and the
// places where systems and version managers put them. It looks no further
// than the caller goes on.
func (h Host) JDKs(ctx context.Context) iter.Seq[JDK] {
	return func(yield func(JDK) bool) {
		seen := map[string]bool{}
		for _, c := range h.candidates(ctx) {
			for _, home := range c.homes() {
				j, ok := readJDK(ctx, home, c.found)
				if !ok || seen[j.Home] {
					continue
				}
				seen[j.Home] = true
				if !yield(j) {
					return
				}
			}
		}
	}
}

type candidate struct {
	found string
	homes func() []string
}

func (h Host) candidates(ctx context.Context) []candidate {
	all := []candidate{
		{"JAVA_HOME", func() []string { return nonEmpty(h.Getenv("JAVA_HOME")) }},
		{"PATH", func() []string { return nonEmpty(h.pathJava(ctx)) }},
		{"toolchains.xml", h.toolchains},
		{"the environment", h.variables},
	}
	for _, pattern := range h.places() {
		all = append(all, candidate{filepath.Dir(strings.TrimSuffix(pattern, "/Contents/Home")), func() []string {
			homes, _ := filepath.Glob(pattern) // fails only on a malformed pattern
			return homes
		}})
	}
	return all
}

func nonEmpty(s string) []string {
	if s == "" {
		return nil
	}
	return []string{s}
}

// pathJava is the home of the java on PATH. A shim (jenv, asdf) is a script
// that lies in no home: it is asked.
func (h Host) pathJava(ctx context.Context) string {
	java := h.lookPath("java")
	if java == "" || (h.os() == "darwin" && java == "/usr/bin/java") {
		return "" // macOS has a stub there that offers to install a JDK
	}
	if real, err := filepath.EvalSymlinks(java); err == nil {
		home := filepath.Dir(filepath.Dir(real))
		if exists(filepath.Join(home, "release")) || exists(filepath.Join(home, "lib", "modules")) || filepath.Base(home) == "jre" {
			return home
		}
	}
	home, _ := askJava(ctx, java)
	return home
}

// variables are JAVA_HOME_17_X64 and the like, as hosted CI agents set them.
func (h Host) variables() []string {
	var homes []string
	for _, e := range h.Environ {
		name, value, _ := strings.Cut(e, "=")
		if strings.HasPrefix(name, "JAVA_HOME_") || name == "JDK_HOME" {
			homes = append(homes, value)
		}
	}
	slices.Sort(homes)
	return homes
}

// toolchains are the JDKs that the user's ~/.m2/toolchains.xml names, or the
// files that Maven reads instead of it
// (maven.apache.org/guides/mini/guide-using-toolchains.html).
func (h Host) toolchains() []string {
	files := h.Toolchains
	if len(files) == 0 {
		files = []string{filepath.Join(h.Home, ".m2", "toolchains.xml")}
	}
	var homes []string
	for _, f := range files {
		homes = append(homes, h.toolchainsIn(f)...)
	}
	return homes
}

func (h Host) toolchainsIn(path string) []string {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil
	}
	var file struct {
		Toolchains []struct {
			Type string `xml:"type"`
			Home string `xml:"configuration>jdkHome"`
		} `xml:"toolchain"`
	}
	if xml.Unmarshal(text, &file) != nil {
		return nil // Maven itself will say so
	}
	var homes []string
	for _, t := range file.Toolchains {
		if strings.TrimSpace(t.Type) == "jdk" {
			homes = append(homes, h.expand(strings.TrimSpace(t.Home)))
		}
	}
	return homes
}

// expand replaces ${env.NAME} and ${user.home}, as Maven does in its files.
func (h Host) expand(s string) string {
	return Interpolate(s, func(name string) (string, bool) {
		if v, ok := strings.CutPrefix(name, "env."); ok {
			return h.Getenv(v), true
		}
		return h.Home, name == "user.home"
	})
}

// places are the patterns of JDK homes on this system.
func (h Host) places() []string {
	var all []string
	user := func(patterns ...string) {
		for _, p := range patterns {
			if h.Home != "" {
				all = append(all, filepath.Join(h.Home, p))
			}
		}
	}
	system := func(patterns ...string) {
		for _, p := range patterns {
			all = append(all, h.Root+p)
		}
	}
	if h.os() == "darwin" {
		system("/Library/Java/JavaVirtualMachines/*/Contents/Home")
		user("Library/Java/JavaVirtualMachines/*/Contents/Home")
		system("/opt/homebrew/opt/openjdk*/libexec/openjdk.jdk/Contents/Home", "/usr/local/opt/openjdk*/libexec/openjdk.jdk/Contents/Home")
	} else {
		system("/usr/lib/jvm/*", "/usr/lib64/jvm/*", "/usr/java/*", "/usr/local/openjdk-*", "/opt/java/*", "/opt/jdk*", "/opt/jdks/*",
			"/opt/hostedtoolcache/Java_*/*/*", "/home/linuxbrew/.linuxbrew/opt/openjdk*/libexec")
	}
	if sdkman := h.Getenv("SDKMAN_CANDIDATES_DIR"); sdkman != "" {
		all = append(all, filepath.Join(sdkman, "java", "*"))
	} else if sdkman := h.Getenv("SDKMAN_DIR"); sdkman != "" {
		all = append(all, filepath.Join(sdkman, "candidates", "java", "*"))
	}
	user(".sdkman/candidates/java/*", ".jdks/*", ".asdf/installs/java/*", ".local/share/mise/installs/java/*", ".jabba/jdk/*", ".gradle/jdks/*")
	return all
}
