package mvn

import (
	"bytes"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/fastship/fastship/internal/centraltest"
)

// plantedSecret stands in the settings, as a password and in a URL.
const plantedSecret = "planted-s3cret"

// TestKeptFilesSpareRequests builds on an empty host, carries what the policy
// keeps to a second one, and what that one used to a third: neither may ask
// for a released artifact. FASTSHIP_TEST_MAVENS lists further Mavens' folders.
func TestKeptFilesSpareRequests(t *testing.T) {
	if os.Getenv("FASTSHIP_INTEGRATION") != "1" {
		t.Skip("runs Maven; set FASTSHIP_INTEGRATION=1")
	}
	mavens := []string{"mvn"}
	for _, home := range filepath.SplitList(os.Getenv("FASTSHIP_TEST_MAVENS")) {
		mavens = append(mavens, filepath.Join(home, "bin", "mvn"))
	}
	const extensions = `<extensions><extension><groupId>kr.motd.maven</groupId><artifactId>os-maven-plugin</artifactId><version>1.7.1</version></extension></extensions>`
	for _, mvn := range mavens {
		for app, core := range map[string]string{"orders": "", "hello": extensions} {
			t.Run(filepath.Base(filepath.Dir(filepath.Dir(mvn)))+"/"+app, func(t *testing.T) {
				dir := filepath.Join(t.TempDir(), app)
				if err := os.CopyFS(dir, os.DirFS(filepath.Join("..", "..", "..", "testdata", "apps", app))); err != nil {
					t.Fatal(err)
				}
				if core != "" {
					write(t, filepath.Join(dir, ".mvn", "extensions.xml"), core, 0o644)
				}
				sparesRequests(t, mvn, dir)
			})
		}
	}
}

func sparesRequests(t *testing.T, mvn, dir string) {
	proxy := centraltest.Start(t)
	first := newHost(t, mvn, proxy)
	report := first.build(t, dir)
	asked, _ := proxy.Take()
	if len(asked) == 0 {
		t.Fatal("the empty host asked for nothing: the proxy is not in the way")
	}
	all := first.files(t)
	selection, err := SelectFiles(t.Context(), os.DirFS(first.repository), all, report.Projects)
	if err != nil {
		t.Fatal(err)
	}
	for _, why := range []Left{LeftDamaged, LeftIrregular, LeftReactor, LeftUnfinished} {
		if left := selection.Left[why]; len(left) > 0 {
			t.Errorf("%s: %q", why, left)
		}
	}
	for _, p := range slices.Concat(selection.Release, selection.Mutable) {
		text, err := os.ReadFile(filepath.Join(first.repository, p))
		if err != nil || bytes.Contains(text, []byte(plantedSecret)) {
			t.Errorf("%s holds the password, or %v", p, err)
		}
	}
	t.Logf("%s: %d requests, %d files; kept %d and %d mutable; left %s", report.Maven, len(asked), len(all), len(selection.Release), len(selection.Mutable), countLeft(selection.Left))

	second := newHost(t, mvn, proxy)
	second.restore(t, first, selection.Release)
	report = second.build(t, dir)
	if asked, metadata := proxy.Take(); len(asked) > 0 {
		t.Errorf("the second host asked for %d artifacts (and %d times for metadata): %q", len(asked), len(metadata), asked)
	}

	note, err := ExtensionsNote(dir)
	if err != nil {
		t.Fatal(err)
	}
	resolved := ResolvedPaths(report, second.repository)
	kept := map[string]string{"unused/unused/1/unused-1.jar": ""}
	for _, p := range selection.Release {
		kept[p] = ""
	}
	maps.Copy(kept, NoteNew(selection.Release, resolved, note))
	used := UsedFiles(kept, resolved, note)
	if slices.Contains(used, "unused/unused/1/unused-1.jar") {
		t.Error("a file that nothing used is not pruned")
	}
	third := newHost(t, mvn, proxy)
	third.restore(t, first, used)
	third.build(t, dir)
	if asked, _ := proxy.Take(); len(asked) > 0 {
		t.Errorf("the third host, pruned to use, asked for %d artifacts: %q", len(asked), asked)
	}
	t.Logf("pruned %d to %d files, %d resolved", len(kept), len(used), len(resolved))
}

func countLeft(left map[Left][]string) string {
	var all []string
	for _, why := range slices.Sorted(maps.Keys(left)) {
		all = append(all, fmt.Sprintf("%d %s", len(left[why]), why))
	}
	return strings.Join(all, ", ")
}

// mavenHost is a host of its own: a home, settings and an empty repository.
type mavenHost struct{ mvn, home, settings, repository string }

func newHost(t *testing.T, mvn string, proxy *centraltest.Proxy) mavenHost {
	home := t.TempDir()
	h := mavenHost{mvn, home, filepath.Join(home, "settings.xml"), filepath.Join(home, "repository")}
	url := strings.Replace(proxy.URL, "http://", "http://ci:"+plantedSecret+"@", 1)
	write(t, h.settings, `<settings><servers><server><id>central</id><username>ci</username><password>`+plantedSecret+`</password></server></servers>`+
		`<mirrors><mirror><id>central</id><mirrorOf>*</mirrorOf><url>`+url+`</url></mirror></mirrors></settings>`, 0o600)
	return h
}

func (h mavenHost) build(t *testing.T, dir string) Report {
	t.Helper()
	watch, err := NewWatch()
	if err != nil {
		t.Fatal(err)
	}
	defer watch.Close()
	c := exec.CommandContext(t.Context(), h.mvn, "-B", "-q", "-s", h.settings, "-DskipTests", "-D"+localRepository+"="+h.repository, "clean", "package", watch.Arg(""))
	c.Dir = dir
	c.Env = slices.Concat(os.Environ(), []string{"HOME=" + h.home, "MAVEN_OPTS=-Duser.home=" + h.home}, watch.Env())
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", c.Args, err, out)
	}
	report, err := watch.Report()
	if err != nil || !report.Ended {
		t.Fatalf("report: %v, ended %t", err, report.Ended)
	}
	return report
}

func (h mavenHost) files(t *testing.T) []string {
	t.Helper()
	var all []string
	err := fs.WalkDir(os.DirFS(h.repository), ".", func(p string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			all = append(all, p)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func (h mavenHost) restore(t *testing.T, from mavenHost, paths []string) {
	t.Helper()
	for _, p := range paths {
		text, err := os.ReadFile(filepath.Join(from.repository, p))
		if err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(h.repository, p), string(text), 0o644)
	}
}
