package maven

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A file that is written while Maven runs has no part in what is kept.
func TestSkipKeepsNothingOfAChangingSource(t *testing.T) {
	w := newWorkshop(t)
	mvn := filepath.Join(w.host, "maven", "bin", "mvn")
	text, err := os.ReadFile(mvn)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(mvn, bytes.Replace(text, []byte("mkdir"), []byte("sleep 0.05; echo >> src/main/java/A.java; mkdir"), 1), 0o755); err != nil {
		t.Fatal(err)
	}
	if r := w.builds(t, "edited meanwhile", Config{}); !strings.Contains(r.said(), "src/main/java/A.java changed while it ran") {
		t.Errorf("said:\n%s", r.said())
	}
	if err := os.WriteFile(mvn, text, 0o755); err != nil {
		t.Fatal(err)
	}
	w.builds(t, "first without an edit", Config{})
	w.skips(t, "again", Config{})
}

// What .gitignore names is packed all the same where it lies among sources.
func TestSkipSeesWhatTheSourceDoesNotList(t *testing.T) {
	w := newWorkshop(t, "src/main/resources/local.properties", "a=1", "src/main/webapp/node_modules/x.js", "x", "secret.properties", "b=1", "notes.txt", "n",
		"pom.xml", strings.Replace(workshopPom, "</project>", "<build><resources><resource><directory>${project.basedir}/conf</directory></resource></resources><filters><filter>secret.properties</filter></filters></build></project>", 1),
		"conf/listed.txt", "l", "conf/hidden.txt", "h")
	w.ignored = []string{"src/main/resources/local.properties", "src/main/webapp/node_modules/x.js", "secret.properties", "notes.txt", "conf/hidden.txt"}
	w.builds(t, "first", Config{})
	w.skips(t, "again", Config{})
	for _, name := range []string{"src/main/resources/local.properties", "secret.properties", "conf/hidden.txt", "src/main/resources/new.properties"} {
		w.ignored = append(w.ignored, name)
		w.put(t, name, "c=2")
		if r := w.builds(t, name, Config{}); !strings.Contains(r.said(), "source changed: "+name) {
			t.Errorf("%s: said\n%s", name, r.said())
		}
		w.skips(t, name+" again", Config{})
	}
	for _, name := range []string{"notes.txt", "src/main/webapp/node_modules/x.js"} {
		w.put(t, name, "other")
		w.skips(t, name, Config{})
	}
	c := Config{Inputs: []string{"!local.properties"}}
	w.builds(t, "other inputs", c)
	w.put(t, "src/main/resources/local.properties", "d=3")
	w.skips(t, "beyond maven.inputs", c)
}

func TestSkipFollowsLinksOutOfTheSource(t *testing.T) {
	w := newWorkshop(t)
	outside := files(t, "shared.txt", "one", "folder/x", "x")
	link := func(to, name string) {
		t.Helper()
		if err := os.Symlink(to, filepath.Join(w.dir, "src", name)); err != nil {
			t.Fatal(err)
		}
	}
	link(filepath.Join(outside, "shared.txt"), "shared.txt")
	link("main", "inside")
	link("nowhere", "broken")
	w.builds(t, "first", Config{})
	w.skips(t, "again", Config{})
	w.put(t, filepath.Join(outside, "shared.txt"), "two")
	if r := w.builds(t, "what it links to", Config{}); !strings.Contains(r.said(), "linked files changed") {
		t.Errorf("said:\n%s", r.said())
	}
	w.skips(t, "again", Config{})
	link(filepath.Join(outside, "folder"), "folder")
	for range 2 {
		if r := w.builds(t, "a folder outside", Config{}); !strings.Contains(r.said(), "src/folder is a link to a folder outside the source") {
			t.Errorf("said:\n%s", r.said())
		}
	}
}

func TestSkipRefusesPomsThatLeaveTheProject(t *testing.T) {
	for name, c := range map[string]struct{ pom, says string }{
		"resources":         {"<build><resources><resource><directory>../shared</directory></resource></resources></build>", "pom.xml names ../shared"},
		"by basedir":        {"<properties><c>${project.basedir}/../../checkstyle.xml</c></properties>", "names ../../checkstyle.xml"},
		"absolute":          {"<build><resources><resource><directory>/opt/shared</directory></resource></resources></build>", "names /opt/shared"},
		"inside all along":  {"<properties><c>src/../conf/a</c></properties>", ""},
		"a parent's place":  {"<parent><relativePath>../pom.xml</relativePath></parent><scm><url>../x.git</url></scm>", ""},
		"another variable":  {"<properties><c>${java.home}/../lib/tools.jar</c><r>[1,2..)</r></properties>", ""},
		"only in a comment": {"<!-- ../shared -->", ""},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorkshop(t, "pom.xml", strings.Replace(workshopPom, "</project>", c.pom+"</project>", 1))
			if r := w.builds(t, "first", Config{}); c.says != "" && !strings.Contains(r.said(), c.says) {
				t.Errorf("want %q in\n%s", c.says, r.said())
			}
			if c.says == "" {
				w.skips(t, "again", Config{})
				return
			}
			w.builds(t, "again", Config{})
			said := Config{Inputs: []string{"src/"}}
			w.builds(t, "with inputs", said)
			w.skips(t, "with inputs, again", said)
		})
	}
}

// A parent out of the repository may pack any file.
func TestSkipFollowsResourcesOfAParent(t *testing.T) {
	w := newWorkshop(t, "pom.xml", `<project><parent><groupId>org.x</groupId><artifactId>parent</artifactId><version>1</version><relativePath/></parent><groupId>g</groupId><artifactId>a</artifactId></project>`)
	w.builds(t, "first", Config{})
	w.put(t, "README.md", "other words")
	w.skips(t, "documentation", Config{})
	parent := filepath.Join(w.home, ".m2/repository/org/x/parent/1/parent-1.pom")
	w.put(t, parent, "<project><build><resources><resource><directory>${basedir}</directory></resource></resources></build></project>")
	w.builds(t, "another parent", Config{})
	w.skips(t, "again", Config{})
	w.put(t, "README.md", "words that are packed")
	w.builds(t, "packed documentation", Config{})
	w.put(t, parent, "<project><properties><c>${basedir}/../shared</c></properties></project>")
	for range 2 {
		if r := w.builds(t, "a parent that leaves the project", Config{}); !strings.Contains(r.said(), "parent-1.pom names ../shared") {
			t.Errorf("said:\n%s", r.said())
		}
	}
}
