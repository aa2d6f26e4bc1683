package mvn

import (
	"path/filepath"
	"strings"
	"testing"
)

func enforced(t *testing.T, pom string) *Tree {
	t.Helper()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "pom.xml"), pom, 0o644)
	tree, err := ReadTree(dir)
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

func TestTheEnforcersRulesAreRead(t *testing.T) {
	plugin := func(body string) string {
		return `<plugins><plugin><artifactId>maven-enforcer-plugin</artifactId>` + body + `</plugin></plugins>`
	}
	const rules = `<configuration><rules><requireMavenVersion><version>${maven.min}</version></requireMavenVersion><requireJavaVersion><version>[17,)</version></requireJavaVersion></rules></configuration>`
	const properties = `<properties><maven.min>3.9.9</maven.min></properties>`
	execution := func(phase string) string {
		return `<executions><execution>` + phase + `<goals><goal>enforce</goal></goals>` + rules + `</execution></executions>`
	}
	for name, c := range map[string]struct {
		build string
		args  []string
		want  int
	}{
		"execution":     {plugin(execution("")), nil, 1},
		"plugin":        {plugin(rules), nil, 1},
		"off":           {plugin(execution("<phase>none</phase>")), nil, 0},
		"skipped":       {plugin(rules), []string{"-Denforcer.skip"}, 0},
		"managed only":  {"<pluginManagement>" + plugin(rules) + "</pluginManagement>", nil, 0},
		"managed, used": {"<pluginManagement>" + plugin(rules) + "</pluginManagement>" + plugin(""), nil, 1},
	} {
		r := enforced(t, `<project>`+properties+`<build>`+c.build+`</build></project>`).Required(Args{user: c.args})
		if len(r.Maven) != c.want || len(r.Java) != c.want {
			t.Errorf("%s: %+v", name, r)
		}
		if c.want == 1 && (r.Maven[0].Text != "3.9.9" || r.Java[0].Text != "[17,)") {
			t.Errorf("%s: %+v", name, r)
		}
	}
}

func TestAFittingMavenIsChosen(t *testing.T) {
	rule := func(spec string) []Rule {
		r, ok := ParseRange(spec)
		if !ok {
			t.Fatalf("%s is not read", spec)
		}
		return []Rule{{spec, "/p/pom.xml", r}}
	}
	installed := Launcher{Path: "/usr/bin/mvn", Version: "3.8.7", Origin: "PATH"}
	for spec, want := range map[string]string{"3.8.1": "3.8.7", "[3.9,)": PinnedMaven, "[3.6.3,3.7)": "3.6.3", "[3.9.4]": "3.9.4", "[4.0.0-rc-1,)": "4.0.0-rc-4"} {
		l := installed.Fitting(rule(spec), false)
		if l.Version != want || (l.Path == "") != l.Provided || l.Provided != (want != "3.8.7") {
			t.Errorf("%s: %+v, want %s", spec, l, want)
		}
		if l.Provided && !strings.Contains(l.Origin, "/p/pom.xml wants Maven "+spec+", and PATH has 3.8.7") {
			t.Errorf("%s: origin %q", spec, l.Origin)
		}
	}
	if l := installed.Fitting(rule("[99,)"), false); l.Version != "3.8.7" || !strings.Contains(l.Note, "no known release") {
		t.Errorf("nothing fits: %+v", l)
	}
	if l := installed.Fitting(rule("[3.9,)"), true); l.Version != "3.8.7" || !strings.Contains(l.Note, "correct maven.version") {
		t.Errorf("asked for: %+v", l)
	}
	wrapper := installed
	wrapper.Wrapper = true
	if l := wrapper.Fitting(rule("[3.9,)"), false); l.Version != "3.8.7" || !strings.Contains(l.Note, "distributionUrl") {
		t.Errorf("wrapper: %+v", l)
	}
}
