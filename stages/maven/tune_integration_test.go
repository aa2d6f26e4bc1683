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

// TestTunedOutputIsTheSame builds each sample service tuned and by bare Maven
// in the same folder, and compares the application byte for byte. orders runs
// its tests. All three set project.build.outputTimestamp: no entry is left out.
func TestTunedOutputIsTheSame(t *testing.T) {
	needMaven(t)
	for _, name := range []string{"hello", "orders", "shaded"} {
		t.Run(name, func(t *testing.T) {
			dir := app(t, name)
			plain := build(t, step(t, Config{Dir: dir, Tune: TuneOff}))
			if err := os.RemoveAll(filepath.Join(dir, "target")); err != nil {
				t.Fatal(err)
			}
			tuned := build(t, step(t, Config{Dir: dir, Tune: TuneOn}))
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

func TestTunedTestsKeepTheProjectsFlags(t *testing.T) {
	needMaven(t)
	const main = "class A { public static void main(String[] a) {} }"
	for _, c := range []struct {
		name, argLine, environ, config string
		want, not, said                string
	}{
		{name: "a literal collector", argLine: "-XX:+UseG1GC", want: "-XX:+UseG1GC", not: "UseSerialGC", said: "tuned with"},
		{name: "a collector in MAVEN_OPTS", environ: "MAVEN_OPTS=-XX:+UseParallelGC", want: "-XX:TieredStopAtLevel=1", not: "UseSerialGC", said: "tuned with"},
		{name: "a collector in jvm.config", config: "-XX:+UseParallelGC", want: "-XX:TieredStopAtLevel=1", not: "UseSerialGC", said: "tuned with"},
		// Spelt so that reading the pom does not tell: only the JVM does.
		{name: "a collector nobody sees", argLine: "-XX:+Use${collector}", environ: "MAVEN_ARGS=-Dcollector=ParallelGC", want: "ParallelGC", not: "UseSerialGC", said: "anew, untuned"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := files(t, "pom.xml", strings.Replace(forking, "ARGS", c.argLine, 1), "src/main/java/A.java", main, "src/test/java/ATest.java", flagsTest)
			if c.config != "" {
				if err := os.Mkdir(filepath.Join(dir, ".mvn"), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(filepath.Join(dir, ".mvn", "jvm.config"), []byte(c.config), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			config := Config{Dir: dir, Tune: TuneOn}
			if name, value, _ := strings.Cut(c.environ, "="); name == "MAVEN_ARGS" {
				config.Args, c.environ = []string{value}, "" // Maven 3.8 does not read MAVEN_ARGS
			}
			r := runStep(t, t.Context(), step(t, config, c.environ))
			if r.err != nil {
				t.Fatalf("%v\n%s\n%s", r.err, r.said(), r.output())
			}
			flags, err := os.ReadFile(filepath.Join(dir, "flags"))
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(string(flags), c.want) || strings.Contains(string(flags), c.not) || !strings.Contains(r.said(), c.said) {
				t.Errorf("the tests ran with %s\n%s", flags, r.said())
			}
		})
	}
}

// TestTunedTestsKeepTheCoverageAgent: JaCoCo's agent comes by the property
// argLine, which tuning must not set.
func TestTunedTestsKeepTheCoverageAgent(t *testing.T) {
	needMaven(t)
	const agent = `<plugin><groupId>org.jacoco</groupId><artifactId>jacoco-maven-plugin</artifactId><version>0.8.14</version><executions><execution><goals><goal>prepare-agent</goal></goals></execution></executions></plugin></plugins></build>`
	pom := strings.Replace(strings.Replace(forking, "<surefireFlag>ARGS</surefireFlag>", "", 1), "</plugins></build>", agent, 1)
	dir := files(t, "pom.xml", strings.Replace(pom, "${surefireFlag}", "@{argLine}", 1),
		"src/main/java/A.java", "class A { public static void main(String[] a) {} }", "src/test/java/ATest.java", flagsTest)
	build(t, step(t, Config{Dir: dir, Tune: TuneOn}))
	flags, err := os.ReadFile(filepath.Join(dir, "flags"))
	if err != nil || !strings.Contains(string(flags), "org.jacoco.agent") || !strings.Contains(string(flags), "-XX:+UseSerialGC") {
		t.Errorf("the tests ran with %s, %v", flags, err)
	}
	if info, err := os.Stat(filepath.Join(dir, "target", "jacoco.exec")); err != nil || info.Size() == 0 {
		t.Errorf("no coverage was written: %v", err)
	}
}
