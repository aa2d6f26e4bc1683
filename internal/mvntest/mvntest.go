// Package mvntest plays Maven for tests of what happens around it: a shell
// script that takes artifacts from its local repository, downloads what is not
// there from a folder that stands for Maven Central, and reports as fastship's
// spy in a real Maven does. It starts no JVM.
package mvntest

import (
	"archive/zip"
	"crypto/sha1"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"
)

// Project is a project of one module and the repository afar that has what it
// needs.
type Project struct {
	Dir     string
	Central string
}

// Pom is the project's.
const Pom = `<project><groupId>g</groupId><artifactId>a</artifactId><version>1</version></project>`

// script is a Maven that takes what the project's file "needs" lists: from its
// local repository what the tracking file says is from central, the rest from
// central. It compares every byte that it is given with central's, then plays
// the project's file "act".
const script = `#!/bin/sh
say() { printf '%s\n' "$1" >> "$FASTSHIP_MAVEN_REPORT"; }
m2="$HOME/.m2/repository"
for a; do case $a in -Dmaven.repo.local=*) m2=${a#*=};; esac; done
echo "$m2" >> "$HOST/repositories"
say '{"event":"start","maven":"3.9.9","javaHome":"'$JAVA_HOME'","javaVersion":"17.0.1","javaMajor":17}'
say '{"event":"project","group":"g","artifact":"a","version":"1","packaging":"jar","basedir":"'$PWD'","build":"'$PWD'/target","sources":[],"testSources":[],"releases":[17],"toolchain":false}'
while read -r path; do
  at=${path%/*} file=${path##*/}
  folder=$m2/$at artifact=${at%/*}
  if ! [ -e "$m2/$path" ] || ! grep -qs "^$file>central=" "$folder/_remote.repositories"; then
    echo "$path" >> "$HOST/downloads"
    mkdir -p "$folder"
    cp "$CENTRAL/$path" "$CENTRAL/$path.sha1" "$folder"
    echo "$file>central=" >> "$folder/_remote.repositories"
  fi
  cmp -s "$m2/$path" "$CENTRAL/$path" || echo "$path" >> "$HOST/wrong"
  say '{"event":"resolved","id":"org.x:'${artifact##*/}':jar:'${at##*/}'","file":"'$m2/$path'"}'
done < needs
failed=0
[ -e act ] && . ./act
mkdir -p target
cat needs "$HOST/app.jar" > "target/.a-1.$$" && mv "target/.a-1.$$" target/a-1.jar # another run may read it
say '{"event":"ended","state":"ProjectSucceeded","project":"g:a","file":"'$PWD'/target/a-1.jar","classpath":[]}'
say '{"event":"end"}'
exit $failed
`

// Artifact is the path of a jar of the group org.x in a Maven repository.
func Artifact(name, version string) string {
	return path.Join("org/x", name, version, name+"-"+version+".jar")
}

// New makes a project that needs small libraries, "lib0" and on, and "big" of
// 720 KB, which a cache keeps by itself. All are of version 1.
func New(t *testing.T, libraries int) *Project {
	t.Helper()
	p := &Project{Dir: t.TempDir(), Central: t.TempDir()}
	write(t, filepath.Join(p.Dir, "pom.xml"), Pom, 0o644)
	p.Publish(t, Artifact("big", "1"), strings.Repeat("a large jar\n", 60_000))
	needs := []string{Artifact("big", "1")}
	for i := range libraries {
		name := Artifact(fmt.Sprintf("lib%d", i), "1")
		p.Publish(t, name, fmt.Sprintf("library %d", i))
		needs = append(needs, name)
	}
	p.Need(t, needs...)
	return p
}

// Copy is the project in another folder, which needs what is named besides.
func (p *Project) Copy(t *testing.T, more ...string) *Project {
	t.Helper()
	c := &Project{Dir: t.TempDir(), Central: p.Central}
	entries, err := os.ReadDir(p.Dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.IsDir() {
			continue // what builds made
		}
		text, err := os.ReadFile(filepath.Join(p.Dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(c.Dir, e.Name()), string(text), 0o644)
	}
	c.Need(t, append(p.Needs(t), more...)...)
	return c
}

// Publish puts an artifact into the repository afar.
func (p *Project) Publish(t *testing.T, name, text string) {
	t.Helper()
	write(t, filepath.Join(p.Central, name), text, 0o644)
	write(t, filepath.Join(p.Central, name+".sha1"), fmt.Sprintf("%x", sha1.Sum([]byte(text))), 0o644)
}

// Need makes the project need exactly these artifacts.
func (p *Project) Need(t *testing.T, names ...string) {
	t.Helper()
	write(t, filepath.Join(p.Dir, "needs"), strings.Join(names, "\n")+"\n", 0o644)
}

// Needs are the artifacts that the project needs.
func (p *Project) Needs(t *testing.T) []string {
	t.Helper()
	return lines(t, filepath.Join(p.Dir, "needs"))
}

// Act is what the next builds do besides: shell, where $m2 is the local
// repository and $failed becomes the exit code.
func (p *Project) Act(t *testing.T, script string) {
	t.Helper()
	write(t, filepath.Join(p.Dir, "act"), script+"\n", 0o644)
}

// Host is a machine: a home, a JDK, and the played Maven.
type Host struct {
	Home    string
	Dir     string
	project *Project
}

// NewHost makes another host.
func (p *Project) NewHost(t *testing.T) *Host {
	t.Helper()
	h := &Host{Home: t.TempDir(), Dir: t.TempDir(), project: p}
	write(t, filepath.Join(h.Dir, "jdk", "release"), "JAVA_VERSION=\"17.0.1\"\n", 0o644)
	write(t, filepath.Join(h.Dir, "jdk", "bin", "java"), "", 0o755)
	write(t, filepath.Join(h.Dir, "jdk", "bin", "javac"), "", 0o755)
	write(t, filepath.Join(h.Dir, "maven", "lib", "maven-core-3.9.9.jar"), "", 0o644)
	write(t, filepath.Join(h.Dir, "maven", "bin", "mvn"), script, 0o755)
	f, err := os.Create(filepath.Join(h.Dir, "app.jar"))
	if err != nil {
		t.Fatal(err)
	}
	z := zip.NewWriter(f)
	w, err := z.Create("META-INF/MANIFEST.MF")
	if err == nil {
		_, err = w.Write([]byte("Manifest-Version: 1.0\r\nMain-Class: a.Main\r\n\r\n"))
	}
	if err := errors.Join(err, z.Close(), f.Close()); err != nil {
		t.Fatal(err)
	}
	return h
}

// Environ is what a process on the host needs to find Maven, and Maven to
// play.
func (h *Host) Environ() []string {
	return []string{
		"PATH=" + filepath.Join(h.Dir, "maven", "bin") + ":/usr/bin:/bin", "JAVA_HOME=" + filepath.Join(h.Dir, "jdk"),
		"HOME=" + h.Home, "HOST=" + h.Dir, "CENTRAL=" + h.project.Central,
	}
}

// Downloads are what this host's Mavens took from the repository afar, in
// order.
func (h *Host) Downloads(t *testing.T) []string { t.Helper(); return h.notes(t, "downloads") }

// Repositories are the local repositories of this host's Mavens, one for each
// that ran.
func (h *Host) Repositories(t *testing.T) []string { t.Helper(); return h.notes(t, "repositories") }

// Wrong are the artifacts that had another byte than the one published.
func (h *Host) Wrong(t *testing.T) []string { t.Helper(); return h.notes(t, "wrong") }

func (h *Host) notes(t *testing.T, name string) []string {
	t.Helper()
	return lines(t, filepath.Join(h.Dir, name))
}

func lines(t *testing.T, name string) []string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	return strings.Fields(string(text))
}

func write(t *testing.T, name, text string, mode fs.FileMode) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
}
