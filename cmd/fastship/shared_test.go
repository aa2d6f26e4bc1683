package main

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	minio "github.com/minio/minio-go/v7"

	"github.com/fastship/fastship/cache/s3/s3test"
	"github.com/fastship/fastship/internal/centraltest"
)

// planted stands in Maven's settings, in .netrc and in the environment: no
// store may ever hold it.
const planted = "planted-s3cret"

// host is a machine of its own: a home with settings, an empty local cache,
// and programs that note their starts.
type host struct {
	home, starts string
	environ      []string
}

func newHost(t *testing.T, store, mirror string) host {
	t.Helper()
	h := host{home: t.TempDir(), starts: filepath.Join(t.TempDir(), "starts")}
	url := strings.Replace(mirror, "http://", "http://ci:"+planted+"@", 1)
	settings := `<settings><servers><server><id>central</id><username>ci</username><password>` + planted + `</password></server></servers>` +
		`<mirrors><mirror><id>central</id><mirrorOf>*</mirrorOf><url>` + url + `</url></mirror></mirrors></settings>`
	place(t, filepath.Join(h.home, ".netrc"), "machine localhost login ci password "+planted, 0o600)
	maven, jdk := filepath.Join(h.home, "maven"), filepath.Join(h.home, "jdk")
	bin := filepath.Join(maven, "bin")
	notes := func(name, real, to string) {
		place(t, filepath.Join(to, name), "#!/bin/sh\necho "+name+" >>\"$STARTS\"\nexec "+real+" \"$@\"\n", 0o755)
	}
	mvn := realProgram(t, "mvn")
	linkTree(t, filepath.Dir(filepath.Dir(mvn)), maven, "bin")
	notes("mvn", mvn, bin)
	java := realProgram(t, "java")
	linkTree(t, filepath.Dir(filepath.Dir(java)), jdk, "bin")
	linkTree(t, filepath.Dir(java), filepath.Join(jdk, "bin"), "java")
	notes("java", java, filepath.Join(jdk, "bin"))
	h.environ = append(os.Environ(),
		"HOME="+h.home, "STARTS="+h.starts, "JAVA_HOME="+jdk, "PATH="+bin+string(os.PathListSeparator)+os.Getenv("PATH"), "XDG_CACHE_HOME=", "FASTSHIP_CACHE_DIR=", "CI=", "GITHUB_ACTIONS=",
		"FASTSHIP_CACHE_STORE="+store, "AWS_ACCESS_KEY_ID="+s3test.AccessKey, "AWS_SECRET_ACCESS_KEY="+s3test.SecretKey, "AWS_EC2_METADATA_DISABLED=true",
		"MAVEN_SETTINGS="+settings, "CODEARTIFACT_AUTH_TOKEN="+planted)
	return h
}

func realProgram(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("no %s on PATH", name)
	}
	if path, err = filepath.EvalSymlinks(path); err != nil {
		t.Fatal(err)
	}
	return path
}

// linkTree links all that is in a folder into another, but for one name.
func linkTree(t *testing.T, from, to, but string) {
	t.Helper()
	entries, err := os.ReadDir(from)
	if err == nil {
		err = os.MkdirAll(to, 0o755)
	}
	for _, e := range entries {
		if e.Name() != but && err == nil {
			err = os.Symlink(filepath.Join(from, e.Name()), filepath.Join(to, e.Name()))
		}
	}
	if err != nil {
		t.Fatal(err)
	}
}

func place(t *testing.T, path, text string, mode os.FileMode) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
}

// outcome is what the tests read of a result file.
type outcome struct {
	Tests struct{ Run int }
	Jar   struct{ SHA256 string }
}

// build runs the Maven stage and returns the outcome and what was shown.
func (h host) build(t *testing.T, dir string, args ...string) (outcome, string) {
	t.Helper()
	result := filepath.Join(t.TempDir(), "result.json")
	cmd := exec.Command(filepath.Join(sharedDir(t), "fastship"), append([]string{"run", "--until", "maven", "--result", result}, args...)...)
	cmd.Dir, cmd.Env = dir, h.environ
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("fastship %v: %v\n%s", args, err, out)
	}
	text, err := os.ReadFile(result)
	if err != nil {
		t.Fatal(err)
	}
	var o outcome
	if err := json.Unmarshal(text, &o); err != nil {
		t.Fatal(err)
	}
	return o, string(out)
}

// TestASecondHostBuildsWithoutDownloads is the promise of the shared cache: a
// host with nothing but the bucket does not run an unchanged job, and does not
// ask for one released artifact when it runs it.
func TestASecondHostBuildsWithoutDownloads(t *testing.T) {
	if os.Getenv("FASTSHIP_INTEGRATION") != "1" {
		t.Skip("runs Maven and minio; set FASTSHIP_INTEGRATION=1")
	}
	endpoint := s3test.Start(t, s3test.MinIO)
	store := "s3://" + s3test.Bucket + "/team?region=" + s3test.Region + "&path-style=true&endpoint=" + endpoint
	projects := map[string]string{
		"hello": `<extensions><extension><groupId>kr.motd.maven</groupId><artifactId>os-maven-plugin</artifactId><version>1.7.1</version></extension></extensions>`,
	}
	if os.Getenv("FASTSHIP_SECOND_HOST") == "all" { // a long run, see .ci/soak
		projects["orders"] = ""
	}
	for name, extensions := range projects {
		t.Run(name, func(t *testing.T) {
			proxy := centraltest.Start(t)
			project := func() string {
				dir := app(t, name)
				place(t, filepath.Join(dir, "fastship.yaml"), "maven: {settings: \"env:MAVEN_SETTINGS\"}\n", 0o644)
				if extensions != "" {
					place(t, filepath.Join(dir, ".mvn", "extensions.xml"), extensions, 0o644)
				}
				return dir
			}
			first, firstDir := newHost(t, store, proxy.URL), project()
			made, said := first.build(t, firstDir)
			asked, _ := proxy.Take()
			if len(asked) == 0 {
				t.Fatal("the empty host asked for nothing: the proxy is not in the way")
			}
			if !strings.Contains(said, "saved ") {
				t.Errorf("nothing was saved:\n%s", said)
			}
			second, dir := newHost(t, store, proxy.URL), project()
			again, said := second.build(t, dir)
			if starts, _ := os.ReadFile(second.starts); len(starts) > 0 {
				t.Errorf("started %q for a job that is known", starts)
			}
			if again.Tests != made.Tests || again.Jar != made.Jar || !strings.Contains(said, "cached") {
				t.Errorf("got %+v, want %+v\n%s", again, made, said)
			}
			forced, said := second.build(t, dir, "--force")
			if asked, metadata := proxy.Take(); len(asked) > 0 {
				t.Errorf("the second host asked for %d artifacts (and %d times for metadata): %q\n%s", len(asked), len(metadata), asked, said)
			}
			if starts, _ := os.ReadFile(second.starts); !bytes.Contains(starts, []byte("mvn")) {
				t.Error("--force did not run Maven")
			}
			if forced.Jar != made.Jar {
				t.Errorf("the restored repository makes another jar: %v, want %v", forced.Jar, made.Jar)
			}
			if _, err := os.Stat(filepath.Join(second.home, ".m2", "repository")); err == nil {
				t.Error("the user's own repository was written to")
			}
		})
	}
	holdsNoSecret(t, endpoint)
}

// holdsNoSecret reads every byte of the bucket.
func holdsNoSecret(t *testing.T, endpoint string) {
	t.Helper()
	client := s3test.Client(t, endpoint)
	objects := 0
	for o := range client.ListObjects(t.Context(), s3test.Bucket, minio.ListObjectsOptions{Recursive: true}) {
		if o.Err != nil {
			t.Fatal(o.Err)
		}
		body, err := client.GetObject(t.Context(), s3test.Bucket, o.Key, minio.GetObjectOptions{})
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(body)
		if err != nil {
			t.Fatal(err)
		}
		for _, form := range decoded(text) {
			if bytes.Contains(form, []byte(planted)) || strings.Contains(o.Key, planted) {
				t.Errorf("%s holds the secret", o.Key)
			}
		}
		objects++
	}
	if objects < 10 {
		t.Errorf("only %d objects in the bucket", objects)
	}
}

// decoded is a text as it is, and what is compressed in it.
func decoded(text []byte) [][]byte {
	forms := [][]byte{text}
	if magic := []byte{0x28, 0xB5, 0x2F, 0xFD}; bytes.HasPrefix(text, magic) {
		if r, err := zstd.NewReader(bytes.NewReader(text)); err == nil {
			plain, _ := io.ReadAll(r) // what can be decoded counts
			r.Close()
			forms = append(forms, plain)
		}
	}
	return forms
}
