package inspect

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/fastship/fastship/internal/fault"
)

// layerOf makes a gzip layer of headers with their contents.
func layerOf(t *testing.T, entries ...any) v1.Layer {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for i := 0; i < len(entries); i += 2 {
		h, text := entries[i].(tar.Header), entries[i+1].(string)
		h.Size = int64(len(text))
		if h.Typeflag == 0 {
			h.Typeflag = tar.TypeReg
		}
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, text); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	l, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b.Bytes())), nil }, tarball.WithMediaType(types.OCILayer))
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// jarOf packs names and texts.
func jarOf(t *testing.T, namesAndTexts ...string) string {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for i := 0; i < len(namesAndTexts); i += 2 {
		f, err := w.Create(namesAndTexts[i])
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(f, namesAndTexts[i+1]); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// imageAt writes an image of layers, with their roles, as an OCI layout.
func imageAt(t *testing.T, roles []string, layers ...v1.Layer) string {
	t.Helper()
	image := empty.Image
	for i, l := range layers {
		var err error
		if image, err = mutate.Append(image, mutate.Addendum{Layer: l, History: v1.History{CreatedBy: "fastship", Comment: roles[i]}}); err != nil {
			t.Fatal(err)
		}
	}
	dir := filepath.Join(t.TempDir(), "layout")
	path, err := layout.Write(dir, empty.Index)
	if err != nil {
		t.Fatal(err)
	}
	if err := path.AppendImage(image); err != nil {
		t.Fatal(err)
	}
	return dir
}

func lookAt(t *testing.T, name string) *Report {
	t.Helper()
	image, err := Open(t.Context(), name, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer image.Close()
	r, err := Look(t.Context(), image, Auto)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func file(name string) tar.Header { return tar.Header{Name: name, Mode: 0o644} }

var pom = "META-INF/maven/org.x/lib/pom.properties"

func TestLook(t *testing.T) {
	clock := time.Date(2026, 5, 6, 7, 8, 9, 0, time.UTC)
	libraries := layerOf(t,
		tar.Header{Name: "app/", Typeflag: tar.TypeDir, Mode: 0o755}, "",
		file("app/lib/lib-1.0.jar"), jarOf(t, pom, "groupId=org.x\nartifactId=lib\nversion=1.0\n", "a/A.class", "x", "a/B.class", "y"),
		file("app/lib/other-2.1.Final.jar"), jarOf(t, "b/C.class", "z"),
		file("app/lib/text.jar"), "no zip",
	)
	messy := layerOf(t,
		tar.Header{Name: "z", ModTime: clock, Uname: "alice"}, "1",
		tar.Header{Name: "a", ModTime: clock.Add(time.Second), AccessTime: clock, Format: tar.FormatPAX}, "2",
		file("app.jar"), jarOf(t, "git.properties", "#Mon May 06 2026\ngit.build.time=now\n"),
		tar.Header{Name: "link", Typeflag: tar.TypeSymlink, Linkname: "a"}, "",
		file(".wh.gone"), "",
	)
	r := lookAt(t, imageAt(t, []string{"dependencies", "application"}, libraries, messy))
	if len(r.Layers) != 2 || r.Layers[0].Role != "dependencies" || !r.Layers[0].Read || r.Uncompressed == 0 {
		t.Fatalf("%+v", r)
	}
	l := r.Layers[0]
	if l.Files != 3 || l.Folders != 1 || l.Classes != 3 || len(l.Varying) != 0 {
		t.Errorf("%+v", l)
	}
	var jars []string
	for _, j := range l.Jars {
		jars = append(jars, strings.Join([]string{j.Path, j.Group, j.Name, j.Version}, " "))
	}
	if want := []string{"/app/lib/lib-1.0.jar org.x lib 1.0", "/app/lib/other-2.1.Final.jar  other 2.1.Final", "/app/lib/text.jar  text "}; !reflect.DeepEqual(jars, want) {
		t.Errorf("%q", jars)
	}
	if l.Jars[2].Broken == "" || l.Jars[0].Broken != "" {
		t.Errorf("%+v", l.Jars)
	}
	m := r.Layers[1]
	want := []string{
		"times: 2 entries have the time of a clock, the latest 2026-05-06T07:08:10Z of /a",
		"owners: names of the machine that built it: alice",
		"times: 1 entries tell when they were read or changed",
		"order: /a stands behind /z",
		"times: the build wrote the time of day into git.properties of app.jar",
	}
	if m.Links != 1 || m.Deletions != 1 || !slices.Equal(m.Varying, want) {
		t.Errorf("%+v\n%s", m, strings.Join(m.Varying, "\n"))
	}
	// One constant time is reproducible, whichever it is.
	even := lookAt(t, imageAt(t, []string{"x"}, layerOf(t, tar.Header{Name: "a", ModTime: clock}, "", tar.Header{Name: "b", ModTime: clock}, "")))
	if v := even.Layers[0].Varying; len(v) != 0 {
		t.Errorf("%q", v)
	}
}

func TestCompareSettings(t *testing.T) {
	before := summary(&Image{Config: v1.ConfigFile{Config: v1.Config{
		Env: []string{"A=1", "B=2"}, Cmd: []string{"-v"}, ExposedPorts: map[string]struct{}{"80/tcp": {}},
		Labels: map[string]string{"team": "orders", "org.opencontainers.image.revision": "one"},
	}}})
	now := summary(&Image{Config: v1.ConfigFile{Config: v1.Config{
		Env: []string{"B=3", "A=1"}, Cmd: []string{"-v", "-q"}, ExposedPorts: map[string]struct{}{"80/tcp": {}, "90/tcp": {}},
		Labels:      map[string]string{"team": "orders", "tier": "1", "org.opencontainers.image.revision": "two"},
		Healthcheck: &v1.HealthConfig{Test: []string{"CMD", "/probe"}, Interval: 5 * time.Second, Retries: 2},
	}}})
	want := []string{"args: -v → -v -q", "env: B=2 → B=3", "healthCheck: nothing → CMD /probe interval=5s retries=2", "labels: nothing → tier=1", "ports: nothing → 90/tcp", "revision: one → two"}
	if got := Compare(now, before).Config; !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if got := Compare(now, now).Config; len(got) != 0 {
		t.Errorf("the same: %q", got)
	}
}

func TestCompare(t *testing.T) {
	base := layerOf(t, file("etc/os"), "linux")
	lib := func(version string) string {
		return jarOf(t, pom, "groupId=org.x\nartifactId=lib\nversion="+version+"\n")
	}
	before := lookAt(t, imageAt(t, []string{"base", "dependencies", "old", "application"}, base,
		layerOf(t, file("lib/lib-1.0.jar"), lib("1.0"), file("lib/same-1.jar"), lib("9"), file("lib/gone-1.jar"), jarOf(t)),
		layerOf(t, file("old"), "x"),
		layerOf(t, file("app.jar"), jarOf(t, "A.class", "1", "B.class", "2", "C.class", "3"), file("run"), "1")))
	now := lookAt(t, imageAt(t, []string{"base", "dependencies", "application", "files"}, base,
		layerOf(t, file("lib/lib-1.1.jar"), lib("1.1"), file("lib/same-1.jar"), lib("9"), file("lib/new-3.jar"), jarOf(t, "x", "y")),
		layerOf(t, file("app.jar"), jarOf(t, "A.class", "1", "B.class", "9", "D.class", "4"), tar.Header{Name: "run", Mode: 0o755, Uid: 5}, "1"),
		layerOf(t, file("old"), "x", file("etc/app.conf"), "c")))
	d := Compare(now, before)
	var got []string
	for _, l := range d.Layers {
		got = append(got, l.State+" "+l.Role)
		for _, c := range l.Changes {
			got = append(got, strings.TrimSpace("  "+c.State+" "+c.Path+" "+c.Note+" "+strings.Join(c.Inside, " ")))
		}
	}
	want := []string{
		"same base",
		"changed dependencies", "changed /lib/lib-1.1.jar lib 1.0 → 1.1", "added /lib/new-3.jar new 3", "removed /lib/gone-1.jar gone 1",
		"changed application", "changed /app.jar  ~B.class +D.class -C.class", "changed /run mode 0644 → 0755, owner 0:0 → 5:0",
		"added files", "added /etc/app.conf", "added /old moved from another layer",
		"removed old", "removed /old moved to another layer",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if d.Bytes != now.Bytes-now.Layers[0].Bytes {
		t.Errorf("%d bytes to pull", d.Bytes)
	}
	if same := Compare(now, now); same.Bytes != now.Bytes-sizes(now) || len(same.Config) != 0 || slices.ContainsFunc(same.Layers, func(l LayerChange) bool { return l.State != Same }) {
		t.Errorf("an image against itself: %+v", same)
	}
	nameless := *now // as of a docker-archive
	nameless.Layers = slices.Clone(now.Layers)
	for i := range nameless.Layers {
		nameless.Layers[i].Digest = ""
	}
	if same := Compare(&nameless, now); same.Bytes != now.Bytes-sizes(now) {
		t.Errorf("%d bytes to pull of an archive's image by who has it", same.Bytes)
	}
	unread := *before
	unread.Layers = slices.Clone(before.Layers)
	unread.Layers[1].Read = false
	if u := Compare(now, &unread).Layers[1]; !u.Unread || u.Changes != nil {
		t.Errorf("%+v", u)
	}
}

func sizes(r *Report) (n int64) {
	for _, l := range r.Layers {
		n += l.Bytes
	}
	return n
}

// packLayout makes an oci-archive of a layout's folder.
func packLayout(t *testing.T, dir string) string {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	if err := w.AddFS(os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	at := filepath.Join(t.TempDir(), "image.tar")
	if err := os.WriteFile(at, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return at
}

func TestArchives(t *testing.T) {
	dir := imageAt(t, []string{"a"}, layerOf(t, file("x"), "y"))
	archive := packLayout(t, dir)
	a, b := lookAt(t, dir), lookAt(t, archive)
	if a.Digest == "" || a.Digest != b.Digest || len(b.Layers) != 1 || !b.Layers[0].Read {
		t.Errorf("%+v", b)
	}
	whole, err := os.ReadFile(archive)
	if err != nil {
		t.Fatal(err)
	}
	zipped := filepath.Join(t.TempDir(), "image.tar.gz")
	var z bytes.Buffer
	w := gzip.NewWriter(&z)
	if _, err := w.Write(whole); err != nil {
		t.Fatal(err)
	}
	w.Close()
	for at, content := range map[string][]byte{zipped: z.Bytes(), zipped + ".cut.tar": whole[:len(whole)/2], zipped + ".no.tar": []byte("text"), zipped + ".empty.tar": nil} {
		if err := os.WriteFile(at, content, 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := Open(t.Context(), at, Options{})
		if fault.ClassOf(err) != fault.BadInput || fault.HintOf(err) == "" || (at == zipped) != (fault.HintOf(err) == "unpack it with gunzip first") {
			t.Errorf("%s: %v, hint %q", at, err, fault.HintOf(err))
		}
	}
}

func TestBrokenLayers(t *testing.T) {
	dir := imageAt(t, []string{"a"}, layerOf(t, file("x"), strings.Repeat("y", 10_000)))
	digest := strings.TrimPrefix(lookAt(t, dir).Layers[0].Digest, "sha256:")
	at := filepath.Join(dir, "blobs", "sha256", digest)
	good, err := os.ReadFile(at)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(at, 0o600); err != nil {
		t.Fatal(err)
	}
	other := slices.Clone(good)
	other[4]++ // gzip's time, which unpacking ignores
	for want, content := range map[string][]byte{"is broken: its digest is": other, "read layer sha256:": good[:len(good)/2]} {
		if err := os.WriteFile(at, content, 0o600); err != nil {
			t.Fatal(err)
		}
		image, err := Open(t.Context(), dir, Options{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Look(t.Context(), image, Auto); fault.ClassOf(err) != fault.BadInput || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
		if r, err := Look(t.Context(), image, None); err != nil || r.Layers[0].Read {
			t.Errorf("unread: %v", err)
		}
	}
	if err := os.Remove(at); err != nil {
		t.Fatal(err)
	}
	image, err := Open(t.Context(), dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Look(t.Context(), image, Auto); err == nil || !strings.Contains(err.Error(), "lacks the layer") || fault.HintOf(err) == "" {
		t.Errorf("%v, hint %q", err, fault.HintOf(err))
	}
}

func TestChoose(t *testing.T) {
	index := func(platforms ...string) v1.IndexManifest {
		var x v1.IndexManifest
		for _, p := range platforms {
			d := v1.Descriptor{MediaType: types.OCIManifestSchema1, Digest: v1.Hash{Algorithm: "sha256", Hex: p}}
			if p != "" {
				parsed, err := v1.ParsePlatform(p)
				if err != nil {
					t.Fatal(err)
				}
				d.Platform = parsed
			}
			x.Manifests = append(x.Manifests, d)
		}
		return x
	}
	for _, c := range []struct {
		index v1.IndexManifest
		want  string
		got   string // a digest, or the beginning of an error
	}{
		{index("linux/s390x", "linux/arm64", "unknown/unknown"), "linux/arm64", "linux/arm64"},
		{index("linux/s390x"), "", "linux/s390x"},
		{index(""), "linux/arm64", ""},
		{index("linux/s390x", "linux/riscv64"), "", "x has no image for"},
		{index("linux/s390x"), "linux/arm64", "x has no image for linux/arm64, only for linux/s390x"},
		{index("unknown/unknown"), "", "x has no image"},
		{index("linux/s390x"), "amd64", `--platform "amd64" is no platform`},
	} {
		d, err := choose("x", c.index, Options{Platform: c.want})
		if err != nil && (!strings.HasPrefix(err.Error(), c.got) || fault.ClassOf(err) != fault.BadInput) || err == nil && d.Digest.Hex != c.got {
			t.Errorf("%s: %v, %v, want %q", c.want, d.Digest, err, c.got)
		}
	}
}

func TestWhy(t *testing.T) {
	before := Made{Digest: "sha256:1", Base: "JDK 17", Packing: "gzip", Layers: []MadeLayer{
		{Role: "base", Digest: "sha256:b"}, {Role: "dependencies", Digest: "sha256:d", Inputs: []Input{{"app/lib/a-1.jar", "x"}, {"app/lib/b-1.jar", "y"}, {"app/lib/c-1.jar", "z"}}},
		{Role: "application", Digest: "sha256:a", Inputs: []Input{{"app/app.jar", "1"}}},
	}}
	now := Made{Digest: "sha256:2", Base: "JDK 21", Packing: "gzip", Layers: []MadeLayer{
		{Role: "base", Digest: "sha256:c"}, {Role: "dependencies", Digest: "sha256:e", Inputs: []Input{{"app/lib/a-1.jar", "x"}, {"app/lib/b-1.jar", "w"}, {"app/lib/c-2.jar", "z"}}},
		{Role: "application", Digest: "sha256:a", Inputs: []Input{{"app/app.jar", "1"}}}, {Role: "files", Digest: "sha256:f"},
	}}
	want := []string{"base: another base: JDK 17 → JDK 21", "dependencies: b-1.jar changed, c-2.jar came, c-1.jar went", "files: there was no such layer"}
	if got := (Record{Made: now, Previous: &before}).Why(); !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	zstd := before
	zstd.Packing, zstd.Layers = "zstd", slices.Clone(before.Layers)
	zstd.Layers[1].Digest = "sha256:z"
	if got := (Record{Made: zstd, Previous: &before}).Why(); !slices.Equal(got, []string{"dependencies: packed otherwise: gzip → zstd"}) {
		t.Errorf("%q", got)
	}
	if got := (Record{Made: now}).Why(); got != nil {
		t.Errorf("%q", got)
	}
}

// FuzzArchive holds that any file is an image or bad input.
func FuzzArchive(f *testing.F) {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	config := `{"os":"linux","architecture":"amd64","rootfs":{"type":"layers","diff_ids":["sha256:` + strings.Repeat("0", 64) + `"]}}`
	for name, text := range map[string]string{"manifest.json": `[{"Config":"c.json","RepoTags":["a:b"],"Layers":["l.tar"]}]`, "c.json": config, "l.tar": "x"} {
		if err := w.WriteHeader(&tar.Header{Name: name, Size: int64(len(text)), Mode: 0o644, Typeflag: tar.TypeReg}); err != nil {
			f.Fatal(err)
		}
		if _, err := io.WriteString(w, text); err != nil {
			f.Fatal(err)
		}
	}
	w.Close()
	f.Add(b.Bytes())
	f.Add([]byte{0x1f, 0x8b})
	f.Fuzz(func(t *testing.T, content []byte) {
		at := filepath.Join(t.TempDir(), "x.tar")
		if err := os.WriteFile(at, content, 0o600); err != nil {
			t.Fatal(err)
		}
		image, err := Open(t.Context(), at, Options{})
		if err == nil {
			defer image.Close()
			var r *Report
			if r, err = Look(t.Context(), image, All); err == nil {
				_, err = json.Marshal(r)
			}
		}
		if err != nil && fault.ClassOf(err) != fault.BadInput {
			t.Fatalf("%v", err)
		}
	})
}

// TestRolesOfAnotherBase: layers without a word of their own are the base's
// where this program's layers stand on them.
func TestRolesOfAnotherBase(t *testing.T) {
	history := []v1.History{{Comment: "Imported from -"}, {CreatedBy: "/bin/sh -c apt-get install java"}, {CreatedBy: "fastship", Comment: "application"}}
	file := v1.ConfigFile{RootFS: v1.RootFS{DiffIDs: make([]v1.Hash, 3)}, History: history}
	if got := roles(file); !slices.Equal(got, []string{"base", "apt-get install java", "application"}) {
		t.Errorf("%q", got)
	}
	file.RootFS.DiffIDs, file.History = file.RootFS.DiffIDs[:2], history[:2]
	if got := roles(file); !slices.Equal(got, []string{"unnamed", "apt-get install java"}) {
		t.Errorf("an image of somebody else: %q", got)
	}
}
