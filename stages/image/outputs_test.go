package image

import (
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/validate"

	"github.com/fastship/fastship/internal/fault"
	"github.com/fastship/fastship/runner"
)

func TestOutputs(t *testing.T) {
	memory, at, dir := newCache(t), t.TempDir(), t.TempDir()
	in := bootJar(t, t.TempDir(), time.Unix(1e9, 0), nil)
	archived, copied := filepath.Join(dir, "out", "orders.tar"), filepath.Join(dir, "layout")
	c := Config{Base: "oci:" + baseLayout(t, here().Architecture), Layout: at, Outputs: Outputs{Archive: archived, Copy: copied}}
	plan, err := New(c, Deps{Cache: memory}).Plan(t.Context(), in)
	if got := strings.Join(plan.Lines, "\n"); err != nil || !strings.HasSuffix(got, "copy the OCI layout to "+copied+"\nwrite the docker-archive "+archived) {
		t.Errorf("%s, %v", got, err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("Plan wrote %v, %v", left, err)
	}
	out := run(t, c, memory, in).Out
	image := read(t, at, out.Digest)
	// The layout's layers are zstd, which no archive may have.
	loaded, err := tarball.ImageFromPath(archived, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := validate.Image(loaded); err != nil {
		t.Error(err)
	}
	want, err := image.ConfigName()
	got, gotErr := loaded.ConfigName()
	if err != nil || gotErr != nil || want != got {
		t.Errorf("the archive's config is %v, the layout's %v: %v %v", got, want, err, gotErr)
	}
	m, err := tarball.LoadManifest(func() (io.ReadCloser, error) { return os.Open(archived) })
	if err != nil || len(m) != 1 || !slices.Equal(m[0].RepoTags, []string{"orders:latest"}) {
		t.Errorf("manifest %+v, %v", m, err)
	}
	if x, err := layout.ImageIndexFromPath(copied); err != nil || validImage(read(t, copied, out.Digest)) != nil {
		t.Errorf("%v, %v", x, err)
	}

	// Nothing changed, nothing is written.
	before, err := os.Stat(archived)
	if err != nil {
		t.Fatal(err)
	}
	told := &told{}
	if _, err := New(c, Deps{Cache: memory}).Run(t.Context(), told.env(), in); err != nil {
		t.Fatal(err)
	}
	if after, err := os.Stat(archived); err != nil || !os.SameFile(before, after) {
		t.Errorf("the archive was written again: %v", err)
	}
	if note, ok := told.all[len(told.all)-1].(runner.Note); !ok || note.Text != archived+" holds the image already" {
		t.Errorf("told %v", told.all)
	}
	// An archive that was cut short is replaced.
	if err := os.Truncate(archived, 600); err != nil {
		t.Fatal(err)
	}
	run(t, c, memory, in)
	if _, err := tarball.ImageFromPath(archived, nil); err != nil {
		t.Error(err)
	}
	if left, err := filepath.Glob(filepath.Join(dir, "out", ".*")); err != nil || len(left) != 0 {
		t.Errorf("left %v, %v", left, err)
	}
}

func TestBadOutputs(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	other := filepath.Join(dir, "pom.xml")
	if err := os.WriteFile(other, []byte("<project/>"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := (Outputs{Archive: file}).check(t.Context(), nil); err != nil {
		t.Errorf("an empty file: %v", err)
	}
	for want, o := range map[string]Outputs{
		"image.outputs.archive: " + dir + " is not a file":        {Archive: dir},
		"image.outputs.archive: " + file + " is not a folder":     {Archive: filepath.Join(file, "x.tar")},
		"image.outputs.archive: " + other + " is there and is no": {Archive: other},
		"write an OCI layout: " + dir + " holds something else":   {Copy: dir},
		`image.outputs.engine: "Orders" is no name of an image`:   {Engine: "Orders"},
		`image.outputs.engine: "a@sha256:0" is no name of an ima`: {Engine: "a@sha256:0"},
	} {
		err := New(Config{Outputs: o}, Deps{}).Check(t.Context())
		if err == nil || !strings.HasPrefix(err.Error(), want) || fault.ClassOf(err) != fault.BadInput || fault.HintOf(err) == "" {
			t.Errorf("%+v: %v", o, err)
		}
	}
	gone := func(name string) (string, bool) { return "unix:///nowhere/docker.sock", name == "DOCKER_HOST" }
	if err := New(Config{Outputs: Outputs{Engine: "orders"}}, Deps{Getenv: gone}).Check(t.Context()); fault.ClassOf(err) != fault.Missing {
		t.Errorf("no engine: %v", err)
	}
	if tag, err := engineTag("localhost:5000/a/b"); err != nil || tag != "localhost:5000/a/b:latest" {
		t.Errorf("%s, %v", tag, err)
	}
}

// TestCutShortLayout: a copy that was cut short, by a full disk or a kill, is
// in nobody's way.
func TestCutShortLayout(t *testing.T) {
	from, to := t.TempDir(), filepath.Join(t.TempDir(), "copy")
	blobs := filepath.Join(from, "blobs", "sha256")
	if err := os.MkdirAll(filepath.Join(blobs, "afolder"), 0o755); err != nil { // no file: the copy fails there
		t.Fatal(err)
	}
	for _, name := range []string{"oci-layout", "index.json"} {
		if err := os.WriteFile(filepath.Join(from, name), []byte("{}"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := copyLayout(t.Context(), from, to); err == nil {
		t.Fatal("a folder was copied as a blob")
	}
	if _, err := os.Stat(filepath.Join(to, "index.json")); err == nil {
		t.Error("half a layout has an index")
	}
	if err := checkLayout(to); err != nil {
		t.Errorf("the next run: %v", err)
	}
	killed := filepath.Join(t.TempDir(), newFile+"1")
	if err := os.WriteFile(killed, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := checkLayout(filepath.Dir(killed)); err != nil {
		t.Errorf("after a kill: %v", err)
	}
}

// TestReadOnlyPlaces are found before any work.
func TestReadOnlyPlaces(t *testing.T) {
	if err := checkWritable("/dev/null/x"); fault.ClassOf(err) != fault.Missing || fault.HintOf(err) == "" {
		t.Errorf("%v", err)
	}
	dir := t.TempDir()
	if err := checkWritable(filepath.Join(dir, "new", "folder")); err != nil {
		t.Error(err)
	}
	if os.Geteuid() == 0 {
		return // who writes to every folder
	}
	if err := os.Chmod(dir, 0o500); err != nil {
		t.Fatal(err)
	}
	for _, o := range []Outputs{{Archive: filepath.Join(dir, "new", "x.tar")}, {Copy: filepath.Join(dir, "copy")}} {
		err := New(Config{Outputs: o}, Deps{}).Check(t.Context())
		if fault.ClassOf(err) != fault.Missing || fault.HintOf(err) == "" || !strings.Contains(err.Error(), dir) {
			t.Errorf("%+v: %v", o, err)
		}
	}
}
