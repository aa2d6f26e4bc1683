package jre

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fastship/fastship/internal/fault"
)

// TestCertificatesOfAnUnpackedJDK: out of packages alone, a JDK has a link that
// leads nowhere. That is told before anything is made.
func TestCertificatesOfAnUnpackedJDK(t *testing.T) {
	root := t.TempDir()
	home := filepath.Join(root, "jdk")
	security := filepath.Join(home, "lib", "security")
	if err := os.MkdirAll(security, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/etc/java/cacerts", filepath.Join(security, "cacerts")); err != nil {
		t.Fatal(err)
	}
	refuse := func(hint, format string, args ...any) error { return fault.New(fault.Missing, hint, format, args...) }
	jdk := JDK{Home: home, Root: root, Major: 17}
	err := jdk.checkCertificates(refuse)
	if fault.ClassOf(err) != fault.Missing || !strings.Contains(err.Error(), "no trusted certificates") || !strings.Contains(fault.HintOf(err), "ca-certificates-java") {
		t.Errorf("%v, hint: %s", err, fault.HintOf(err))
	}
	if err := errors.Join(os.MkdirAll(filepath.Join(root, "etc", "java"), 0o755), os.WriteFile(filepath.Join(root, "etc", "java", "cacerts"), nil, 0o644)); err != nil {
		t.Fatal(err)
	}
	if err := jdk.checkCertificates(refuse); err != nil {
		t.Error(err)
	}
	// Check asks for it: /bin/sh stands for a program of this machine.
	if err := copyFile(filepath.Join(home, "bin", "java"), "/bin/sh"); err != nil {
		t.Fatal(err)
	}
	jdk.Root = "/"
	if err := jdk.checkRoot(refuse); err == nil || !strings.Contains(err.Error(), "no trusted certificates") {
		t.Error(err)
	}
}

func copyFile(to, from string) error {
	src, err := os.Open(from)
	if err != nil {
		return err
	}
	defer src.Close()
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	dst, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY, 0o755)
	if err != nil {
		return err
	}
	_, err = io.Copy(dst, src)
	return errors.Join(err, dst.Close())
}
