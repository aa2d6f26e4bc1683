package mvn

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/fastship/fastship/internal/proc"
)

// JDK is an installed Java.
type JDK struct {
	Home    string // its folder: what JAVA_HOME holds
	Version string // as it calls itself: 17.0.15, 1.8.0_392
	Major   int    // its feature release: 8, 17, 25
	Javac   bool   // it has a compiler; without one it is a JRE
	Found   string // where it was found: JAVA_HOME, PATH, toolchains.xml, a folder
}

func (j JDK) String() string {
	s := fmt.Sprintf("%s in %s", j.Version, j.Home)
	if j.Found == "JAVA_HOME" || j.Found == "PATH" || j.Found == "toolchains.xml" {
		s += " (" + j.Found + ")"
	}
	if !j.Javac {
		s += ", a JRE without javac"
	}
	return s
}

// Oldest is the oldest release that this JDK's javac compiles for. JEP 182
// ("Policy for Retiring javac -source and -target Options"): 9 dropped 5, 12
// dropped 6, 20 dropped 7.
func (j JDK) Oldest() int {
	switch {
	case j.Major < 9:
		return 1
	case j.Major < 12:
		return 6
	case j.Major < 20:
		return 7
	}
	return 8
}

// Fits tells whether this JDK compiles for all these releases.
func (j JDK) Fits(releases []int) bool {
	for _, r := range releases {
		if r > j.Major || r < j.Oldest() {
			return false
		}
	}
	return j.Javac
}

// JavaMajor is the feature release of a Java version: 8 for 1.8 and
// 1.8.0_392, 17 for 17.0.15, 26 for 26-ea; 0 for what is no version.
func JavaMajor(version string) int {
	version = strings.TrimPrefix(strings.TrimSpace(version), "1.")
	end := strings.IndexFunc(version, func(r rune) bool { return r < '0' || r > '9' })
	if end < 0 {
		end = len(version)
	}
	n, err := strconv.Atoi(version[:end])
	if err != nil {
		return 0
	}
	return n
}

// readJDK reads the JDK in home from its release file, which all JDKs since 7
// have; without one it asks java itself.
func readJDK(ctx context.Context, home, found string) (JDK, bool) {
	if real, err := filepath.EvalSymlinks(home); err == nil {
		home = real
	}
	if parent := filepath.Dir(home); filepath.Base(home) == "jre" && executable(filepath.Join(parent, "bin", "javac")) {
		home = parent // a JDK 8 whose java was reached through its own JRE
	}
	if !executable(filepath.Join(home, "bin", "java")) {
		return JDK{}, false
	}
	j := JDK{Home: home, Found: found, Javac: executable(filepath.Join(home, "bin", "javac"))}
	j.Version = releaseVersion(home)
	if j.Version == "" {
		_, j.Version = askJava(ctx, filepath.Join(home, "bin", "java"))
	}
	j.Major = JavaMajor(j.Version)
	return j, j.Major > 0
}

func releaseVersion(home string) string {
	f, err := os.Open(filepath.Join(home, "release"))
	if err != nil {
		return ""
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		if v, ok := strings.CutPrefix(lines.Text(), "JAVA_VERSION="); ok {
			return strings.Trim(strings.TrimSpace(v), `"`)
		}
	}
	return ""
}

// askJava starts java to learn its home and version: for a JDK without a
// release file, and for the shims that version managers put on PATH.
func askJava(ctx context.Context, java string) (home, version string) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	read := func(line string) {
		line = strings.TrimSpace(line)
		if v, ok := strings.CutPrefix(line, "java.home = "); ok {
			home = v
		} else if v, ok := strings.CutPrefix(line, "java.version = "); ok {
			version = v
		}
	}
	_, _ = proc.Run(ctx, proc.Cmd{ // an unusable java is one that was not found
		Path: java, Args: []string{"-XshowSettings:properties", "-version"},
		Grace: time.Second, Stderr: read,
	})
	return home, version
}
