package image

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/validate"

	"github.com/fastship/fastship/internal/fault"
	"github.com/fastship/fastship/runner"
	"github.com/fastship/fastship/stages/image/jre"
)

// readIndex opens the image index in a layout.
func readIndex(t *testing.T, at, digest string) v1.ImageIndex {
	t.Helper()
	top, h := inLayout(t, at, digest)
	x, err := top.ImageIndex(h)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

func TestSeveralPlatformsGiveAnIndex(t *testing.T) {
	memory, at := newCache(t), t.TempDir()
	c := Config{
		Base: "oci:" + baseLayout(t, "amd64", "s390x", "arm64"), Layout: at, Compression: compressionGzip,
		Platforms: []string{"linux/amd64", "linux/arm64", "linux/arm64/v8"},
	}
	in := bootJar(t, t.TempDir(), time.Now(), nil)
	r := run(t, c, memory, in)
	if !slices.Equal(r.Out.Platforms(), []string{"linux/amd64", "linux/arm64"}) || r.Out.Platform != "linux/amd64" || len(r.Out.Images) != 2 {
		t.Fatalf("got %+v", r.Out)
	}
	x := readIndex(t, at, r.Out.Digest)
	if err := validate.Index(x); err != nil {
		t.Error(err)
	}
	size := int64(0)
	if raw, err := x.RawManifest(); err != nil {
		t.Fatal(err)
	} else {
		size += int64(len(raw))
	}
	m, err := x.IndexManifest()
	if err != nil || len(m.Manifests) != 2 || m.Annotations["org.opencontainers.image.revision"] != in.Revision || m.Annotations["org.opencontainers.image.base.digest"] != "" {
		t.Fatalf("%+v, %v", m, err)
	}
	seen := map[string]bool{}
	for i, d := range m.Manifests {
		arch := []string{"amd64", "arm64"}[i]
		img, err := x.Image(d.Digest)
		if err != nil {
			t.Fatal(err)
		}
		config, err := img.ConfigFile()
		if err != nil || config.Architecture != arch || d.Platform.String() != "linux/"+arch || r.Out.Images[i].Digest != d.Digest.String() {
			t.Errorf("image %d: %s for %s, %v", i, config.Architecture, d.Platform, err)
		}
		inner, err := img.Manifest()
		if err != nil {
			t.Fatal(err)
		}
		size += d.Size
		for _, b := range append(inner.Layers, inner.Config) {
			if !seen[b.Digest.String()] {
				size += b.Size
			}
			seen[b.Digest.String()] = true
		}
	}
	// Two bases, two configs, and the application's three layers once.
	if len(seen) != 2+2+3 || r.Out.Size != size {
		t.Errorf("%d blobs, %d bytes, want %d", len(seen), r.Out.Size, size)
	}
	if skopeo, err := exec.LookPath("skopeo"); err == nil {
		if out, err := exec.Command(skopeo, "inspect", "--override-arch", "arm64", "oci:"+at).CombinedOutput(); err != nil || !strings.Contains(string(out), `"Architecture": "arm64"`) {
			t.Errorf("skopeo: %s", out)
		}
	}
	if r = run(t, c, memory, in); r.Status != runner.Cached {
		t.Errorf("the same again is %q", r.Status)
	}
	c.Platforms = []string{"linux/arm64"} // one is a manifest, and the other's blobs leave the layout
	r = run(t, c, memory, in)
	if err := validImage(read(t, at, r.Out.Digest)); err != nil || len(r.Out.Images) > 0 || r.Out.Platform != "linux/arm64" {
		t.Errorf("%+v, %v", r.Out, err)
	}
	if blobs, _ := filepath.Glob(filepath.Join(at, "blobs", "sha256", "*")); len(blobs) != 6 {
		t.Errorf("%d blobs are left", len(blobs))
	}
}

func TestTheTaskDefinitionChoosesThePlatform(t *testing.T) {
	asked := func(name string, err error) Deps {
		return Deps{Cache: newCache(t), Platform: func(context.Context) (string, error) { return name, err }}
	}
	c := Config{Base: "oci:" + baseLayout(t, "amd64", "arm64"), Layout: t.TempDir()}
	for name, want := range map[string]string{"": "linux/" + runtime.GOARCH, "linux/arm64": "linux/arm64", "linux/amd64": "linux/amd64"} {
		r, err := New(c, asked(name, nil)).Run(t.Context(), (&told{}).env(), bootJar(t, t.TempDir(), time.Now(), nil))
		if err != nil || r.Out.Platform != want {
			t.Errorf("%q: %s, %v", name, r.Out.Platform, err)
		}
	}
	err := New(c, asked("windows/amd64", nil)).Check(t.Context())
	if fault.ClassOf(err) != fault.BadInput || !strings.Contains(err.Error(), "runtimePlatform: an image for windows/amd64 cannot be made") {
		t.Errorf("windows: %v", err)
	}
	broken := errors.New("no answer")
	if err := New(c, asked("", broken)).Check(t.Context()); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
	c.Platforms = []string{"linux/amd64"} // what the user says wins
	if err := New(c, asked("windows/amd64", nil)).Check(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestPlatformsThatCannotBeBuiltAreFoundBeforeAnything(t *testing.T) {
	foreign := map[string]string{"amd64": "linux/arm64", "arm64": "linux/amd64"}[runtime.GOARCH]
	both := "oci:" + baseLayout(t, "amd64", "arm64")
	for _, c := range []struct {
		config Config
		class  fault.Class
		want   string
	}{
		{Config{Base: both, Platforms: []string{"arm64"}}, fault.BadInput, `image.platforms: "arm64" is no platform`},
		{Config{Base: both, Platforms: []string{"linux/"}}, fault.BadInput, `image.platforms: "linux/" is no platform`},
		{Config{Base: both, Platforms: []string{"windows/amd64"}}, fault.BadInput, "image.platforms: an image for windows/amd64 cannot be made"},
		{Config{Base: both, Platforms: []string{"linux/amd64", "linux/s390x"}}, fault.Missing, "has no image for linux/s390x, only for linux/amd64, linux/arm64"},
		{Config{Base: both, JDKs: map[string]string{"linux/arm64": "/x"}}, fault.BadInput, "image.jdks goes with the jlink base"},
		{Config{Platforms: []string{foreign}}, fault.Missing, "an image for " + foreign + " cannot be linked from JDK 17"},
		{Config{Platforms: []string{foreign}, JDKs: map[string]string{foreign: "/no/jdk"}}, fault.Missing, "image.jdks: " + foreign + ": find the JDK at /no/jdk"},
		{Config{Modules: []string{"java.sqll"}}, fault.BadInput, `has no module "java.sqll"`},
		{Config{Platforms: []string{foreign}, JDKs: map[string]string{foreign: "jdk"}, Dir: "/project"}, fault.Missing, "image.jdks: " + foreign + ": find the JDK at /project/jdk"},
		{Config{JDKs: map[string]string{"arm64": "/x"}}, fault.BadInput, `image.jdks: "arm64" is no platform`},
	} {
		c.config.Layout = filepath.Join(t.TempDir(), "layout")
		s := New(c.config, Deps{Cache: newCache(t), JDK: func(context.Context) (string, error) { return fakeJDK(t, "17.0.1", runtime.GOARCH), nil }})
		err := s.Check(t.Context())
		if fault.ClassOf(err) != c.class || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v", c.config, err)
		}
		if fault.HintOf(err) == "" {
			t.Errorf("%v: no hint", err)
		}
	}
}

func TestTheJDKOfAPlatformIsHeldAgainstIt(t *testing.T) {
	other := map[string]string{"amd64": "arm64", "arm64": "amd64"}[runtime.GOARCH]
	foreign := "linux/" + other
	for want, home := range map[string]string{
		"is made for linux/" + runtime.GOARCH:                                 fakeJDK(t, "17.0.2", runtime.GOARCH),
		"and the jar is built by JDK 17.0.1":                                  fakeJDK(t, "21.0.2", other),
		"it has no jmods directory, which linking for another platform needs": fakeJDK(t, "17.0.2", other),
	} {
		s := New(Config{Platforms: []string{foreign}, JDKs: map[string]string{foreign: home}}, Deps{Cache: newCache(t)})
		_, err := s.targets(t.Context(), fakeJDK(t, "17.0.1", runtime.GOARCH))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %s: %v", want, err)
		}
	}
}

// fakeJDK is a folder that says it is a JDK.
func fakeJDK(t *testing.T, version, arch string) string {
	t.Helper()
	home := t.TempDir()
	name := map[string]string{"amd64": "x86_64", "arm64": "aarch64"}[arch]
	for path, content := range map[string]string{
		"release":   "JAVA_VERSION=\"" + version + "\"\nOS_NAME=\"Linux\"\nOS_ARCH=\"" + name + "\"\n",
		"bin/jlink": "#!/bin/false\n",
	} {
		write(t, filepath.Join(home, path), content)
	}
	return home
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(content), 0o755)); err != nil {
		t.Fatal(err)
	}
}

func TestTheBaseOfTheConfiguration(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "ops", "ca.pem"), "one\ntwo\n-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n")
	jdk := Deps{Cache: newCache(t), JDK: func(context.Context) (string, error) { return "", nil }}
	err := New(Config{Dir: dir, Certificates: []string{"ops/ca.pem"}}, jdk).Check(t.Context())
	if fault.ClassOf(err) != fault.BadInput || !strings.Contains(err.Error(), filepath.Join(dir, "ops/ca.pem")+":3: a PUBLIC KEY, not a CERTIFICATE") {
		t.Errorf("got %v", err)
	}
	for key, c := range map[string]Config{"certificates": {Certificates: []string{"ca.pem"}}, "debug": {Debug: true}, "modules": {Modules: []string{"java.sql"}}} {
		c.Base = "oci:" + baseLayout(t, runtime.GOARCH)
		if err := New(c, jdk).Check(t.Context()); fault.ClassOf(err) != fault.BadInput || !strings.Contains(err.Error(), "image."+key+" goes with the jlink base") {
			t.Errorf("%s: %v", key, err)
		}
	}
	s := New(Config{Modules: []string{"java.sql"}, Debug: true, JVM: []string{"-Xmx1g", "-Duser.language=de"}}, jdk)
	if got := s.modules(jre.JDK{Major: 17}); !slices.Equal(got, []string{"java.sql", "jdk.jcmd", "jdk.jfr", "jdk.localedata"}) {
		t.Errorf("modules %v", got)
	}
	if got := s.modules(jre.JDK{Major: 8}); !slices.Equal(got, []string{"java.sql"}) {
		t.Errorf("of JDK 8: %v", got)
	}
}
