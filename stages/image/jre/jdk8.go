package jre

import (
	"archive/zip"
	"bufio"
	"debug/elf"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/fastship/fastship/cache"
)

// A JDK 8 knows no modules and has no jlink: its base is its jre folder, as it
// is. A JRE 8, which is that folder alone, does as well.

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// releaseFile reads what a JDK says of itself. Debian's JDK 8 has no release
// file; then the manifest of its class library says the same.
func releaseFile(home string) ([]byte, error) {
	content, err := os.ReadFile(filepath.Join(home, "release"))
	if !errors.Is(err, fs.ErrNotExist) {
		return content, err
	}
	for _, runtime := range []string{filepath.Join(home, "jre"), home} {
		if library := filepath.Join(runtime, "lib", "rt.jar"); exists(library) {
			return releaseOf(library, filepath.Join(runtime, "bin", "java"))
		}
	}
	return nil, err
}

// releaseOf writes the release file that JDK 8 lacks.
func releaseOf(library, java string) ([]byte, error) {
	archive, err := zip.OpenReader(library)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", library, err)
	}
	defer archive.Close()
	manifest, err := archive.Open("META-INF/MANIFEST.MF")
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", library, err)
	}
	defer manifest.Close()
	var version, vendor string
	for lines := bufio.NewScanner(manifest); lines.Scan() && lines.Text() != ""; {
		name, value, _ := strings.Cut(lines.Text(), ": ")
		switch name {
		case "Implementation-Version":
			version = value
		case "Implementation-Vendor":
			vendor = value
		}
	}
	program, err := elf.Open(java)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", java, err)
	}
	defer program.Close()
	arch := map[elf.Machine]string{elf.EM_X86_64: "x86_64", elf.EM_AARCH64: "aarch64"}[program.Machine]
	return fmt.Appendf(nil, "JAVA_VERSION=%q\nIMPLEMENTOR=%q\nOS_NAME=\"Linux\"\nOS_ARCH=%q\n", version, vendor, arch), nil
}

// identify8 is identify for the jre folder of a JDK 8: the size of its class
// library and the JVM's build ID beside its version.
func (j JDK) identify8(release []byte) (cache.Digest, error) {
	key := cache.NewKey("jdk", "1").Add("release", string(release))
	jvms, err := filepath.Glob(filepath.Join(j.runtime(), "lib", "*", "server", "libjvm.so"))
	if err == nil && len(jvms) == 0 {
		err = errors.New("it has no lib/*/server/libjvm.so")
	}
	for _, jvm := range jvms {
		id, idErr := fileIdentity(jvm)
		err = errors.Join(err, idErr)
		key = key.Add("jvm", id)
	}
	for _, jar := range []string{"rt.jar", "jce.jar", "jsse.jar", "charsets.jar", "resources.jar"} {
		if info, statErr := os.Stat(filepath.Join(j.runtime(), "lib", jar)); statErr == nil {
			key = key.Add(jar, info.Size())
		}
	}
	if err != nil {
		return "", fmt.Errorf("identify %s: %w", j, err)
	}
	return cache.Digest("sha256:" + string(key.Key())), nil
}

// desktop lists the packages of what is java.desktop in later releases.
func desktopPackages() []string {
	return []string{"java/applet", "java/awt", "java/beans", "javax/accessibility", "javax/imageio", "javax/print", "javax/sound", "javax/swing"}
}

// modules8 is modules for JDK 8: java.desktop where the classes name some of
// it, which decides on fonts, and nothing else.
func modules8(found []references) []string {
	for _, refs := range found {
		for _, pkg := range refs.packages(8) {
			if slices.ContainsFunc(desktopPackages(), func(d string) bool { return pkg == d || strings.HasPrefix(pkg, d+"/") }) {
				return []string{"java.desktop"}
			}
		}
	}
	return nil
}
