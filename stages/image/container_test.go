package image

import (
	"archive/zip"
	"bytes"
	"io"
	"io/fs"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/fastship/fastship/cache"
	"github.com/fastship/fastship/internal/fault"
	"github.com/fastship/fastship/stages/internal/oci"
)

func TestContainerSettingsAreInTheConfig(t *testing.T) {
	memory, at, base := newCache(t), t.TempDir(), baseLayout(t, here().Architecture)
	in := bootJar(t, t.TempDir(), time.Unix(1e9, 0), map[string]string{"BOOT-INF/classes/b/Other.class": "\xca\xfe\xba\xbe\x00\x00\x00\x3d"})
	c := Config{Base: "oci:" + base, Layout: at, JVM: []string{"-Xmx64m"}, Container: Container{
		Main: "b.Other", Args: []string{"--spring.profiles.active=prod"},
		Env:    map[string]string{"PATH": "/opt/java/bin", "ORDERS_MODE": "fast", "EMPTY": ""},
		Labels: map[string]string{"team": "orders", "org.opencontainers.image.title": "Orders"},
		Ports:  []string{"8080", "53/udp", "9000-9002"}, User: "1000:1000", Workdir: "/srv/", Volumes: []string{"/data"},
		HealthCheck: HealthCheck{Command: []string{"/probe", "8080"}, Interval: 5 * time.Second, Retries: 2},
		Created:     "2026-01-31T12:00:00+01:00",
	}}
	out := run(t, c, memory, in).Out
	image := read(t, at, out.Digest)
	file, err := image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	got := file.Config
	want := v1.Config{
		User: "1000:1000", WorkingDir: "/srv", Entrypoint: []string{"/opt/java/bin/java", "-Xmx64m", "-jar", "/app/app.jar"}, Cmd: []string{"--spring.profiles.active=prod"},
		Env:          []string{"JAVA_HOME=/opt/java", "JAVA_VERSION=jdk-17.0.9+9", "EMPTY=", "ORDERS_MODE=fast", "PATH=/opt/java/bin"},
		ExposedPorts: map[string]struct{}{"8080/tcp": {}, "53/udp": {}, "9000/tcp": {}, "9001/tcp": {}, "9002/tcp": {}},
		Volumes:      map[string]struct{}{"/data": {}},
		Healthcheck:  &v1.HealthConfig{Test: []string{"CMD", "/probe", "8080"}, Interval: 5 * time.Second, Retries: 2},
	}
	labels := got.Labels
	got.Labels = nil
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	if labels["team"] != "orders" || labels["vendor"] != "them" || labels["org.opencontainers.image.title"] != "Orders" || labels["org.opencontainers.image.version"] != "1.0" {
		t.Errorf("labels: %v", labels)
	}
	if got := file.Created.UTC(); !got.Equal(time.Date(2026, 1, 31, 11, 0, 0, 0, time.UTC)) {
		t.Errorf("created %v", got)
	}
	m, err := image.Manifest()
	if err != nil {
		t.Fatal(err)
	}
	if m.Annotations["org.opencontainers.image.title"] != "Orders" || m.Annotations["org.opencontainers.image.created"] != "2026-01-31T11:00:00Z" {
		t.Errorf("annotations: %v", m.Annotations)
	}
	if text := manifestOf(t, image); !strings.Contains(text, "Main-Class: b.Other") {
		t.Errorf("app.jar's manifest: %s", text)
	}

	// Its own words instead of java's, and the class is forgotten with its key.
	c.Main, c.JVM, c.Entrypoint = "", nil, []string{"/app/start", "-v"}
	second := run(t, c, memory, in).Out
	image = read(t, at, second.Digest)
	if file, err = image.ConfigFile(); err != nil || !slices.Equal(file.Config.Entrypoint, c.Entrypoint) {
		t.Errorf("entrypoint %v, %v", file.Config.Entrypoint, err)
	}
	if text := manifestOf(t, image); !strings.Contains(text, "Main-Class: a.Main") {
		t.Errorf("app.jar's manifest: %s", text)
	}
}

// manifestOf reads app.jar's manifest out of an image's topmost layer.
func manifestOf(t *testing.T, image v1.Image) string {
	t.Helper()
	for h, content := range filesOf(t, image, topmost) {
		if h.Name != "app/app.jar" {
			continue
		}
		b, err := io.ReadAll(content)
		if err != nil {
			t.Fatal(err)
		}
		jar, err := zip.NewReader(bytes.NewReader(b), int64(len(b)))
		if err != nil {
			t.Fatal(err)
		}
		text, err := fs.ReadFile(jar, "META-INF/MANIFEST.MF")
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	t.Fatal("no app.jar in the topmost layer")
	return ""
}

// TestWarOutsideItsFolder: an embedded server looks for a war's pages below its
// working directory.
func TestWarOutsideItsFolder(t *testing.T) {
	pages := []oci.Layer{{Descriptor: cache.Descriptor{Name: "application"}}, {Descriptor: cache.Descriptor{Name: "webapp"}}}
	for _, c := range []struct {
		workdir string
		layers  []oci.Layer
		want    bool
	}{{"/data", pages, true}, {"/app/", pages, false}, {"", pages, false}, {"/data", pages[:1], false}} {
		told := &told{}
		(Container{Workdir: c.workdir}).warnOfPages(told.env(), c.layers)
		if (len(told.all) == 1) != c.want {
			t.Errorf("%q: %v", c.workdir, told.all)
		}
	}
}

func TestBadContainerSettings(t *testing.T) {
	for want, c := range map[string]Container{
		`image.ports: "http" is no port`:                             {Ports: []string{"http"}},
		`image.ports: "0" is no port`:                                {Ports: []string{"8080", "0"}},
		`image.ports: "70000" is no port`:                            {Ports: []string{"70000"}},
		`image.ports: "9-8" ends before it begins | write 8-9`:       {Ports: []string{"9-8"}},
		`image.ports: "80/http" names no protocol`:                   {Ports: []string{"80/http"}},
		`image.ports: "+80" is no port`:                              {Ports: []string{"+80"}},
		`image.workdir: "app" is not absolute | write /app`:          {Workdir: "app"},
		`image.volumes: "/a/../b" is not a clean path | write /b`:    {Volumes: []string{"/a/../b"}},
		`image.user: "a b" is no user`:                               {User: "a b"},
		`image.user: the linked base knows root and nonroot, and no`: {User: "spring"},
		`image.main: "a/Main" is no name of a class`:                 {Main: "a/Main"},
		`image.main is part of the entrypoint`:                       {Main: "a.Main", Entrypoint: []string{"/x"}},
		`image.env: "A=B" is no name`:                                {Env: map[string]string{"A=B": "x"}},
		`image.labels: "" is no name of a label`:                     {Labels: map[string]string{"": "x"}},
		`image.created: "now" is no time`:                            {Created: "now"},
		`image.healthCheck has no command`:                           {HealthCheck: HealthCheck{Retries: 3}},
		`image.healthCheck.retries: -1`:                              {HealthCheck: HealthCheck{Command: []string{"/x"}, Retries: -1}},
	} {
		err := New(Config{Container: c}, Deps{}).Check(t.Context())
		message, hint, _ := strings.Cut(want, " | ")
		if err == nil || !strings.HasPrefix(err.Error(), message) || fault.ClassOf(err) != fault.BadInput || !strings.Contains(fault.HintOf(err), hint) {
			t.Errorf("%+v: %v (hint %q), want %s", c, err, fault.HintOf(err), want)
		}
	}
	err := New(Config{JVM: []string{"-Xmx1g"}, Container: Container{Entrypoint: []string{"/x"}}}, Deps{}).Check(t.Context())
	if err == nil || !strings.HasPrefix(err.Error(), "image.jvm is part of the entrypoint") {
		t.Error(err)
	}
	if err := New(Config{Container: Container{User: "0:nonroot", Ports: []string{"1-65535/sctp"}}}, Deps{}).Check(t.Context()); err != nil {
		t.Error(err)
	}
}
