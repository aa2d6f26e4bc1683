package maven

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/fastship/fastship/stages/internal/mvn"
)

// TestReasonIsTheFirstCause plays the exceptions and error lines of real
// Mavens, cut to what matters.
func TestReasonIsTheFirstCause(t *testing.T) {
	const remembers = " was not found in https://repo.maven.apache.org/maven2 during a previous attempt. This failure was cached in the local repository and resolution is not reattempted until the update interval of central has elapsed or updates are forced"
	for name, c := range map[string]struct {
		chain  mvn.Chain
		said   []string
		stderr []string
		want   string
		remedy string
	}{
		"dependency, 3.8": {
			chain: mvn.Chain{"o.a.m.lifecycle.LifecycleExecutionException: Failed to execute goal on project sample: Could not resolve dependencies for project com.example:sample:jar:1.0.0: Could not find artifact com.example:nowhere:jar:9 in central (https://repo.maven.apache.org/maven2)"},
			want:  "sample: Could not find artifact com.example:nowhere:jar:9 in central (https://repo.maven.apache.org/maven2)", remedy: "check the coordinates",
		},
		"dependency, 3.9": {
			chain: mvn.Chain{"o.a.m.lifecycle.LifecycleExecutionException: Failed to execute goal on project sample: Could not resolve dependencies for project com.example:sample:jar:1.0.0\ndependency: com.example:nowhere:jar:9 (compile)\n\tcom.example:nowhere:jar:9" + remembers + "\n"},
			want:  "sample: com.example:nowhere:jar:9 was not found in https://repo.maven.apache.org/maven2 (remembered from an earlier attempt)", remedy: "-U",
		},
		"parent, 4": {
			chain: mvn.Chain{"o.a.m.project.ProjectBuildingException: Some problems were encountered while processing the POMs"},
			said: []string{"[ERROR] Some problems were encountered while processing the POMs", "[ERROR] The build could not read 1 project -> [Help 1]", "[ERROR]   ",
				"[ERROR]   The project com.example:sample:jar:1.0.0 (/p/pom.xml) has 1 error",
				"[ERROR]     Non-resolvable parent POM: The following artifacts could not be resolved: com.example:above:pom:9 (absent): com.example:above:pom:9" + remembers + " and more"},
			want: "Non-resolvable parent POM: com.example:above:pom:9 was not found in https://repo.maven.apache.org/maven2 (remembered from an earlier attempt)", remedy: "-U",
		},
		"pom, 3": {
			chain: mvn.Chain{"o.a.m.project.ProjectBuildingException: Some problems were encountered while processing the POMs:\n[ERROR] 'dependencies.dependency.version' for com.example:nowhere:jar is missing. @ line 10, column 27\n"},
			want:  "'dependencies.dependency.version' for com.example:nowhere:jar is missing. @ line 10, column 27",
		},
		"enforcer": {
			chain: mvn.Chain{"o.a.m.lifecycle.LifecycleExecutionException: Failed to execute goal org.apache.maven.plugins:maven-enforcer-plugin:3.5.0:enforce (versions) on project sample: \nRule 0: org.apache.maven.enforcer.rules.version.RequireMavenVersion failed with message:\nDetected Maven Version: 3.8.7 is not in the allowed range [3.9.9,).\n"},
			want:  "maven-enforcer-plugin:enforce in sample: Detected Maven Version: 3.8.7 is not in the allowed range [3.9.9,).", remedy: "set maven.version to " + mvn.PinnedMaven,
		},
		"enforcer of Java": {
			chain: mvn.Chain{"x.E: Failed to execute goal org.apache.maven.plugins:maven-enforcer-plugin:3.5.0:enforce (versions) on project sample: \nRule 1: org.apache.maven.enforcer.rules.version.RequireJavaVersion failed with message:\nDetected JDK version 17.0.15 (JAVA_HOME=/jdk17) is not in the allowed range [21,).\n"},
			want:  "maven-enforcer-plugin:enforce in sample: Detected JDK version 17.0.15 (JAVA_HOME=/jdk17) is not in the allowed range [21,).", remedy: "a JDK in the range [21,)",
		},
		"old compiler plugin": {
			chain: mvn.Chain{"x.E: Failed to execute goal org.apache.maven.plugins:maven-compiler-plugin:3.1:compile (default-compile) on project sample: Compilation failure", "y.CompilationFailureException: Compilation failure"},
			said:  []string{"[ERROR] COMPILATION ERROR : ", "[ERROR] Source option 5 is no longer supported. Use 7 or later."},
			want:  "Source option 5 is no longer supported. Use 7 or later.", remedy: "maven-compiler-plugin 3.6",
		},
		"unknown phase": {
			chain: mvn.Chain{`x.LifecyclePhaseNotFoundException: Unknown lifecycle phase "pakage". You must specify a valid lifecycle phase or a goal in the format <plugin-prefix>:<goal>`},
			want:  `Unknown lifecycle phase "pakage"`, remedy: "maven.goals",
		},
		"unknown option, 4": {
			said: []string{"[ERROR] Error executing Maven.", "[ERROR] Error parsing program arguments", "[ERROR] Caused by: Failed to parse CLI arguments: Unrecognized option: --no-such-option"},
			want: "Failed to parse CLI arguments: Unrecognized option: --no-such-option", remedy: "maven.args",
		},
		"unknown option, 3": {
			stderr: []string{"Unable to parse command line options: Unrecognized option: --no-such-option"},
			want:   "Unable to parse command line options: Unrecognized option: --no-such-option", remedy: "maven.args",
		},
		"class file too new": {
			chain: mvn.Chain{"x.E: Failed to execute goal com.example:a-plugin:1:run (default) on project sample: Execution default of goal failed: Unable to load the mojo: a/B has been compiled by a more recent version of the Java Runtime (class file version 65.0)"},
			want:  "a-plugin:run in sample: Execution default of goal failed: Unable to load the mojo: a/B has been compiled by a more recent version of the Java Runtime (class file version 65.0)", remedy: "a JDK 21 or newer",
		},
		"nothing but a heading": {
			chain: mvn.Chain{"x.E: Failed to execute goal a:b:1:c (d) on project e: "},
			want:  "b:c in e: ",
		},
		"nothing at all": {},
	} {
		t.Run(name, func(t *testing.T) {
			a := attempt{said: c.said, stderr: c.stderr}
			if c.chain != nil {
				a.report.Errors = []mvn.Chain{c.chain}
			}
			got := a.reason(nil)
			if got != c.want {
				t.Errorf("got  %q\nwant %q", got, c.want)
			}
			if advice := remedy(&job{}, got); !strings.Contains(advice, c.remedy) || (c.remedy == "" && advice != "") {
				t.Errorf("remedy %q, want %q", advice, c.remedy)
			}
		})
	}
}

func TestReasonIsBounded(t *testing.T) {
	a := attempt{said: []string{"[ERROR] " + strings.Repeat("é", 5000)}}
	if got := a.reason(nil); utf8.RuneCountInString(got) > maxReason+1 || !strings.HasSuffix(got, "…") {
		t.Errorf("%d characters", utf8.RuneCountInString(got))
	}
}

func TestTheWayOutOfARefusedToken(t *testing.T) {
	const message = "Could not transfer artifact g:a:pom:1 from/to corp (https://corp-111122223333.d.codeartifact.eu-west-1.amazonaws.com/maven/r/): status code: 401, reason phrase: Unauthorized (401)"
	if got := remedy(&job{}, message); !strings.Contains(got, "unset the variable") {
		t.Errorf("a token of the user's: %q", got)
	}
	if got := remedy(&job{held: []held{{}}}, message); !strings.Contains(got, "codeartifact:ReadFromRepository") {
		t.Errorf("fastship's own: %q", got)
	}
}

func TestTheWayOutOfPlainHTTP(t *testing.T) {
	const message = "Could not transfer artifact com.corp.none:p:pom:1 from/to maven-default-http-blocker (http://0.0.0.0/): Blocked mirror for repositories: [legacy (http://legacy.example.test/maven, default, releases+snapshots)]"
	if got := remedy(&job{}, message); !strings.Contains(got, "an https URL, or a mirror of its own") {
		t.Errorf("%q", got)
	}
}

// TestTheWayOutOfACutJar: what Maven says of a jar that a killed build left.
func TestTheWayOutOfACutJar(t *testing.T) {
	for _, message := range []string{
		"Execution repackage of goal org.springframework.boot:spring-boot-maven-plugin:4.1.2:repackage failed: Error reading archive file",
		"Error reading archive file: zip file is empty", "java.util.zip.ZipException: zip END header not found",
	} {
		if got := remedy(&job{}, message); !strings.Contains(got, "remove the target folder") {
			t.Errorf("%s: %q", message, got)
		}
	}
}

func TestTheWayOutOfAnOldMaven(t *testing.T) {
	const message = "Detected Maven Version: 3.8.7 is not in the allowed range [3.9.9,)."
	for name, c := range map[string]struct {
		launcher mvn.Launcher
		message  string
		want     string
	}{
		"no wrapper":    {mvn.Launcher{Version: "3.8.7"}, message, "set maven.version to " + mvn.PinnedMaven},
		"a wrapper":     {mvn.Launcher{Version: "3.8.7", Wrapper: true}, message, "raise the project's wrapper: mvn wrapper:wrapper -Dmaven=" + mvn.PinnedMaven},
		"passed over":   {mvn.Launcher{Version: "3.8.7", Note: "x/mvnw is not executable and was passed over; chmod +x it to build with the project's own Maven"}, message, "chmod +x mvnw"},
		"newer than us": {mvn.Launcher{Version: "3.9.1"}, "Detected Maven Version: 3.9.1 is not in the allowed range [4.0.1,).", "set maven.version to 4.0.1"},
		"a plug-in's":   {mvn.Launcher{Version: "3.8.7"}, "The plugin x:y:1 requires Maven version 3.9.0", "set maven.version to " + mvn.PinnedMaven},
	} {
		if got := remedy(&job{launcher: c.launcher}, c.message); !strings.Contains(got, c.want) {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}
