package maven

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fastship/fastship/internal/fault"
	"github.com/fastship/fastship/runner"
	"github.com/fastship/fastship/stages/internal/mvn"
)

const secretSettings = `<settings><servers><server><id>corp</id><password>s3cret</password></server></servers></settings>`

// talking is a step whose Maven prints what it was given: its arguments, its
// settings with their modes, and the variables.
func talking(t *testing.T, c Config, environ ...string) (s *Step, secrets *[]string) {
	t.Helper()
	s = bare(t, c, environ...)
	path, _, _ := strings.Cut(strings.TrimPrefix(s.deps.Environ[0], "PATH="), ":")
	script := `#!/bin/sh
while [ $# -gt 0 ]; do
  if [ "$1" = -s ]; then echo "file $2"; stat -c 'modes %a' "$2" "$(dirname "$2")"; cat "$2"; fi
  shift
done
env
exit ${CODE:-1}
`
	if err := os.WriteFile(filepath.Join(path, "mvn"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	s.deps.Environ = append(s.deps.Environ, "PATH="+path+":/usr/bin:/bin")
	secrets = new([]string)
	s.deps.Secret = func(values ...string) { *secrets = append(*secrets, values...) }
	return s, secrets
}

func TestSettingsFromAVariable(t *testing.T) {
	place := t.TempDir()
	s, secrets := talking(t, Config{Dir: files(t, "pom.xml", "<project/>"), Settings: "env:CI_SETTINGS"}, "CI_SETTINGS="+secretSettings, "XDG_RUNTIME_DIR="+place)
	t.Setenv("TMPDIR", t.TempDir())
	if err := s.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	p, err := s.Plan(t.Context(), In{})
	if err != nil || !strings.Contains(p.Lines[0], "-s env:CI_SETTINGS") {
		t.Errorf("plan %q, %v", p.Lines, err)
	}
	for _, dir := range []string{place, os.Getenv("TMPDIR")} {
		if left, _ := os.ReadDir(dir); len(left) != 0 {
			t.Errorf("Check and Plan wrote %v", left)
		}
	}
	r := runStep(t, t.Context(), s)
	out := r.output()
	file, _, _ := strings.Cut(strings.TrimPrefix(out, "file "), "\n")
	if !strings.HasPrefix(out, "file "+place) || !strings.Contains(out, "modes 600\nmodes 700\n"+secretSettings) {
		t.Errorf("Maven saw\n%s", out)
	}
	if strings.Contains(out, "CI_SETTINGS=") {
		t.Error("the variable reached Maven")
	}
	if _, err := os.Stat(file); !os.IsNotExist(err) {
		t.Errorf("after a failed run %s is still there: %v", file, err)
	}
	if !slices.Contains(*secrets, "s3cret") {
		t.Errorf("secrets %q", *secrets)
	}
	c := s.config
	for value, want := range map[string]struct {
		class fault.Class
		part  string
	}{
		"":           {fault.Missing, "the variable CI_SETTINGS is empty or not set"},
		" \n":        {fault.Missing, "set CI_SETTINGS to the text"},
		"<settings>": {fault.BadInput, "in the variable CI_SETTINGS"},
	} {
		mustFail(t, bare(t, c, "CI_SETTINGS="+value).Check(t.Context()), want.class, want.part)
	}
}

func TestSettingsInTheArgumentsAreRead(t *testing.T) {
	dir := files(t, "pom.xml", "<project/>", "ci/settings.xml", secretSettings)
	for _, args := range [][]string{{"-s", "ci/settings.xml"}, {"--settings=" + dir + "/ci/settings.xml"}} {
		s, secrets := talking(t, Config{Dir: dir, Args: args})
		if err := s.Check(t.Context()); err != nil || !slices.Contains(*secrets, "s3cret") {
			t.Errorf("%q: secrets %q, %v", args, *secrets, err)
		}
	}
}

func TestWhatAKilledRunLeftIsRemoved(t *testing.T) {
	place := t.TempDir()
	left := filepath.Join(place, "fastship-settings-1", "settings.xml")
	for settings, variable := range map[string]string{"": "", "env:CI_SETTINGS": secretSettings} { // with settings of its own, or not
		if err := os.MkdirAll(filepath.Dir(left), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(left, []byte(secretSettings), 0o600); err != nil {
			t.Fatal(err)
		}
		s, _ := talking(t, Config{Dir: files(t, "pom.xml", "<project/>"), Settings: settings}, "CI_SETTINGS="+variable, "XDG_RUNTIME_DIR="+place)
		_ = runStep(t, t.Context(), s) // the script builds nothing
		if found, err := os.ReadDir(place); err != nil || len(found) != 0 {
			t.Errorf("settings %q: left %v, %v", settings, found, err)
		}
	}
}

func TestSettingsFilesThatMavenIsToldOf(t *testing.T) {
	dir := files(t, "pom.xml", "<project/>", "a.xml", secretSettings, "b.xml", secretSettings,
		"global.xml", `<settings><servers><server><id>g</id><password>gl0bal</password></server></servers></settings>`)
	check := func(c Config, environ ...string) ([]string, error) {
		c.Dir = dir
		s, secrets := talking(t, c, environ...)
		return *secrets, s.Check(t.Context())
	}
	_, err := check(Config{Settings: "a.xml", Args: []string{"-s", "b.xml"}})
	mustFail(t, err, fault.BadInput, "maven.settings is a.xml, and -s in maven.args or MAVEN_ARGS names b.xml", "drop one of them")
	_, err = check(Config{Settings: "a.xml"}, "MAVEN_ARGS=--settings=b.xml")
	mustFail(t, err, fault.BadInput, "MAVEN_ARGS names b.xml")
	for option, args := range map[string][]string{"-s": {"-s", "none.xml"}, "-gs": {"--global-settings", "none.xml"}, "-t": {"-tnone.xml"}} {
		_, err = check(Config{Args: args})
		mustFail(t, err, fault.BadInput, "Maven is told to read "+dir+"/none.xml, which is no file", "correct "+option)
	}
	s, secrets := talking(t, Config{Dir: dir, Args: []string{"-gs", "global.xml", "-Dgpg.passphrase=arg-1"}}, "MVNW_PASSWORD=wrapped-1")
	if err := s.Check(t.Context()); err != nil || !slices.Contains(*secrets, "gl0bal") || !slices.Contains(*secrets, "arg-1") || !slices.Contains(*secrets, "wrapped-1") {
		t.Errorf("secrets %q, %v", *secrets, err)
	}
}

func TestABroughtMavenTakesTheInstalledOnesSettings(t *testing.T) {
	const global = `<settings><mirrors><mirror><id>corp</id><mirrorOf>central</mirrorOf><url>https://repo.corp/maven</url></mirror></mirrors></settings>`
	c := Config{Dir: files(t, "pom.xml", "<project/>"), Version: "3.8.1"}
	s := bare(t, c)
	bin := strings.TrimPrefix(s.deps.Environ[0], "PATH=")
	conf := filepath.Join(filepath.Dir(bin), "conf", "settings.xml")
	plan := func() string {
		p, err := s.Plan(t.Context(), In{})
		if err != nil {
			t.Fatal(err)
		}
		return p.Lines[0]
	}
	if err := os.MkdirAll(filepath.Dir(conf), 0o755); err != nil {
		t.Fatal(err)
	}
	for text, told := range map[string]bool{"": false, `<settings><mirrors><mirror><id>b</id><blocked>true</blocked></mirror></mirrors></settings>`: false, global: true} {
		if text != "" {
			if err := os.WriteFile(conf, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if got := plan(); strings.Contains(got, " -gs "+conf+" ") != told {
			t.Errorf("with %q: %s", text, got)
		}
		if err := os.RemoveAll(conf); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(conf, []byte(global), 0o644); err != nil {
		t.Fatal(err)
	}
	j, err := s.prepare(t.Context(), c.Dir)
	if err != nil {
		t.Fatal(err)
	}
	if url, _ := j.said.user.Central(); url != "https://repo.corp/maven" {
		t.Errorf("Maven is to come from %s", url)
	}
	s.config.Version = ""
	if got := plan(); strings.Contains(got, "-gs") {
		t.Errorf("the installed one is told of its own: %s", got)
	}
}

func TestAnotherPomInTheArgumentsIsRefused(t *testing.T) {
	dir := files(t, "pom.xml", "<project/>")
	for _, arg := range []string{"-f", "--file", "--file=other/pom.xml", "-fother/pom.xml"} {
		mustFail(t, bare(t, Config{Dir: dir, Args: []string{arg, "x"}}).Check(t.Context()), fault.BadInput, "maven.args has "+arg, "name that folder")
	}
	for _, arg := range []string{"-fae", "-ff", "-fn"} {
		if err := bare(t, Config{Dir: dir, Args: []string{arg}}).Check(t.Context()); err != nil {
			t.Errorf("%s: %v", arg, err)
		}
	}
}

func TestTheVersionIsChecked(t *testing.T) {
	dir := files(t, "pom.xml", "<project/>")
	mustFail(t, bare(t, Config{Dir: dir, Version: "latest"}).Check(t.Context()), fault.BadInput, `maven.version "latest"`, "4.0.0-rc-4")
	for version, want := range map[string]string{"auto": "with Maven 3.9.9 from PATH", "3.9.9": "with Maven 3.9.9 from PATH", "3.8.1": "with Maven 3.8.1 from Maven's distribution, as maven.version asks"} {
		p, err := bare(t, Config{Dir: dir, Version: version}).Plan(t.Context(), In{})
		if err != nil || p.Lines[1] != want {
			t.Errorf("%s: %q, %v", version, p.Lines, err)
		}
	}
}

func TestTheEnforcersRulesSteerMavenAndJDK(t *testing.T) {
	pom := func(maven, java string) string {
		return `<project><build><plugins><plugin><artifactId>maven-enforcer-plugin</artifactId><executions><execution><configuration><rules>
<requireMavenVersion><version>` + maven + `</version></requireMavenVersion><requireJavaVersion><version>` + java + `</version></requireJavaVersion>
</rules></configuration></execution></executions></plugin></plugins></build></project>`
	}
	jdk21 := files(t, "release", "JAVA_VERSION=\"21.0.1\"\n", "bin/java", "", "bin/javac", "")
	for _, program := range []string{"java", "javac"} {
		if err := os.Chmod(filepath.Join(jdk21, "bin", program), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	dir := files(t, "pom.xml", pom("[3.9.10,)", "[21,22)"))
	p, err := bare(t, Config{Dir: dir}, "JAVA_HOME_21_X64="+jdk21).Plan(t.Context(), In{})
	if err != nil || !strings.HasPrefix(p.Lines[1], "with Maven 3.9.16 from Maven's distribution: "+dir+"/pom.xml wants Maven [3.9.10,), and PATH has 3.9.9") ||
		!strings.HasPrefix(p.Lines[2], "on JDK 21.0.1 in "+jdk21) || !strings.Contains(p.Lines[2], "wants Java [21,22)") {
		t.Errorf("%q, %v", p.Lines, err)
	}
	dir = files(t, "pom.xml", pom("3.9.9", "[90,)"))
	if p, err := bare(t, Config{Dir: dir}).Plan(t.Context(), In{}); err != nil || !strings.HasPrefix(p.Lines[2], "on JDK 17.0.1") || p.Lines[1] != "with Maven 3.9.9 from PATH" {
		t.Errorf("a rule that no JDK meets is the plugin's to tell: %q, %v", p.Lines, err)
	}
}

// TestNoSecretIsKept looks through every byte that a run leaves: the stores,
// the state, the project, and the places for temporary files.
func TestNoSecretIsKept(t *testing.T) {
	w := newWorkshop(t)
	w.remove(t, "target")
	place, temporary := t.TempDir(), t.TempDir()
	t.Setenv("TMPDIR", temporary)
	root := t.TempDir()
	w.cache = storeIn(t, root)
	planted := map[string]string{"settings": "pl4nted-settings", "argument": "pl4nted-argument", "wrapper": "pl4nted-wrapper", "token": "pl4nted-token"}
	const repository = "https://corp-111122223333.d.codeartifact.eu-west-1.amazonaws.com/maven/r/"
	settings := `<settings><servers><server><id>corp</id><password>` + planted["settings"] + `</password></server></servers>
<profiles><profile><repositories><repository><id>ca</id><url>` + repository + `</url></repository></repositories></profile></profiles></settings>`
	s := w.step(Config{Settings: "env:CI_SETTINGS", Args: []string{"-Dgpg.passphrase=" + planted["argument"]}},
		"CI_SETTINGS="+settings, "MVNW_PASSWORD="+planted["wrapper"], "XDG_RUNTIME_DIR="+place)
	s.deps.Token = func(context.Context, mvn.Token) (string, time.Time, error) {
		return planted["token"], time.Now().Add(time.Hour), nil
	}
	var told []string
	s.deps.Secret = func(values ...string) { told = append(told, values...) }
	in := w.in
	in.Dir, in.Read, in.Files = w.dir, time.Now(), list(t, w.dir)
	result, err := s.Run(t.Context(), silent, in)
	if err != nil || result.Status == runner.Cached {
		t.Fatalf("%+v, %v", result, err)
	}
	for what, secret := range planted {
		if !slices.Contains(told, secret) {
			t.Errorf("the secret of %s is not masked", what)
		}
	}
	files := 0
	for _, dir := range []string{root, w.state, w.dir, place, temporary} {
		err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() {
				return err
			}
			files++
			text, err := os.ReadFile(path)
			if strings.Contains(string(text)+path, "pl4nted") {
				t.Errorf("a secret is in %s", path)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if files < 10 {
		t.Errorf("only %d files were looked through", files)
	}
}
