package mvn

import (
	"archive/zip"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestFindLauncher(t *testing.T) {
	mavenHome := func(dir, core string) string {
		write(t, filepath.Join(dir, "bin", "mvn"), "#!/bin/sh\n", 0o755)
		write(t, filepath.Join(dir, "lib", core), "", 0o644)
		return filepath.Join(dir, "bin")
	}
	dir, installed := t.TempDir(), t.TempDir()
	bin := mavenHome(installed, "maven-core-3.9.9.jar")
	h := Host{Environ: []string{"PATH=relative:" + bin}}
	if l := FindLauncher(h, dir, dir); l.Path != bin+"/mvn" || l.Version != "3.9.9" || l.Origin != "PATH" || l.Note != "" {
		t.Errorf("on PATH: %+v", l)
	}
	if l := FindLauncher(Host{Environ: []string{"MAVEN_HOME=" + installed}}, dir, dir); l.Path != bin+"/mvn" || l.Origin != "MAVEN_HOME" {
		t.Errorf("in MAVEN_HOME: %+v", l)
	}
	if l := FindLauncher(Host{}, dir, dir); l.Path != "" || l.Version != PinnedMaven {
		t.Errorf("nowhere: %+v", l)
	}
	write(t, filepath.Join(dir, ".mvn", "wrapper", "maven-wrapper.properties"),
		"wrapperVersion=3.3.2\ndistributionUrl=https://repo.maven.apache.org/maven2/org/apache/maven/apache-maven/3.9.11/apache-maven-3.9.11-bin.zip\n", 0o644)
	write(t, filepath.Join(dir, "mvnw"), "#!/bin/sh\n", 0o644)
	if l := FindLauncher(h, dir, dir); l.Path != bin+"/mvn" || !strings.Contains(l.Note, "mvnw is not executable") {
		t.Errorf("mvnw without the right to run: %+v", l)
	}
	if err := os.Chmod(filepath.Join(dir, "mvnw"), 0o755); err != nil {
		t.Fatal(err)
	}
	if l := FindLauncher(h, dir, dir); l.Path != dir+"/mvnw" || l.Version != "3.9.11" || !l.Wrapper {
		t.Errorf("mvnw: %+v", l)
	}
	module := filepath.Join(dir, "service")
	if root := MultiModuleRoot(module); root != dir {
		t.Errorf("root of %s: %s", module, root)
	}
	if l := FindLauncher(h, module, MultiModuleRoot(module)); l.Path != dir+"/mvnw" {
		t.Errorf("mvnw of the root: %+v", l)
	}
}

func TestDebiansMavenTellsItsVersion(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "bin", "mvn"), "#!/bin/sh\n", 0o755)
	write(t, filepath.Join(dir, "lib", "x"), "", 0o644)
	f, err := os.Create(filepath.Join(dir, "lib", "maven-core-3.x.jar"))
	if err != nil {
		t.Fatal(err)
	}
	z := zip.NewWriter(f)
	w, err := z.Create("META-INF/maven/org.apache.maven/maven-core/pom.properties")
	if err == nil {
		_, err = w.Write([]byte("#Generated\nartifactId=maven-core\nversion=3.8.7\n"))
	}
	if err == nil {
		err = z.Close()
	}
	if err == nil {
		err = f.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(t.TempDir(), "mvn")
	if err := os.Symlink(filepath.Join(dir, "bin", "mvn"), link); err != nil {
		t.Fatal(err)
	}
	if v := installedVersion(link); v != "3.8.7" {
		t.Errorf("version %q", v)
	}
}

func TestAtLeast(t *testing.T) {
	for _, c := range []struct {
		version string
		numbers []int
		want    bool
	}{
		{"3.8.7", []int{3, 9}, false}, {"3.9.0", []int{3, 9}, true}, {"3.10.0", []int{3, 9}, true}, {"4.0.0-rc-4", []int{4, 0}, true},
		{"3.6.0", []int{3, 6, 1}, false}, {"3.6.1", []int{3, 6, 1}, true}, {"3.6", []int{3, 6, 1}, false}, {"", []int{0}, false},
	} {
		if got := (Launcher{Version: c.version}).AtLeast(c.numbers...); got != c.want {
			t.Errorf("%s at least %v: %v", c.version, c.numbers, got)
		}
	}
	if (Launcher{Version: "3.9.16"}).AtLeastVersion("3.9.x") || !(Launcher{Version: "3.9.16"}).AtLeastVersion("3.9.9") {
		t.Error("AtLeastVersion is wrong")
	}
	if (Launcher{Version: "4.0.0-rc-4"}).MinJava() != 17 || (Launcher{Version: "3.9.1"}).MinJava() != 8 || (Launcher{}).MinJava() != 0 {
		t.Error("MinJava is wrong")
	}
}
