// Package jre makes the Java base of an image out of a JDK on this machine,
// without a network and without Docker: the modules an application needs,
// linked by jlink, and the shared libraries, certificates, locale and account
// files without which a JVM does not run in an empty root.
package jre

import (
	"bytes"
	"cmp"
	"context"
	"debug/elf"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/fastship/fastship/cache"
	"github.com/fastship/fastship/internal/fault"
)

// JDK is a Java development kit on this machine, as its release file
// describes it.
type JDK struct {
	Home    string   // absolute
	Root    string   // of the file system that it belongs to: /, or the folder of another machine's
	Version string   // 17.0.15
	Major   int      // 17
	Vendor  string   // Debian, Eclipse Adoptium; may be empty
	OS      string   // Linux
	Arch    string   // x86_64, aarch64
	Modules []string // names, sorted; empty for JDK 8

	identity func() (cache.Digest, error) // identify's answer, found once
	stamp    func() string                // of what identify reads, taken before it
}

const elsewhere = "set image.base to an image that has Java"

// Find reads what JDK is at javaHome. The error is of class fault.Missing.
func Find(javaHome string) (JDK, error) {
	home, err := filepath.Abs(javaHome)
	if err != nil {
		return JDK{}, fmt.Errorf("find the JDK at %s: %w", javaHome, err)
	}
	content, err := releaseFile(home)
	if err != nil {
		return JDK{}, fault.New(fault.Missing, "set JAVA_HOME to a JDK, or "+elsewhere, "find the JDK at %s: %w", home, err)
	}
	props := properties(content)
	jdk := JDK{
		Home: home, Version: props["JAVA_VERSION"], Vendor: props["IMPLEMENTOR"],
		OS: props["OS_NAME"], Arch: props["OS_ARCH"],
		Modules: strings.Fields(props["MODULES"]),
	}
	slices.Sort(jdk.Modules)
	if jdk.Major = major(jdk.Version); jdk.Major == 0 {
		return JDK{}, fault.New(fault.Missing, "set JAVA_HOME to a JDK, or "+elsewhere,
			"find the JDK at %s: its release file has JAVA_VERSION=%q", home, jdk.Version)
	}
	jdk.Root = rootOf(jdk.runtime())
	jdk.stamp = sync.OnceValue(func() string { return jdk.files(content) })
	jdk.identity = sync.OnceValues(func() (cache.Digest, error) {
		jdk.stamp()
		return jdk.identify(content)
	})
	return jdk, nil
}

// Again is j, just found, with the identity that an earlier Find of the same
// JDK has had the time to read, where the kernel says that nothing has changed
// since.
func (j JDK) Again(earlier JDK) JDK {
	if earlier.Home == j.Home && earlier.stamp != nil && j.stamp() != "" && j.stamp() == earlier.stamp() {
		j.identity = earlier.identity
	}
	return j
}

// files tells the files that identify reads from others that took their place,
// as the kernel knows them; empty where that takes as long as reading them.
func (j JDK) files(release []byte) string {
	if j.Major < 9 || !j.hasJmods() {
		return ""
	}
	text := string(release)
	for _, name := range []string{"lib/server/libjvm.so", "lib/modules", "jmods"} {
		var st unix.Stat_t
		if unix.Stat(filepath.Join(j.Home, name), &st) != nil {
			return ""
		}
		text += fmt.Sprintf("%s %d %d %d %d\n", name, st.Size, st.Ctim.Nano(), st.Ino, st.Dev)
	}
	return text
}

// Identity names the JDK for cache keys: the same installation on another
// machine has the same one.
func (j JDK) Identity() (cache.Digest, error) { return j.identity() }

// String names the JDK for people: JDK 17.0.15 (Debian).
func (j JDK) String() string {
	if j.Vendor == "" {
		return "JDK " + j.Version
	}
	return "JDK " + j.Version + " (" + j.Vendor + ")"
}

// Platform is what jdk runs on, as container images name it: linux/arm64. The
// names on the left are those of OpenJDK's own build.
func (j JDK) Platform() string {
	arch := map[string]string{"x86_64": "amd64", "aarch64": "arm64", "i686": "386", "i586": "386"}[j.Arch]
	return strings.ToLower(cmp.Or(j.OS, "linux")) + "/" + cmp.Or(arch, j.Arch, runtime.GOARCH)
}

// properties reads a release file: NAME="value" lines.
func properties(content []byte) map[string]string {
	props := make(map[string]string)
	for line := range strings.Lines(string(content)) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok {
			props[name] = strings.Trim(value, `"`)
		}
	}
	return props
}

// major is the feature release of a version string: 8 of 1.8.0_412, 17 of
// 17.0.15 (JEP 223), 26 of 26-ea; 0 when there is none.
func major(version string) int {
	version = strings.TrimPrefix(version, "1.")
	if end := strings.IndexFunc(version, func(r rune) bool { return r < '0' || r > '9' }); end >= 0 {
		version = version[:end]
	}
	n, _ := strconv.Atoi(version)
	return n
}

// Check tells, by reading only, whether linker, a JDK that runs on this
// machine, can link a base from jdk, which is linker itself or one of the same
// release for another platform. The error is of class fault.Missing and its
// hint names image.base.
func Check(ctx context.Context, jdk, linker JDK) error {
	refuse := func(hint, format string, args ...any) error {
		return fault.New(fault.Missing, hint, "link a base from %s at %s: "+format, append([]any{jdk, jdk.Home}, args...)...)
	}
	foreign := jdk.Home != linker.Home
	switch {
	case jdk.Major < 9:
		if !exists(filepath.Join(jdk.runtime(), "lib", "rt.jar")) {
			return refuse("install the whole JDK, or "+elsewhere, "it has no %s", filepath.Join(jdk.runtime(), "lib", "rt.jar"))
		}
		return jdk.checkRoot(refuse)
	case !foreign && runtime.GOOS != "linux":
		return refuse("set image.jdks to a Linux JDK, or "+elsewhere, "an image needs a Linux base")
	case jdk.OS != "" && jdk.OS != "Linux":
		return refuse(elsewhere, "an image needs a Linux base, and this JDK is for %s", jdk.OS)
	}
	if _, err := exec.LookPath(linker.tool("jlink")); err != nil {
		return refuse("install the whole JDK, or "+elsewhere, "it has no jlink: %w", err)
	}
	switch {
	case foreign && jdk.hasJmods():
		return jdk.checkRoot(refuse)
	case jdk.hasJmods():
		return nil
	case foreign:
		return refuse("use one with jmods, or "+elsewhere, "it has no jmods directory, which linking for another platform needs")
	case jdk.Major < 24:
		return refuse("install the JDK's jmods (Fedora: java-"+strconv.Itoa(jdk.Major)+"-openjdk-jmods), or "+elsewhere, "it has no jmods directory, which jlink needs before JDK 24")
	}
	if ok, err := jdk.linkable(ctx); err != nil {
		return refuse(elsewhere, "%w", err)
	} else if !ok {
		return refuse("use a JDK with jmods, or "+elsewhere, "it has no jmods directory, and was built without linking from the run-time image (JEP 493)")
	}
	return nil
}

func (j JDK) tool(name string) string { return filepath.Join(j.Home, "bin", name) }

func (j JDK) hasJmods() bool {
	_, err := os.Stat(filepath.Join(j.Home, "jmods", "java.base.jmod"))
	return err == nil
}

// lib/modules begins with its index: 2 MB in JDK 17 and 25.
const (
	indexBytes    = 4 << 20 // holds all of it
	indexIdentity = 1 << 20 // enough of it to tell two images apart
)

// linkable tells whether a JDK was built to link from its own run-time image
// (JEP 493). Such an image holds the list fs_java.base_files for jlink, whose
// name's last part stands in the index; where it does not, jlink itself is
// asked, which takes a JVM's start.
func (j JDK) linkable(ctx context.Context) (bool, error) {
	index, _, err := j.imageIndex(indexBytes)
	if err != nil || bytes.Contains(index, []byte("\x00base_files\x00")) {
		return err == nil, err
	}
	enabled := false
	err = run(ctx, j.tool("jlink"), []string{"--help"}, func(line string) {
		enabled = enabled || strings.Contains(line, "Linking from run-time image enabled")
	})
	return enabled, err
}

func (j JDK) imageIndex(length int64) (index []byte, size int64, err error) {
	f, err := os.Open(filepath.Join(j.Home, "lib", "modules"))
	if err != nil {
		return nil, 0, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, 0, err
	}
	index = make([]byte, min(info.Size(), length))
	_, err = io.ReadFull(f, index)
	return index, info.Size(), err
}

// runtime is the folder that holds bin/java and the files of java.home: the
// JDK's own, and jre inside it in a JDK 8.
func (j JDK) runtime() string {
	if inner := filepath.Join(j.Home, "jre"); j.Major < 9 && exists(filepath.Join(inner, "lib", "rt.jar")) {
		return inner
	}
	return j.Home
}

// identify tells what makes two installations the same JDK on any machine,
// without reading its 200 MB: the release file, the JVM's build ID, the index
// of the run-time image (hashes, sizes and places of what is in it) and the
// sizes of the jmods. Certificates are apart: distributions replace them.
func (j JDK) identify(release []byte) (cache.Digest, error) {
	if j.Major < 9 {
		return j.identify8(release)
	}
	jvm, err := fileIdentity(filepath.Join(j.Home, "lib", "server", "libjvm.so"))
	if err != nil {
		return "", fmt.Errorf("identify %s: %w", j, err)
	}
	index, size, err := j.imageIndex(indexIdentity)
	if err != nil {
		return "", fmt.Errorf("identify %s: %w", j, err)
	}
	parts := cache.NewKey("jdk", "1").Add("release", string(release)).Add("jvm", jvm).
		Add("modules", size).Add("index", string(cache.Sum(index)))
	if !j.hasJmods() {
		files, err := j.asInstalled()
		if err != nil {
			return "", fmt.Errorf("identify %s: %w", j, err)
		}
		parts = parts.Add("files", files)
	}
	jmods, err := os.ReadDir(filepath.Join(j.Home, "jmods"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("identify %s: %w", j, err)
	}
	for _, e := range jmods {
		info, err := e.Info()
		if err != nil {
			return "", fmt.Errorf("identify %s: %w", j, err)
		}
		parts = parts.Add("jmod "+e.Name(), info.Size())
	}
	return cache.Digest(parts.Key()), nil
}

// asInstalled names the files that linking from the run-time image takes from
// where they lie, and that may have been changed there: settings by content,
// libraries by size.
func (j JDK) asInstalled() ([]string, error) {
	var list []string
	for _, dir := range []string{"conf", "lib"} {
		top := filepath.Join(j.Home, dir)
		err := filepath.WalkDir(top, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || dir == "lib" && !strings.HasSuffix(path, ".so") {
				return err
			}
			info, err := os.Stat(path) // Debian links to /etc
			if err != nil {
				return err
			}
			id := strconv.FormatInt(info.Size(), 10)
			if dir == "conf" {
				content, err := os.ReadFile(path)
				if err != nil {
					return err
				}
				id = string(cache.Sum(content))
			}
			list = append(list, strings.TrimPrefix(path, j.Home)+" "+id)
			return nil
		})
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
	return list, nil
}

// fileIdentity names a shared library by its size and the linker's build ID,
// a hash of its content; by a digest of the whole file where there is none.
func fileIdentity(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return "", err
	}
	object, err := elf.NewFile(f)
	if err != nil {
		return "", fmt.Errorf("read %s: %w", path, err)
	}
	if id := buildID(object); id != "" {
		return fmt.Sprintf("%d bytes, build ID %s", info.Size(), id), nil
	}
	content, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	return string(cache.Sum(content)), nil
}

// buildID reads the note that ld --build-id writes: three words (name size,
// content size, type), the name "GNU\0", the ID.
func buildID(object *elf.File) string {
	const head = 3*4 + 4
	section := object.Section(".note.gnu.build-id")
	if section == nil {
		return ""
	}
	note, err := section.Data()
	if err != nil || len(note) <= head {
		return ""
	}
	return hex.EncodeToString(note[head:])
}
