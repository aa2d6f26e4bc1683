package maven

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fastship/fastship/internal/fault"
)

// mavens are the Mavens to test with: the one on PATH, and those whose bin
// folders FASTSHIP_MAVENS lists. The result is a PATH for each.
func mavens(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{"PATH": os.Getenv("PATH")}
	for _, bin := range filepath.SplitList(os.Getenv("FASTSHIP_MAVENS")) {
		all[filepath.Base(filepath.Dir(bin))] = bin + string(os.PathListSeparator) + os.Getenv("PATH")
	}
	return all
}

// pom is a project of one module with this inside.
func pom(inside string) string {
	return fmt.Sprintf(`<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>com.example</groupId>
  <artifactId>sample</artifactId>
  <version>1.0.0</version>
  <properties>
    <maven.compiler.release>17</maven.compiler.release>
    <maven.compiler.source>17</maven.compiler.source>
    <maven.compiler.target>17</maven.compiler.target>
    <project.build.sourceEncoding>UTF-8</project.build.sourceEncoding>
  </properties>
%s
</project>
`, inside)
}

const mainJava = `package com.example;
public class Main {
  public static void main(String[] args) {}
}
`

func TestRunTellsTheFirstCause(t *testing.T) {
	needMaven(t)
	enforcer := func(rule string) string {
		return pom(`<build><plugins><plugin>
<groupId>org.apache.maven.plugins</groupId><artifactId>maven-enforcer-plugin</artifactId><version>3.5.0</version>
<executions><execution><id>versions</id><goals><goal>enforce</goal></goals><configuration><rules>` + rule + `</rules></configuration></execution></executions>
</plugin></plugins></build>`)
	}
	for name, c := range map[string]struct {
		pom    string
		config Config
		env    []string
		class  fault.Class
		want   []string
		quick  bool // Maven ends before it downloads anything
	}{
		"dependency not found": {
			pom:   pom(`<dependencies><dependency><groupId>com.example</groupId><artifactId>nowhere</artifactId><version>9</version></dependency></dependencies>`),
			class: fault.BuildFailed, want: []string{"com.example:nowhere:jar:9", "https://repo.maven.apache.org/maven2"},
		},
		"parent not found": {
			pom:   strings.Replace(pom(""), "<groupId>", "<parent><groupId>com.example</groupId><artifactId>above</artifactId><version>9</version></parent><groupId>", 1),
			class: fault.BuildFailed, want: []string{"com.example:above:pom:9"}, quick: true,
		},
		"Maven too old for the enforcer": {
			pom:   enforcer(`<requireMavenVersion><version>9.1.0</version></requireMavenVersion>`),
			class: fault.BuildFailed, want: []string{"9.1.0", "set maven.version to 9.1.0"},
		},
		"enforcer's own words": {
			pom:   enforcer(`<requireEnvironmentVariable><variableName>NO_SUCH_VARIABLE</variableName><message>set NO_SUCH_VARIABLE, please</message></requireEnvironmentVariable>`),
			class: fault.BuildFailed, want: []string{"set NO_SUCH_VARIABLE, please"},
		},
		"unknown goal": {
			pom: pom(""), config: Config{Goals: []string{"pakage"}},
			class: fault.BuildFailed, want: []string{`Unknown lifecycle phase "pakage"`}, quick: true,
		},
		"unknown option": {
			pom: pom(""), config: Config{Args: []string{"--no-such-option"}},
			class: fault.BuildFailed, want: []string{"no-such-option"}, quick: true,
		},
		"no module of that name in args": {
			pom: pom(""), config: Config{Args: []string{"-pl", "nowhere"}},
			class: fault.BuildFailed, want: []string{"nowhere"}, quick: true,
		},
		"JVM does not start": {
			pom: pom(""), env: []string{"MAVEN_OPTS=-XX:+NoSuchFlag"},
			class: fault.BuildFailed, want: []string{"NoSuchFlag", "MAVEN_OPTS"}, quick: true,
		},
		"plugin not found": {
			pom:   pom(`<build><plugins><plugin><groupId>com.example</groupId><artifactId>no-maven-plugin</artifactId><version>1</version><executions><execution><goals><goal>go</goal></goals></execution></executions></plugin></plugins></build>`),
			class: fault.BuildFailed, want: []string{"com.example:no-maven-plugin:jar:1"},
		},
		"version missing": {
			pom:   pom(`<dependencies><dependency><groupId>com.example</groupId><artifactId>nowhere</artifactId></dependency></dependencies>`),
			class: fault.BuildFailed, want: []string{"'dependencies.dependency.version' for ", "nowhere", "is missing"}, quick: true,
		},
		"release to an old compiler plugin": {
			pom: strings.NewReplacer("<maven.compiler.source>17</maven.compiler.source>", "", "<maven.compiler.target>17</maven.compiler.target>", "").Replace(
				pom(`<build><plugins><plugin><artifactId>maven-compiler-plugin</artifactId><version>3.1</version></plugin></plugins></build>`)),
			class: fault.BuildFailed, want: []string{"Source option 5 is no longer supported", "maven-compiler-plugin 3.6"},
		},
		"no jar": {
			pom: pom(""), config: Config{Goals: []string{"compile"}},
			class: fault.BadInput, want: []string{"mvn", "compile made no jar or war", "package"},
		},
		"no main class": {
			pom: pom(""), class: fault.BadInput, want: []string{"no Main-Class in the manifest of target/sample-1.0.0.jar"},
		},
	} {
		for maven, path := range mavens(t) {
			t.Run(name+"/"+maven, func(t *testing.T) {
				if c.quick {
					t.Parallel()
				}
				config := c.config
				config.Dir = files(t, "pom.xml", c.pom, "src/main/java/com/example/Main.java", mainJava)
				r := runStep(t, t.Context(), step(t, config, append(c.env, "PATH="+path)...))
				mustFail(t, r.err, c.class, c.want...)
				if r.err != nil {
					t.Logf("%v\nhint: %s", r.err, fault.HintOf(r.err))
				}
				if t.Failed() {
					t.Log(r.output())
				}
			})
		}
	}
}
