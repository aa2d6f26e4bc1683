package maven

import (
	"archive/zip"
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestTunedOutputIsTheSame builds sample services tuned and by bare Maven in
// the same folder, and compares the application byte for byte; hello's is
// compared in TestClassArchiveOfMavensJVM. All set project.build.outputTimestamp:
// no entry is left out. Their tests, which write no part of it, are left out.
func TestTunedOutputIsTheSame(t *testing.T) {
	needMaven(t)
	for _, name := range []string{"orders", "shaded"} {
		t.Run(name, func(t *testing.T) {
			dir := app(t, name)
			plain := build(t, step(t, Config{Dir: dir, Tune: TuneOff, Args: []string{"-DskipTests"}}))
			if err := os.RemoveAll(filepath.Join(dir, "target")); err != nil {
				t.Fatal(err)
			}
			tuned := build(t, step(t, Config{Dir: dir, Tune: TuneOn, Args: []string{"-DskipTests"}}))
			if !bytes.Equal(plain, tuned) {
				t.Errorf("the jar differs in %q", differing(t, plain, tuned))
			}
		})
	}
}

// build runs the step and returns the jar that it made.
func build(t *testing.T, s *Step) []byte {
	t.Helper()
	r := runStep(t, t.Context(), s)
	if r.err != nil {
		t.Fatalf("%v\n%s\n%s", r.err, r.said(), r.output())
	}
	if tuned := strings.Contains(r.said(), "JVMs are tuned with"); tuned != (s.config.Tune == TuneOn) {
		t.Errorf("tuned: %v\n%s", tuned, r.said())
	}
	if strings.Contains(r.output(), "Picked up") || strings.Contains(r.said(), "anew") {
		t.Errorf("%s\n%s", r.said(), r.output())
	}
	content, err := os.ReadFile(r.out.Jar.Name)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// differing names the entries of two jars that are not the same.
func differing(t *testing.T, a, b []byte) (names []string) {
	t.Helper()
	read := func(content []byte) map[string]string {
		z, err := zip.NewReader(bytes.NewReader(content), int64(len(content)))
		if err != nil {
			t.Fatal(err)
		}
		all := map[string]string{}
		for _, f := range z.File {
			in, err := f.Open()
			if err != nil {
				t.Fatal(err)
			}
			text, err := io.ReadAll(in)
			if err != nil {
				t.Fatal(err)
			}
			all[f.Name] = f.Modified.String() + string(text)
			in.Close()
		}
		return all
	}
	x, y := read(a), read(b)
	for name := range x {
		if x[name] != y[name] {
			names = append(names, name)
		}
	}
	for name := range y {
		if _, ok := x[name]; !ok {
			names = append(names, name)
		}
	}
	return names
}

// forking is a project whose tests run in a JVM with a literal argLine.
const forking = `<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>
<parent><groupId>org.springframework.boot</groupId><artifactId>spring-boot-starter-parent</artifactId><version>4.1.2</version><relativePath/></parent>
<groupId>g</groupId><artifactId>a</artifactId><version>1</version>
<properties><java.version>17</java.version><surefireFlag>ARGS</surefireFlag></properties>
<dependencies><dependency><groupId>org.junit.jupiter</groupId><artifactId>junit-jupiter</artifactId><scope>test</scope></dependency></dependencies>
<build><plugins><plugin><groupId>org.apache.maven.plugins</groupId><artifactId>maven-surefire-plugin</artifactId><configuration><argLine>${surefireFlag}</argLine></configuration></plugin>
<plugin><groupId>org.springframework.boot</groupId><artifactId>spring-boot-maven-plugin</artifactId><configuration><skip>true</skip></configuration></plugin>
<plugin><groupId>org.apache.maven.plugins</groupId><artifactId>maven-jar-plugin</artifactId><configuration><archive><manifest><mainClass>A</mainClass></manifest></archive></configuration></plugin>
</plugins></build></project>`

// flagsTest tells which flags its JVM was started with.
const flagsTest = `import org.junit.jupiter.api.Test;
class ATest { @Test void flags() throws Exception {
  java.nio.file.Files.writeString(java.nio.file.Path.of("flags"), java.lang.management.ManagementFactory.getRuntimeMXBean().getInputArguments().toString());
} }`

// jacoco gives the tests an agent by the property argLine, which tuning must
// not set.
const jacoco = `<plugin><groupId>org.jacoco</groupId><artifactId>jacoco-maven-plugin</artifactId><version>0.8.14</version><executions><execution><goals><goal>prepare-agent</goal></goals></execution></executions></plugin></plugins></build>`

// TestTunedTestsKeepTheProjectsFlags is about what the JVMs themselves make of
// it all; TestTuneLeavesTheUsersChoices has the cases.
func TestTunedTestsKeepTheProjectsFlags(t *testing.T) {
	needMaven(t)
	const main = "class A { public static void main(String[] a) {} }"
	for _, c := range []struct {
		name, pom, config string
		args              []string
		want              []string
		said              string
	}{
		{
			name:   "a collector in argLine, another in jvm.config, and an agent",
			pom:    strings.Replace(strings.Replace(forking, "ARGS", "@{argLine} -XX:+UseG1GC", 1), "</plugins></build>", jacoco, 1),
			config: "-XX:+UseParallelGC",
			want:   []string{"-XX:+UseG1GC", "-XX:TieredStopAtLevel=1", "org.jacoco.agent"},
			said:   "tuned with",
		},
		{
			// Spelt so that reading the pom does not tell: only the JVM does.
			name: "a collector nobody sees",
			pom:  strings.Replace(forking, "ARGS", "-XX:+Use${collector}", 1),
			args: []string{"-Dcollector=ParallelGC"},
			want: []string{"ParallelGC"},
			said: "anew, untuned",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := files(t, "pom.xml", c.pom, "src/main/java/A.java", main, "src/test/java/ATest.java", flagsTest, ".mvn/jvm.config", c.config)
			r := runStep(t, t.Context(), step(t, Config{Dir: dir, Tune: TuneOn, Args: c.args}))
			if r.err != nil || !strings.Contains(r.said(), c.said) {
				t.Fatalf("%v\n%s\n%s", r.err, r.said(), r.output())
			}
			flags, err := os.ReadFile(filepath.Join(dir, "flags"))
			if err != nil || strings.Contains(string(flags), "UseSerialGC") {
				t.Errorf("the tests ran with %s, %v", flags, err)
			}
			for _, want := range c.want {
				if !strings.Contains(string(flags), want) {
					t.Errorf("the tests ran with %s, not with %s", flags, want)
				}
			}
		})
	}
}
