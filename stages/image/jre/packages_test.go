package jre

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const dpkgStatus = `Package: libc6
Status: install ok installed
Architecture: amd64
Multi-Arch: same
Source: glibc
Version: 2.36-9+deb12u10
Maintainer: GNU Libc Maintainers <debian-glibc@lists.debian.org>
Conffiles:
 /etc/ld.so.conf.d/x86_64-linux-gnu.conf d4e7a7b88a71b5ffd9e2644e71a0cfab
Description: GNU C Library: Shared libraries
 Contains the standard libraries.

Package: libc6
Status: install ok installed
Architecture: i386
Source: glibc
Version: 2.36-9

Package: libgcc-s1
Status: install ok installed
Architecture: amd64
Source: gcc-12 (12.2.0-13)
Version: 12.2.0-14

Package: gone
Status: deinstall ok config-files
Architecture: amd64
Version: 1

Package: other
Status: install ok installed
Architecture: all
Version: 1
`

func fakeDebian(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	for name, text := range map[string]string{
		"var/lib/dpkg/status":                    dpkgStatus,
		"var/lib/dpkg/info/libc6:amd64.list":     "/.\n/lib\n/lib/x86_64-linux-gnu/libc.so.6\n",
		"var/lib/dpkg/info/libc6:i386.list":      "/lib/i386-linux-gnu/libc.so.6\n",
		"var/lib/dpkg/info/libgcc-s1:amd64.list": "/usr/lib/x86_64-linux-gnu/libgcc_s.so.1\n",
		"var/lib/dpkg/info/gone.list":            "/opt/gone.so\n",
		"var/lib/dpkg/info/other.list":           "/opt/other.so\n",
		"usr/share/doc/libc6/copyright":          "LGPL",
		"etc/os-release":                         "ID=debian\nVERSION_ID=\"12\"\nPRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\n",
	} {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func TestPackagesOfTheClosure(t *testing.T) {
	root := fakeDebian(t)
	found, err := packagesOf(root, []string{"/usr/lib/x86_64-linux-gnu/libc.so.6", "/lib/x86_64-linux-gnu/libgcc_s.so.1", "/opt/gone.so", "/opt/nobodys.so"})
	if err != nil {
		t.Fatal(err)
	}
	want := []Package{
		{Name: "libc6", Version: "2.36-9+deb12u10", Architecture: "amd64", Source: "glibc", SourceVersion: "2.36-9+deb12u10", Maintainer: "GNU Libc Maintainers <debian-glibc@lists.debian.org>", Description: "GNU C Library: Shared libraries"},
		{Name: "libgcc-s1", Version: "12.2.0-14", Architecture: "amd64", Source: "gcc-12", SourceVersion: "12.2.0-13"},
	}
	if len(found) != 2 || found[0] != want[0] || found[1] != want[1] {
		t.Fatalf("%+v", found)
	}
	files, err := packageEntries(root, found)
	if err != nil {
		t.Fatal(err)
	}
	texts := map[string]string{}
	for _, f := range files {
		r, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(r)
		if err != nil || int64(len(b)) != f.Size {
			t.Fatal(f.Path, err)
		}
		texts[f.Path] = string(b)
	}
	if len(texts) != 3 || texts["usr/share/doc/libc6/copyright"] != "LGPL" {
		t.Errorf("%q", texts)
	}
	if got := texts["var/lib/dpkg/status.d/libgcc-s1"]; got != "Package: libgcc-s1\nStatus: install ok installed\nArchitecture: amd64\nSource: gcc-12 (12.2.0-13)\nVersion: 12.2.0-14\n" {
		t.Errorf("%q", got)
	}
	if got := texts["var/lib/dpkg/status.d/libc6"]; !strings.Contains(got, "\nSource: glibc\nVersion: 2.36-9+deb12u10\n") {
		t.Errorf("%q", got)
	}
	s, err := distribution(root)
	if err != nil || s != (System{"debian", "12", "Debian GNU/Linux 12 (bookworm)"}) {
		t.Errorf("%+v, %v", s, err)
	}
}

func TestSystemsWithoutDpkg(t *testing.T) {
	root := t.TempDir()
	if found, err := packagesOf(root, []string{"/lib/libc.so.6"}); err != nil || len(found) != 0 {
		t.Errorf("%+v, %v", found, err)
	}
	if s, err := distribution(root); err != nil || s != (System{}) {
		t.Errorf("%+v, %v", s, err)
	}
}
