package mvn

import (
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// recorded is what the spy wrote under Maven 3.9.16, shortened.
const recorded = `{"event":"start","maven":"3.9.16","javaHome":"/jdk17","javaVersion":"17.0.15","javaMajor":17}
{"event":"project","group":"com.example","artifact":"hello","version":"1.0.0","packaging":"jar","basedir":"/p","build":"/p/target","sources":["/p/src/main/java"],"testSources":["/p/src/test/java"],"releases":[8,17],"toolchain":false}
{"event":"resolved","id":"org.slf4j:slf4j-api:jar:2.0.1","file":"/m2/slf4j-api-2.0.1.jar"}
{"event":"mojo","state":"MojoStarted","project":"com.example:hello","plugin":"maven-surefire-plugin","pluginVersion":"3.6.1","goal":"test","execution":"default-test","time":1795417330859,"reports":"${project.build.directory}/surefire-reports"}
{"event":"mojo","state":"MojoFailed","project":"com.example:hello","plugin":"maven-surefire-plugin","pluginVersion":"3.6.1","goal":"test","execution":"default-test","time":1795417331071,"error":["org.apache.maven.lifecycle.LifecycleExecutionException: Failed\u000amore","org.apache.maven.plugin.MojoFailureException: There are test failures."]}
{"event":"ended","state":"ProjectFailed","project":"com.example:hello","file":"/p/target/classes","attached":[{"classifier":"tests","type":"test-jar","file":"/p/target/hello-tests.jar"}],"classpath":[{"group":"org.slf4j","artifact":"slf4j-api","version":"2.0.1","file":"/m2/slf4j-api-2.0.1.jar"}]}
{"event":"error","error":["a.B$C: x: y"]}
{"event":"fault","message":"java.lang.NoSuchMethodError"}
{"event":"of a later spy"}
{"event":"end"}
`

func TestReadReport(t *testing.T) {
	r, err := ReadReport(strings.NewReader(recorded + `{"event":"unf`))
	if err != nil {
		t.Fatal(err)
	}
	if r.Maven != "3.9.16" || r.JavaHome != "/jdk17" || r.JavaMajor != 17 || !r.Ended || r.Unfit || len(r.Mojos) != 2 || len(r.Resolved) != 1 || len(r.Faults) != 1 {
		t.Errorf("%+v", r)
	}
	want := &Project{
		Group: "com.example", Artifact: "hello", Version: "1.0.0", Packaging: "jar", Basedir: "/p", Build: "/p/target",
		Sources: []string{"/p/src/main/java"}, TestSources: []string{"/p/src/test/java"}, Releases: []int{8, 17},
		State: "ProjectFailed", File: "/p/target/classes", Attached: []Attach{{"tests", "test-jar", "/p/target/hello-tests.jar"}},
		Classpath: []Library{{"org.slf4j", "slf4j-api", "2.0.1", "/m2/slf4j-api-2.0.1.jar"}},
	}
	if !reflect.DeepEqual(r.Project("com.example:hello"), want) {
		t.Errorf("%+v", r.Project("com.example:hello"))
	}
	if m := r.Mojos[1]; m.Error.Messages()[0] != "Failed\nmore" {
		t.Errorf("%+v", m)
	}
	if r.Errors[0].Messages()[0] != "x: y" {
		t.Errorf("%+v", r.Errors)
	}
	folders := r.TestReports()
	if start, ok := folders["/p/target/surefire-reports"]; !ok || start.UnixMilli() != 1795417330859 {
		t.Errorf("test reports %v", folders)
	}
	if _, err := ReadReport(strings.NewReader("{}\nnot json\n")); err == nil || !strings.Contains(err.Error(), "line 2") {
		t.Errorf("garbage: %v", err)
	}
}

func TestWatchIsGoneAfterItsClose(t *testing.T) {
	w, err := NewWatch()
	if err != nil {
		t.Fatal(err)
	}
	if arg := w.Arg("/a.jar:/b.jar"); arg != "-Dmaven.ext.class.path=/a.jar:/b.jar:"+w.jar() {
		t.Errorf("arg %s", arg)
	}
	if r, err := w.Report(); err != nil || len(r.Projects) != 0 {
		t.Errorf("a report without a Maven: %+v, %v", r, err)
	}
	write(t, w.report(), recorded, 0o644)
	if r, err := w.Report(); err != nil || len(r.Projects) != 1 {
		t.Errorf("report: %+v, %v", r, err)
	}
	w.Close()
	if exists(filepath.Dir(w.jar())) {
		t.Error("the folder is still there")
	}
}
