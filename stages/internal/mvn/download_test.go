package mvn

import (
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/fastship/fastship/internal/fault"
)

// repository serves one version of Maven, and what a repository has beside it.
func repository(t *testing.T, files map[string]string) (url string, asked *atomic.Int32) {
	t.Helper()
	asked = &atomic.Int32{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		text, ok := files[strings.TrimPrefix(r.URL.Path, "/org/apache/maven/apache-maven/")]
		if !ok {
			http.NotFound(w, r)
			return
		}
		_, _ = w.Write([]byte(text))
	}))
	t.Cleanup(server.Close)
	return server.URL, asked
}

func central(url string) Settings {
	return Settings{Mirrors: []Mirror{{ID: "corp", Of: "central", URL: url}}}
}

func TestAVersionIsCheckedAgainstWhatIsPublishedBesideIt(t *testing.T) {
	content := string(archive(t, "apache-maven-3.9.11/bin/mvn"))
	sum := fmt.Sprintf("%x", sha512.Sum512([]byte(content)))
	wanted := func() Distribution {
		l := ChooseLauncher(Host{}, t.TempDir(), t.TempDir(), "3.9.11")
		if !l.Provided || l.Path != "" || l.Version != "3.9.11" {
			t.Fatalf("launcher %+v", l)
		}
		return l.Of(http.DefaultClient, nil)
	}
	const zip = "3.9.11/apache-maven-3.9.11-bin.zip"
	for name, beside := range map[string]string{"bare": sum + "\n", "with its name": strings.ToUpper(sum) + "  apache-maven-3.9.11-bin.zip\n"} {
		c := store(t)
		url, asked := repository(t, map[string]string{zip: content, zip + ".sha512": beside})
		for range 2 {
			mvn, release, err := wanted().Provide(t.Context(), c, central(url))
			if err != nil || !executable(mvn) {
				t.Fatalf("%s: %s, %v", name, mvn, err)
			}
			release()
		}
		if asked.Load() != 2 {
			t.Errorf("%s: %d requests, want the archive and its sum, once", name, asked.Load())
		}
	}
	metadata := `<metadata><versioning><versions><version>3.9.16</version><version>4.0.0-rc-4</version><version>3.9.9</version></versions></versioning></metadata>`
	for name, c := range map[string]struct {
		files map[string]string
		class fault.Class
		want  []string
	}{
		"other bytes":   {map[string]string{zip: content, zip + ".sha512": strings.Repeat("a", 128)}, fault.Missing, []string{"not the archive that Apache published"}},
		"no sum":        {map[string]string{zip: content}, fault.Missing, []string{"read its sha512: the server answered 404", "serve the .sha512"}},
		"a page as sum": {map[string]string{zip: content, zip + ".sha512": "<html>"}, fault.Missing, []string{"the answer is not one"}},
		"unknown":       {map[string]string{"maven-metadata.xml": metadata}, fault.BadInput, []string{"there is no version 3.9.11", "the newest are 3.9.16 and 4.0.0-rc-4"}},
		"empty":         {nil, fault.Missing, []string{"404"}},
	} {
		t.Run(name, func(t *testing.T) {
			store := store(t)
			url, _ := repository(t, c.files)
			_, _, err := wanted().Provide(t.Context(), store, central(url))
			if fault.ClassOf(err) != c.class {
				t.Errorf("class %v: %v", fault.ClassOf(err), err)
			}
			for _, part := range c.want {
				if err == nil || !strings.Contains(err.Error()+fault.HintOf(err), part) {
					t.Errorf("%q is not in %v (%s)", part, err, fault.HintOf(err))
				}
			}
			if wanted().Kept(t.Context(), store) {
				t.Error("it was kept")
			}
		})
	}
}

func TestAWrappersDistributionIsBroughtFromTheCache(t *testing.T) {
	content := archive(t, "apache-maven-3.9.8/bin/mvn")
	short := sha256.Sum256(content)
	url, asked := repository(t, map[string]string{"3.9.8/apache-maven-3.9.8-bin.zip": string(content)})
	project := func(sum string) string {
		dir := t.TempDir()
		write(t, filepath.Join(dir, "mvnw"), "#!/bin/sh\n", 0o755)
		write(t, wrapperProperties(dir), "# c\ndistributionUrl=https\\://repo.maven.apache.org/maven2/org/apache/maven/apache-maven/3.9.8/apache-maven-3.9.8-bin.zip\ndistributionSha256Sum="+sum+"\n", 0o644)
		return dir
	}
	good := project(hex.EncodeToString(short[:]))
	h := Host{Home: t.TempDir(), Environ: []string{"MVNW_REPOURL=" + url + "/", "MVNW_USERNAME=u", "MVNW_PASSWORD=p"}}
	l := ChooseLauncher(h, good, good, "")
	if !l.Provided || !l.Wrapper || l.Version != "3.9.8" || l.Path != filepath.Join(good, "mvnw") || !strings.Contains(l.Origin, "brought by fastship") {
		t.Fatalf("launcher %+v", l)
	}
	if d := l.Of(nil, nil); !strings.HasPrefix(d.URL, url+"/org/apache/maven/") || d.User != "u" || d.Password != "p" {
		t.Errorf("distribution %+v", d)
	}
	c := store(t)
	for range 2 {
		_, release, err := l.Of(http.DefaultClient, nil).Provide(t.Context(), c, Settings{})
		if err != nil {
			t.Fatal(err)
		}
		release()
	}
	if asked.Load() != 2 { // the archive, and the sha512 that is not there
		t.Errorf("%d requests", asked.Load())
	}
	bad := project(strings.Repeat("0", 64))
	if _, _, err := FindLauncher(h, bad, bad).Of(http.DefaultClient, nil).Provide(t.Context(), c, Settings{}); err == nil || !strings.Contains(err.Error(), "distributionSha256Sum") {
		t.Errorf("another sum: %v", err)
	}
	if got := ChooseLauncher(h, good, good, "3.9.8"); !got.Wrapper {
		t.Errorf("the wrapper is of the wanted version: %+v", got)
	}
	if got := ChooseLauncher(h, good, good, PinnedMaven); got.Wrapper || got.SHA512 != pinnedSHA512 {
		t.Errorf("maven.version wins over a wrapper of another version: %+v", got)
	}
	for name, line := range map[string]string{
		"mvnd":   "https://repo/org/apache/maven/mvnd/1.0.2/maven-mvnd-1.0.2-bin.zip",
		"tar.gz": "https://repo/org/apache/maven/apache-maven/3.9.8/apache-maven-3.9.8-bin.tar.gz",
		"file":   "file:///opt/apache-maven-3.9.8-bin.zip",
		"query":  "https://repo/apache-maven-3.9.8-bin.zip?x=1",
	} {
		dir := project("")
		write(t, wrapperProperties(dir), "distributionUrl="+line+"\n", 0o644)
		if l := FindLauncher(Host{Home: h.Home}, dir, dir); l.Provided || !l.Wrapper {
			t.Errorf("%s is not left to ./mvnw: %+v", name, l)
		}
	}
	for _, installed := range []string{"apache-maven-3.9.8/5f3a/bin/mvn", "apache-maven-3.9.8-bin/5f3a/apache-maven-3.9.8/bin/mvn"} {
		home := t.TempDir()
		write(t, filepath.Join(home, "wrapper", "dists", installed), "", 0o755)
		if l := FindLauncher(Host{Environ: []string{"MAVEN_USER_HOME=" + home}}, good, good); l.Provided || l.Path != filepath.Join(good, "mvnw") {
			t.Errorf("mvnw has %s and is passed over: %+v", installed, l)
		}
	}
}
