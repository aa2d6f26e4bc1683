package mvn

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/fastship/fastship/internal/fault"
)

// fakeJDK lays a JDK as its files show it: nothing in it is ever started.
func fakeJDK(t *testing.T, home, version string, tools ...string) string {
	t.Helper()
	write(t, filepath.Join(home, "release"), `IMPLEMENTOR="Test"`+"\nJAVA_VERSION=\""+version+"\"\n", 0o644)
	for _, tool := range append(tools, "java") {
		write(t, filepath.Join(home, "bin", tool), "#!/bin/sh\necho must not be started >&2; exit 9\n", 0o755)
	}
	return home
}

func write(t *testing.T, path, text string, mode os.FileMode) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
}

// machine is a fake machine: its system folders and its user's.
func machine(t *testing.T) Host {
	root := t.TempDir()
	return Host{Root: root, Home: filepath.Join(root, "home", "me"), OS: "linux"}
}

func found(t *testing.T, h Host) []string {
	t.Helper()
	var all []string
	for j := range h.JDKs(t.Context()) {
		all = append(all, j.Version+" "+strings.TrimPrefix(j.Home, h.Root)+" "+strings.TrimPrefix(j.Found, h.Root))
	}
	return all
}

func TestJDKsAreFoundWhereSystemsPutThem(t *testing.T) {
	h := machine(t)
	fakeJDK(t, h.Root+"/usr/lib/jvm/java-17-openjdk-amd64", "17.0.15", "javac")
	fakeJDK(t, h.Root+"/usr/lib/jvm/temurin-25-jdk-amd64", "25.0.3", "javac")
	fakeJDK(t, h.Home+"/.sdkman/candidates/java/21.0.2-tem", "21.0.2", "javac")
	fakeJDK(t, h.Root+"/srv/jdk11", "11.0.2", "javac")
	ci := fakeJDK(t, h.Root+"/ci/jdk8", "1.8.0_392", "javac")
	if err := os.Symlink("java-17-openjdk-amd64", h.Root+"/usr/lib/jvm/default-java"); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(h.Root+"/usr/lib/jvm/openjdk-17", 0o755); err != nil { // Debian leaves sources there
		t.Fatal(err)
	}
	write(t, h.Home+"/.m2/toolchains.xml", `<toolchains><toolchain><type>jdk</type><provides><version>11</version></provides>
<configuration><jdkHome>${env.SRV}/jdk11</jdkHome></configuration></toolchain>
<toolchain><type>netbeans</type><configuration><jdkHome>/nowhere</jdkHome></configuration></toolchain></toolchains>`, 0o644)
	h.Environ = []string{"JAVA_HOME=" + h.Root + "/usr/lib/jvm/default-java", "SRV=" + h.Root + "/srv", "JAVA_HOME_8_X64=" + ci}
	want := []string{
		"17.0.15 /usr/lib/jvm/java-17-openjdk-amd64 JAVA_HOME",
		"11.0.2 /srv/jdk11 toolchains.xml",
		"1.8.0_392 /ci/jdk8 the environment",
		"25.0.3 /usr/lib/jvm/temurin-25-jdk-amd64 /usr/lib/jvm",
		"21.0.2 /home/me/.sdkman/candidates/java/21.0.2-tem /home/me/.sdkman/candidates/java",
	}
	if got := found(t, h); !slices.Equal(got, want) {
		t.Errorf("found\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestJDKsOnMacOS(t *testing.T) {
	h := machine(t)
	h.OS = "darwin"
	fakeJDK(t, h.Root+"/Library/Java/JavaVirtualMachines/temurin-21.jdk/Contents/Home", "21.0.4", "javac")
	fakeJDK(t, h.Root+"/opt/homebrew/opt/openjdk@17/libexec/openjdk.jdk/Contents/Home", "17.0.9", "javac")
	got := found(t, h)
	if len(got) != 2 || !strings.HasPrefix(got[0], "21.0.4 ") || !strings.HasPrefix(got[1], "17.0.9 ") {
		t.Errorf("found %q", got)
	}
}

func TestTheJavaOfAShimIsAsked(t *testing.T) {
	h := machine(t)
	home := fakeJDK(t, h.Root+"/opt/managed/21", "21.0.1", "javac")
	write(t, h.Root+"/shims/java", "#!/bin/sh\necho '    java.home = "+home+"' >&2\necho '    java.version = 21.0.1' >&2\n", 0o755)
	h.Environ = []string{"PATH=" + h.Root + "/shims"}
	if got, want := found(t, h), []string{"21.0.1 /opt/managed/21 PATH"}; !slices.Equal(got, want) {
		t.Errorf("found %q, want %q", got, want)
	}
}

func TestAJDK8IsFoundThroughItsOwnJRE(t *testing.T) {
	h := machine(t)
	home := fakeJDK(t, h.Root+"/srv/jdk8", "1.8.0_392", "javac")
	write(t, home+"/jre/bin/java", "", 0o755)
	if err := os.Remove(home + "/bin/java"); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("../jre/bin/java", home+"/bin/java"); err != nil {
		t.Fatal(err)
	}
	h.Environ = []string{"PATH=" + home + "/bin"}
	if got, want := found(t, h), []string{"1.8.0_392 /srv/jdk8 PATH"}; !slices.Equal(got, want) {
		t.Errorf("found %q, want %q", got, want)
	}
}

func TestChooseJDK(t *testing.T) {
	for name, c := range map[string]struct {
		javaHome, path string
		installed      []string
		want           Want
		version        string
		reason         string
	}{
		"JAVA_HOME fits":             {"21.0.2", "17.0.1", nil, Want{Releases: []int{17}}, "21.0.2", "from JAVA_HOME; the project asks for Java 17"},
		"JAVA_HOME too old":          {"17.0.1", "21.0.2", nil, Want{Releases: []int{21}}, "21.0.2", "from PATH; the project asks for Java 21; JAVA_HOME has 17.0.1, too old"},
		"neither fits":               {"11.0.1", "17.0.1", []string{"25.0.3", "21.0.4"}, Want{Releases: []int{21}}, "21.0.4", "JAVA_HOME has 11.0.1, too old; PATH has 17.0.1, too old"},
		"the oldest that fits":       {"", "", []string{"25.0.3", "21.0.4", "17.0.1"}, Want{Releases: []int{8, 17}}, "17.0.1", "the project asks for Java 8 to 17"},
		"JAVA_HOME too new for 7":    {"21.0.2", "", []string{"17.0.1", "25.0.3"}, Want{Releases: []int{7}}, "17.0.1", "JAVA_HOME has 21.0.2, too new"},
		"nothing asked":              {"17.0.1", "", []string{"25.0.3"}, Want{}, "17.0.1", "from JAVA_HOME"},
		"nothing asked, none chosen": {"", "", []string{"17.0.1", "25.0.3"}, Want{}, "25.0.3", "found in"},
		"Maven needs a newer one":    {"8.0.1", "", []string{"17.0.1"}, Want{Releases: []int{8}, MinJava: 17, Maven: "Maven 4.0.0"}, "17.0.1", "JAVA_HOME has 8.0.1, and Maven 4.0.0 needs 17 or newer"},
		"JAVA_HOME is nowhere":       {"none", "21.0.2", nil, Want{Releases: []int{21}}, "21.0.2", "/java-home, which holds no bin/java"},
		"a JRE is no JDK":            {"JRE 21.0.2", "", []string{"25.0.3"}, Want{Releases: []int{21}}, "25.0.3", "JAVA_HOME has 21.0.2, a JRE without javac"},
	} {
		t.Run(name, func(t *testing.T) {
			h := machine(t)
			lay := func(home, version string) string {
				if v, ok := strings.CutPrefix(version, "JRE "); ok {
					return fakeJDK(t, home, v)
				}
				return fakeJDK(t, home, version, "javac")
			}
			if c.javaHome != "" {
				h.Environ = append(h.Environ, "JAVA_HOME="+h.Root+"/java-home")
			}
			if c.javaHome != "" && c.javaHome != "none" {
				lay(h.Root+"/java-home", c.javaHome)
			}
			if c.path != "" {
				h.Environ = append(h.Environ, "PATH="+lay(h.Root+"/on-path", c.path)+"/bin")
			}
			for _, v := range c.installed {
				lay(h.Root+"/usr/lib/jvm/"+v, v)
			}
			got, err := ChooseJDK(t.Context(), h, c.want)
			if err != nil {
				t.Fatal(err)
			}
			if got.JDK.Version != c.version || !strings.Contains(got.Reason, c.reason) {
				t.Errorf("chose %s because %q, want %s because %q", got.JDK.Version, got.Reason, c.version, c.reason)
			}
		})
	}
}

func TestChooseJDKListsWhatThereIs(t *testing.T) {
	h := machine(t)
	fakeJDK(t, h.Root+"/usr/lib/jvm/17", "17.0.1", "javac")
	fakeJDK(t, h.Root+"/usr/lib/jvm/21", "21.0.1")
	h.Environ = []string{"JAVA_HOME=" + h.Root + "/gone"}
	_, err := ChooseJDK(t.Context(), h, Want{Releases: []int{21}})
	if fault.ClassOf(err) != fault.Missing {
		t.Fatalf("class %v: %v", fault.ClassOf(err), err)
	}
	for _, part := range []string{"a JDK for Java 21", "17.0.1 in " + h.Root + "/usr/lib/jvm/17", "21, a JRE without javac", h.Root + "/gone, which holds no bin/java"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q is not in %v", part, err)
		}
	}
	if hint := fault.HintOf(err); hint != "install a JDK 21 or newer, or point JAVA_HOME at one" {
		t.Errorf("hint %q", hint)
	}
	_, err = ChooseJDK(t.Context(), h, Want{Releases: []int{6}})
	if hint := fault.HintOf(err); hint != "install a JDK 6 to 11, or point JAVA_HOME at one" {
		t.Errorf("hint %q", hint)
	}
	_, err = ChooseJDK(t.Context(), machine(t), Want{})
	if err == nil || !strings.Contains(err.Error(), "none is installed") {
		t.Errorf("on a bare machine: %v", err)
	}
}

func TestJavaMajor(t *testing.T) {
	for version, want := range map[string]int{"1.8.0_392": 8, "1.8": 8, "17.0.15": 17, "26-ea": 26, " 21 ": 21, "": 0, "abc": 0, "${java.version}": 0} {
		if got := JavaMajor(version); got != want {
			t.Errorf("%q: %d, want %d", version, got, want)
		}
	}
}
