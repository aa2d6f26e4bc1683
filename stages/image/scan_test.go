package image

import (
	"bytes"
	"encoding/json"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	cdx "github.com/CycloneDX/cyclonedx-go"

	"github.com/fastship/fastship/runner"
)

// TestScannersFindTheSame has syft list what is in an image with libraries
// stored, and with them as they are, of a real application (FASTSHIP_SCAN_JAR).
// What syft cannot name by descriptors it knows by SHA-1, if at all.
func TestScannersFindTheSame(t *testing.T) {
	jar := os.Getenv("FASTSHIP_SCAN_JAR")
	if jar == "" {
		t.Skip("set FASTSHIP_SCAN_JAR to a Spring Boot jar")
	}
	if _, err := exec.LookPath("syft"); err != nil {
		t.Skip("no syft: go install github.com/anchore/syft/cmd/syft@latest")
	}
	base := baseLayout(t, runtime.GOARCH)
	memory := newCache(t)
	var found [2][]string
	var ours map[string]bool
	for i, jars := range []string{jarsStored, jarsVerbatim} {
		in := digested(t, In{Jar: runner.Descriptor{Name: jar}, Name: "scanned", Version: "1"})
		s := New(Config{Base: "oci:" + base, Layout: t.TempDir(), Jars: jars, Compression: compressionGzip}, Deps{Cache: memory, State: t.TempDir()})
		r := s.mustRun(t, in)
		found[i] = syft(t, s.config.Layout)
		list, err := s.Attachments(t.Context(), r.Out.Digest)
		if err != nil {
			t.Fatal(err)
		}
		ours = purls(t, list[0].Content)
	}
	t.Logf("syft finds %d packages", len(found[0]))
	if len(found[0]) == 0 || !slices.Equal(found[0], found[1]) {
		t.Errorf("stored:\n%s\nverbatim:\n%s", strings.Join(found[0], "\n"), strings.Join(found[1], "\n"))
	}
	known := 0
	for _, f := range found[1] {
		if ours[f] {
			known++
		} else {
			t.Logf("syft alone: %s", f)
		}
	}
	t.Logf("%d of them are in our bill of materials, which has %d", known, len(ours))
}

// syft lists the package URLs that it finds in a layout.
func syft(t *testing.T, at string) []string {
	t.Helper()
	cmd := exec.Command("syft", "scan", "oci-dir:"+at, "-o", "cyclonedx-json", "-q")
	home := t.TempDir()
	cmd.Env = []string{"HOME=" + home, "PATH=" + os.Getenv("PATH"), "SYFT_CHECK_FOR_APP_UPDATE=false", "TMPDIR=" + home}
	var fault bytes.Buffer
	cmd.Stderr = &fault
	raw, err := cmd.Output()
	if err != nil {
		t.Fatalf("syft: %v\n%s", err, &fault)
	}
	if keep := os.Getenv("FASTSHIP_SCAN_KEEP"); keep != "" {
		if err := os.WriteFile(filepath.Join(keep, filepath.Base(at)+".json"), raw, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return slices.Sorted(maps.Keys(purls(t, raw)))
}

func purls(t *testing.T, raw []byte) map[string]bool {
	t.Helper()
	var bom cdx.BOM
	if err := json.Unmarshal(raw, &bom); err != nil {
		t.Fatal(err)
	}
	all := map[string]bool{}
	for _, c := range *bom.Components {
		if c.PackageURL != "" {
			all[c.PackageURL] = true
		}
	}
	return all
}
