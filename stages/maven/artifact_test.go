package maven

import (
	"archive/zip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fastship/fastship/internal/fault"
	"github.com/fastship/fastship/stages/internal/mvn"
)

// jar writes a jar with a manifest; "" means none.
func jar(t testing.TB, path, manifest string) string {
	t.Helper()
	if manifest == "" {
		return jarWith(t, path, nil)
	}
	return jarWith(t, path, map[string]string{"META-INF/MANIFEST.MF": manifest})
}

func jarWith(t testing.TB, path string, files map[string]string) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	z := zip.NewWriter(f)
	for name, content := range files {
		w, err := z.Create(name)
		if err == nil {
			_, err = w.Write([]byte(content))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

const (
	plain = "Manifest-Version: 1.0\r\n\r\n"
	main  = "Manifest-Version: 1.0\r\nMain-Class: x.Main\r\n\r\n"
)

func TestChooseTakesTheApplication(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, filepath.FromSlash(name)) }
	for _, name := range []string{"lib/target/lib.jar", "app/target/thin.jar", "app/target/original-app.jar"} {
		jar(t, at(name), plain)
	}
	for _, name := range []string{"app/target/app.jar", "app/target/app-exec.jar", "app/target/app-sources.jar", "app/target/app-tests.jar", "app/target/original-main.jar", "job/target/job.jar"} {
		jar(t, at(name), main)
	}
	jar(t, at("web/target/web.war"), plain)
	project := func(dir, packaging, file string, attached ...mvn.Attach) *mvn.Project {
		return &mvn.Project{Group: "g", Artifact: dir, Packaging: packaging, Basedir: at(dir), File: file, Attached: attached}
	}
	lib := project("lib", "jar", at("lib/target/lib.jar"))
	root := project(".", "pom", "")
	j := &job{dir: dir}
	choice := func(projects ...*mvn.Project) (string, error) {
		app, err := choose(j, &attempt{report: mvn.Report{Projects: projects}})
		return strings.TrimPrefix(app.file, dir+"/"), err
	}
	for name, c := range map[string]struct {
		projects []*mvn.Project
		want     string
	}{
		"the main artifact": {[]*mvn.Project{root, lib, project("app", "jar", at("app/target/app.jar"), mvn.Attach{Classifier: "sources", Type: "java-source", File: at("app/target/app-sources.jar")})}, "app/target/app.jar"},
		"an attached one":   {[]*mvn.Project{lib, project("app", "jar", at("app/target/thin.jar"), mvn.Attach{Classifier: "tests", Type: "test-jar", File: at("app/target/app-tests.jar")}, mvn.Attach{Classifier: "exec", Type: "jar", File: at("app/target/app-exec.jar")})}, "app/target/app-exec.jar"},
		"main before other": {[]*mvn.Project{project("app", "jar", at("app/target/app.jar"), mvn.Attach{Classifier: "exec", Type: "jar", File: at("app/target/app-exec.jar")})}, "app/target/app.jar"},
		"a war":             {[]*mvn.Project{project("web", "war", at("web/target/web.war"))}, "web/target/web.war"},
		"not a plugin":      {[]*mvn.Project{project("job", "maven-plugin", at("job/target/job.jar")), project("app", "jar", at("app/target/app.jar"))}, "app/target/app.jar"},
	} {
		if got, err := choice(c.projects...); err != nil || got != c.want {
			t.Errorf("%s: %q, %v; want %s", name, got, err, c.want)
		}
	}
	_, err := choice(project("app", "jar", at("app/target/app.jar")), project("job", "jar", at("job/target/job.jar")))
	mustFail(t, err, fault.BadInput, "app (app/target/app.jar), job (job/target/job.jar)", "maven.module")
	_, err = choice(lib, project("app", "jar", at("app/target/thin.jar"), mvn.Attach{Classifier: "original", Type: "jar", File: at("app/target/original-main.jar")}))
	mustFail(t, err, fault.BadInput, "no Main-Class in the manifest of lib/target/lib.jar, app/target/thin.jar")
	library := jarWith(t, at("other/target/other.jar"), map[string]string{"META-INF/MANIFEST.MF": plain, "x/Other.class": ""})
	j.main = "x.Other"
	if got, err := choice(lib, project("other", "jar", library)); err != nil || got != "other/target/other.jar" {
		t.Errorf("image.main: %q, %v", got, err)
	}
	_, err = choice(lib)
	mustFail(t, err, fault.BadInput, "image.main: no x.Other in lib/target/lib.jar", "correct image.main")
	j.arguments = []string{"compile"}
	_, err = choice(root, project("app", "jar", at("app/target/classes")))
	mustFail(t, err, fault.BadInput, "mvn compile made no jar or war", "package or verify")
	_, err = choice(root)
	mustFail(t, err, fault.BadInput, "mvn compile made no jar or war: the packaging is pom", "<modules>")
}

func TestManifestValue(t *testing.T) {
	for name, c := range map[string]struct{ manifest, want string }{
		"plain":      {main, "x.Main"},
		"continued":  {"Main-Class: com.example.a.very.long.package.name.that.is.too.long.for.on\r\n e.line.Main\r\nX: y\r\n", "com.example.a.very.long.package.name.that.is.too.long.for.one.line.Main"},
		"any case":   {"main-class: x.Main\n", "x.Main"},
		"no section": {"X: y\n\nName: a\nMain-Class: x.Main\n", ""},
		"absent":     {plain, ""},
		"empty":      {"Main-Class: \n", ""},
	} {
		if got := manifestValue([]byte(c.manifest), "Main-Class"); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

func TestDescribeHashesOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.jar")
	if err := os.WriteFile(path, []byte("abc"), 0o644); err != nil {
		t.Fatal(err)
	}
	d, err := describe(nil, path)
	if err != nil || d.Name != path || d.MediaType != "application/java-archive" || d.Size != 3 ||
		d.Digest != "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" {
		t.Errorf("%+v, %v", d, err)
	}
}
