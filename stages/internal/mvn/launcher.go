package mvn

import (
	"archive/zip"
	"bufio"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Launcher is the Maven to run.
type Launcher struct {
	Path    string // the program; empty when it has to be downloaded first
	Version string // Maven's version, empty when its files do not tell
	Wrapper bool   // it is the project's own mvnw
	Origin  string // where it comes from, for people
	Note    string // what is odd about the choice, empty mostly

	// Provided is a distribution that fastship brings: Path is empty until it
	// is there, or a wrapper's ./mvnw, which could bring it as well.
	Provided bool
	Environ  []string // NAME=value that it needs besides
	SHA512   string   // of a provided distribution's archive, as far as it is known beforehand

	wrapped                     string // the folder of the wrapper
	unpacked                    string // the mvn that the wrapper has unpacked before; empty when there is none
	url, sha256, user, password string // of the wrapper's distribution
}

// PinnedMaven is the version that is downloaded where no Maven is installed.
const PinnedMaven = "3.9.16"

// ChooseLauncher is FindLauncher for a wanted version: the wrapper, PATH or
// MAVEN_HOME when they are of that version, else its distribution. Empty and
// "auto" want none. It only reads.
func ChooseLauncher(h Host, dir, root, version string) Launcher {
	l := FindLauncher(h, dir, root)
	if version == "" || version == "auto" {
		return l
	}
	if l.Version == version {
		return l
	}
	if installed := findInstalled(h); installed.Version == version {
		return installed
	}
	l = Launcher{Version: version, Origin: "Maven's distribution, as maven.version asks", Provided: true}
	if version == PinnedMaven {
		l.SHA512 = pinnedSHA512
	}
	return l
}

// FindLauncher chooses the Maven for the project in dir: the project's own
// ./mvnw (also beside root's .mvn), else mvn on PATH or in MAVEN_HOME, else
// the pinned distribution. It only reads.
func FindLauncher(h Host, dir, root string) Launcher {
	note := ""
	for _, d := range []string{dir, root} {
		wrapper := filepath.Join(d, "mvnw")
		info, err := os.Stat(wrapper)
		if err != nil || info.IsDir() {
			continue
		}
		if executable(wrapper) {
			return wrapperLauncher(h, d)
		}
		note = fmt.Sprintf("%s is not executable and was passed over; chmod +x it to build with the project's own Maven", wrapper)
		break
	}
	if l := findInstalled(h); l.Path != "" {
		l.Note = note
		return l
	}
	return Launcher{Version: PinnedMaven, Origin: "Maven's distribution, pinned by fastship", Note: note, Provided: true, SHA512: pinnedSHA512}
}

// findInstalled is the Maven on PATH or in MAVEN_HOME; its Path is empty when
// there is none.
func findInstalled(h Host) Launcher {
	if mvn := h.lookPath("mvn"); mvn != "" {
		return Launcher{Path: mvn, Version: installedVersion(mvn), Origin: "PATH"}
	}
	for _, name := range []string{"MAVEN_HOME", "M2_HOME"} {
		if mvn := filepath.Join(h.Getenv(name), "bin", "mvn"); h.Getenv(name) != "" && executable(mvn) {
			return Launcher{Path: mvn, Version: installedVersion(mvn), Origin: name}
		}
	}
	return Launcher{}
}

// installedVersion reads the version of the distribution that a mvn script is
// part of, without starting it: a JVM would take half a second.
func installedVersion(mvn string) string {
	script, err := filepath.EvalSymlinks(mvn)
	if err != nil {
		return ""
	}
	jars, _ := filepath.Glob(filepath.Join(filepath.Dir(filepath.Dir(script)), "lib", "maven-core-*.jar"))
	if len(jars) != 1 {
		return ""
	}
	version := strings.TrimSuffix(strings.TrimPrefix(filepath.Base(jars[0]), "maven-core-"), ".jar")
	if strings.HasSuffix(version, ".x") { // Debian names it maven-core-3.x.jar
		return coreVersion(jars[0])
	}
	return version
}

func coreVersion(jar string) string {
	z, err := zip.OpenReader(jar)
	if err != nil {
		return ""
	}
	defer z.Close()
	f, err := z.Open("META-INF/maven/org.apache.maven/maven-core/pom.properties")
	if err != nil {
		return ""
	}
	defer f.Close()
	lines := bufio.NewScanner(io.LimitReader(f, 4<<10))
	for lines.Scan() {
		if v, ok := strings.CutPrefix(lines.Text(), "version="); ok {
			return strings.TrimSpace(v)
		}
	}
	return ""
}

// AtLeast compares the first numbers of Maven's version; an unknown version
// is never at least anything.
func (l Launcher) AtLeast(numbers ...int) bool {
	if l.Version == "" {
		return false
	}
	own := strings.FieldsFunc(l.Version, func(r rune) bool { return r == '.' || r == '-' })
	for i, want := range numbers {
		n := 0
		if i < len(own) {
			n, _ = strconv.Atoi(own[i]) // "rc" counts as 0
		}
		if n != want {
			return n > want
		}
	}
	return true
}

// AtLeastVersion is AtLeast for a version as it is written, such as 3.9.9.
func (l Launcher) AtLeastVersion(version string) bool {
	var numbers []int
	for part := range strings.SplitSeq(version, ".") {
		n, err := strconv.Atoi(part)
		if err != nil {
			return false
		}
		numbers = append(numbers, n)
	}
	return l.AtLeast(numbers...)
}

// MinJava is the oldest JDK that this Maven starts on: 4 wants 17, 3.9 wants
// 8 (the release notes' prerequisites); 0 when unknown.
func (l Launcher) MinJava() int {
	switch {
	case l.AtLeast(4, 0):
		return 17
	case l.AtLeast(3, 9):
		return 8
	}
	return 0
}

// MultiModuleRoot is the folder that Maven's script finds for dir: the nearest
// at or above it with a .mvn folder, else dir itself.
func MultiModuleRoot(dir string) string {
	for d := dir; ; d = filepath.Dir(d) {
		if info, err := os.Stat(filepath.Join(d, ".mvn")); err == nil && info.IsDir() {
			return d
		}
		if d == filepath.Dir(d) {
			return dir
		}
	}
}
