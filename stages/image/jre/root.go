package jre

import (
	"debug/elf"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// rootOf finds the root file system that a runtime belongs to: the nearest
// folder around it that has the dynamic loader which its java names, and a
// usr. That is / for what is installed, and the unpacked folder for another
// machine's, with the C library that goes with it.
func rootOf(runtime string) string {
	loader, err := loaderOf(filepath.Join(runtime, "bin", "java"))
	if err != nil {
		return "/" // whoever needs the loader says it
	}
	for dir := filepath.Dir(runtime); dir != "/"; dir = filepath.Dir(dir) {
		if !exists(filepath.Join(dir, "usr")) { // /usr has a lib64 too
			continue
		}
		if path, err := inRoot(dir, loader); err == nil && exists(path) {
			return dir
		}
	}
	return "/"
}

// checkRoot tells whether the shared libraries that jdk's programs need can be
// had. refuse makes the error.
func (j JDK) checkRoot(refuse func(hint, format string, args ...any) error) error {
	loader, err := loaderOf(filepath.Join(j.runtime(), "bin", "java"))
	if err != nil {
		return refuse(elsewhere, "%w", err)
	}
	path, err := inRoot(j.Root, loader)
	if err == nil {
		_, err = os.Stat(path)
	}
	if err == nil {
		return j.checkCertificates(refuse)
	}
	return refuse("take it together with the system it belongs to: unpack an image that has both (docker export), or install that system's C library here (Debian: dpkg --add-architecture, apt install libc6:ARCH zlib1g:ARCH libstdc++6:ARCH), or "+elsewhere,
		"its programs are loaded by %s, which neither this machine has nor a folder around the JDK", loader)
}

func loaderOf(java string) (string, error) {
	f, err := elf.Open(java)
	if err != nil {
		return "", fmt.Errorf("read %s: %w", java, err)
	}
	defer f.Close()
	loader, err := interpreter(f)
	if err != nil {
		return "", fmt.Errorf("read %s: %w", java, err)
	}
	return loader, nil
}

// maxLinks is what Linux follows on one path (path_resolution(7)).
const maxLinks = 40

// inRoot gives the place on this machine of a path in the file system at root,
// its links followed there as chroot(2) would have it. What does not exist
// has a place too.
func inRoot(root, path string) (string, error) {
	if root == "/" {
		real, err := filepath.EvalSymlinks(path)
		if errors.Is(err, fs.ErrNotExist) {
			return path, nil
		}
		return real, err
	}
	at, rest := "/", strings.TrimPrefix(filepath.Clean("/"+path), "/")
	for links := 0; rest != ""; {
		var name string
		name, rest, _ = strings.Cut(rest, "/")
		next := filepath.Join(at, name)
		target, err := os.Readlink(filepath.Join(root, next))
		if err != nil { // no link
			at = next
			continue
		}
		if links++; links > maxLinks {
			return "", fmt.Errorf("follow %s in %s: more than %d links", path, root, maxLinks)
		}
		if !filepath.IsAbs(target) {
			target = filepath.Join(at, target)
		}
		at, rest = "/", strings.TrimPrefix(filepath.Join(target, rest), "/")
	}
	return filepath.Join(root, at), nil
}
