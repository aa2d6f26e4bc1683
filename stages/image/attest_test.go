package image

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/sha1"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	cdx "github.com/CycloneDX/cyclonedx-go"

	"github.com/fastship/fastship/runner"
)

// libraryJar is a jar that can be rewritten.
func libraryJar(t testing.TB) string {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, e := range [][2]string{{"META-INF/maven/org.big/big/pom.properties", "version=1.0\n"}, {"a.txt", strings.Repeat("text ", 1000)}} {
		f, err := w.Create(e[0])
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprint(f, e[1])
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// attested runs a step over a jar with a real library and returns what was
// written.
func attested(t *testing.T, change func(*Config, *In)) (*Step, In, Out, []Attachment) {
	t.Helper()
	library := libraryJar(t)
	in := digested(t, bootJar(t, t.TempDir(), time.Now(), map[string]string{"BOOT-INF/lib/big-1.0.jar": library}))
	in.Group = "com.example"
	in.Libraries = []Library{{File: "small-1.0.jar", Group: "org.small", Name: "small", Version: "1.0"}}
	in.Build = Build{Maven: "3.9.11", Host: "github", Run: "https://example.com/runs/1"}
	time.Sleep(40 * time.Millisecond) // settled long enough to be stamped
	c := Config{Base: "oci:" + baseLayout(t, runtime.GOARCH), Layout: t.TempDir()}
	change(&c, &in)
	s := New(c, Deps{Cache: newCache(t), State: t.TempDir()})
	r := s.mustRun(t, in)
	list, err := s.Attachments(t.Context(), r.Out.Digest)
	if err != nil {
		t.Fatal(err)
	}
	return s, in, r.Out, list
}

func TestAttachments(t *testing.T) {
	s, in, out, list := attested(t, func(*Config, *In) {})
	if len(list) != 2 || list[0].Name != "sbom" || list[1].Name != "provenance" || !list[1].Statement {
		t.Fatalf("%+v", list)
	}
	var bom cdx.BOM
	if err := cdx.NewBOMDecoder(bytes.NewReader(list[0].Content), cdx.BOMFileFormatJSON).Decode(&bom); err != nil {
		t.Fatal(err)
	}
	by := map[string]cdx.Component{}
	for _, c := range *bom.Components {
		by[c.Name] = c
	}
	sum := sha1.Sum([]byte(libraryJar(t)))
	if big := by["big"]; big.PackageURL != "pkg:maven/org.big/big@1.0" || (*big.Hashes)[0].Value != hex.EncodeToString(sum[:]) {
		t.Errorf("the original's digest is %x: %+v", sum, big)
	}
	if small := by["small"]; small.PackageURL != "pkg:maven/org.small/small@1.0" {
		t.Errorf("small %+v", small)
	}
	if base := by[s.config.Base]; base.Type != cdx.ComponentTypeContainer || !strings.HasPrefix(base.Version, "sha256:") {
		t.Errorf("base %+v", base)
	}
	if bom.Metadata.Timestamp != "2024-05-06T06:08:09Z" {
		t.Errorf("timestamp %s", bom.Metadata.Timestamp)
	}
	var st struct {
		Subject   []resource
		Predicate slsa
	}
	if err := json.Unmarshal(list[1].Content, &st); err != nil {
		t.Fatal(err)
	}
	d := st.Predicate.BuildDefinition
	if "sha256:"+st.Subject[0].Digest["sha256"] != out.Digest || d.ExternalParameters.Goals[0] != "package" || d.ResolvedDependencies[0].Digest["gitCommit"] != in.Revision ||
		len(d.ResolvedDependencies) != 5 || st.Predicate.RunDetails.Metadata.InvocationID != in.Build.Run {
		t.Errorf("%s", list[1].Content)
	}
	for _, a := range list {
		if strings.Contains(string(a.Content), filepath.Dir(in.Jar.Name)) {
			t.Errorf("%s tells of a path on this machine", a.Name)
		}
		if got, err := os.ReadFile(filepath.Join(s.deps.State, a.file())); err != nil || !bytes.Equal(got, a.Content) {
			t.Errorf("%s: %v", a.file(), err)
		}
	}
}

// TestAttachmentsOfAKnownImage: what was written once for an image is written
// no more, though the jar is gone and another build made it.
func TestAttachmentsOfAKnownImage(t *testing.T) {
	s, in, out, list := attested(t, func(*Config, *In) {})
	in.Build.Run = "https://example.com/runs/2"
	if r := s.mustRun(t, in); r.Out.Digest != out.Digest {
		t.Fatal("another image")
	}
	other := New(s.config, s.deps) // as a later run from the push on
	again, err := other.Attachments(t.Context(), out.Digest)
	if err != nil || len(again) != 2 || !bytes.Equal(again[1].Content, list[1].Content) || again[1].Predicate != slsaPredicate {
		t.Fatalf("%+v, %v", again, err)
	}
	if _, err := other.Attachments(t.Context(), "sha256:"+strings.Repeat("0", 64)); err == nil {
		t.Error("an image that nobody made has attachments")
	}
}

func TestAttachmentsOnRequest(t *testing.T) {
	no := false
	s, in, out, list := attested(t, func(c *Config, _ *In) { c.Pushed, c.SBOM = true, &no })
	if len(list) != 1 || list[0].Name != "provenance" {
		t.Errorf("%+v", list)
	}
	// Pushed, nobody writes them but for the push; and then of the jar that
	// the image was made of.
	lazy := New(s.config, Deps{Cache: newCache(t), State: t.TempDir()})
	in.Dirty = true
	if r := lazy.mustRun(t, in); r.Out.Digest != out.Digest {
		t.Fatal("another image")
	}
	if _, err := os.Stat(filepath.Join(lazy.deps.State, "provenance.json")); err == nil {
		t.Error("written though nobody asked")
	}
	if err := os.WriteFile(in.Jar.Name, []byte("another build"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := lazy.Attachments(t.Context(), out.Digest); err == nil {
		t.Error("it tells of another jar")
	}
	s.config.Provenance = &no
	if list, err := New(s.config, s.deps).Attachments(t.Context(), out.Digest); err != nil || len(list) != 0 {
		t.Errorf("%+v, %v", list, err)
	}
}

// TestAttachmentsDirty: the commit's digest stands for no other tree.
func TestAttachmentsDirty(t *testing.T) {
	_, in, _, list := attested(t, func(_ *Config, in *In) { in.Dirty = true })
	if s := string(list[1].Content); strings.Contains(s, "gitCommit") || !strings.Contains(s, `"dirty":true`) || !strings.Contains(s, in.Revision) {
		t.Error(s)
	}
}

// TestAttachmentsOfAJar: nobody here built it, and only the jar itself tells
// its coordinates.
func TestAttachmentsOfAJar(t *testing.T) {
	in := digested(t, bootJar(t, t.TempDir(), time.Now(), map[string]string{"META-INF/maven/org.app/app/pom.properties": "version=3\n"}))
	in.Name, in.Version, in.Revision, in.Source = "app.jar", "", "", ""
	time.Sleep(40 * time.Millisecond) // settled long enough to be stamped
	s := New(Config{Base: "oci:" + baseLayout(t, runtime.GOARCH), Layout: t.TempDir()}, Deps{Cache: newCache(t), State: t.TempDir()})
	list, err := s.Attachments(t.Context(), s.mustRun(t, in).Out.Digest)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(list[0].Content), "pkg:maven/org.app/app@3") {
		t.Errorf("%s", list[0].Content)
	}
	if said := string(list[1].Content); strings.Contains(said, "goals") || !strings.Contains(said, in.Jar.Digest.Hex()) {
		t.Error(said)
	}
}

// TestAttachmentsCancelled: background work ends with the run.
func TestAttachmentsCancelled(t *testing.T) {
	s, in := known(t)
	s.config.Pushed = true
	r, err := s.Run(t.Context(), runner.Env{Emit: func(runner.Body) {}}, in)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	stop := errors.New("enough")
	cancel(stop)
	if _, err := s.Attachments(ctx, r.Out.Digest); !errors.Is(err, stop) {
		t.Errorf("%v", err)
	}
}
