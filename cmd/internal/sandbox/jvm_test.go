package sandbox_test

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fastship/fastship/cache"
	"github.com/fastship/fastship/cmd/internal/sandbox"
	"github.com/fastship/fastship/deploy"
	deployecs "github.com/fastship/fastship/deploy/ecs"
	"github.com/fastship/fastship/internal/awsconf"
	"github.com/fastship/fastship/internal/fault"
	"github.com/fastship/fastship/runner"
	"github.com/fastship/fastship/stages/image"
	"github.com/fastship/fastship/stages/push"
	"github.com/fastship/fastship/stages/rollout"
)

const apps = "../../../testdata/apps/"

// jdk is the JDK that PATH's javac belongs to.
func jdk(t *testing.T) (home string, major int) {
	t.Helper()
	if _, err := os.Stat(apps); err != nil {
		t.Skip("not in the source tree") // as when run unprivileged
	}
	javac, err := exec.LookPath("javac")
	if err != nil {
		t.Skip("no JDK in PATH")
	}
	if javac, err = filepath.EvalSymlinks(javac); err != nil {
		t.Fatal(err)
	}
	home = filepath.Dir(filepath.Dir(javac))
	if _, err := os.Stat(filepath.Join(home, "jmods")); err != nil {
		t.Skip(home, "has no jmods")
	}
	release, err := os.ReadFile(filepath.Join(home, "release"))
	if err != nil {
		t.Fatal(err)
	}
	_, version, _ := strings.Cut(string(release), `JAVA_VERSION="`)
	if _, err := fmt.Sscanf(version, "%d", &major); err != nil || major < 17 {
		t.Skipf("no JDK of 17 or newer: %q", version)
	}
	return home, major
}

// jar compiles a sample service without Maven.
func jar(t *testing.T, home, app, main string) string {
	t.Helper()
	dir := t.TempDir()
	source := filepath.Join(apps, app, "src/main/java", strings.ReplaceAll(main, ".", "/")+".java")
	out := filepath.Join(dir, "app.jar")
	for _, args := range [][]string{
		{"javac", "--release", "17", "-d", filepath.Join(dir, "classes"), source},
		{"jar", "--create", "--file", out, "--main-class", main, "-C", filepath.Join(dir, "classes"), "."},
	} {
		if output, err := exec.Command(filepath.Join(home, "bin", args[0]), args[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%v: %v: %s", args, err, output)
		}
	}
	return out
}

// take takes a jar along the road's last stages into the sandbox.
func take(t *testing.T, s *sandbox.Sandbox, memory *cache.Cache, home string, major int, jar string) (begin time.Time, err error) {
	t.Helper()
	env := runner.Env{
		Emit:       func(runner.Body) {},
		Background: func(_ string, work func(context.Context) error) { _ = work(t.Context()) },
	}
	raw, err := os.ReadFile(jar)
	if err != nil {
		t.Fatal(err)
	}
	made, err := image.New(image.Config{Layout: filepath.Join(t.TempDir(), "image")}, image.Deps{Cache: memory}).Run(t.Context(), env, image.In{
		Jar:  runner.Descriptor{Name: jar, Digest: cache.Sum(raw), Size: int64(len(raw))},
		Name: "app", Version: "1", JavaHome: home, JavaMajor: major,
	})
	if err != nil {
		t.Fatal(err)
	}
	sent, err := push.New(push.Config{Repository: s.Repository()}, push.Deps{}).Run(t.Context(), env, push.In{Layout: made.Out.Layout, Digest: made.Out.Digest})
	if err != nil {
		t.Fatal(err)
	}
	if sent.Out.Blobs != 0 {
		t.Errorf("%d blobs were sent to a registry that has them", sent.Out.Blobs)
	}
	begin = time.Now()
	_, err = rollout.New(rollout.Config{Cluster: s.Cluster(), Service: s.Service(), Container: s.Container()}, rollout.Deps{
		PollEvery: 50 * time.Millisecond,
		Logs:      s.Logs,
		Connect: func(context.Context, string) (deploy.API, error) {
			return deployecs.New(awsconf.Local(s.Endpoint(), s.Region())), nil
		},
	}).Run(t.Context(), env, rollout.In{Image: sent.Out.Reference})
	return begin, err
}

func TestRealJVM(t *testing.T) {
	home, major := jdk(t)
	project := t.TempDir()
	s := start(t, project)
	defer closed(t, s, project)
	memory := config(project).Cache

	begin, err := take(t, s, memory, home, major, jar(t, home, "hello", "com.example.hello.Hello"))
	if err != nil {
		t.Fatal(err)
	}
	if a := firstAnswer(t, s.Remote); a.Status != http.StatusOK || a.Body != "hello from fastship\n" {
		t.Errorf("%+v", a)
	}
	t.Logf("rolled out and answering %v after its push, nothing unpacked before", time.Since(begin))

	// What jdeps cannot see is caught here, told with its remedy, and rolled
	// back to what ran.
	_, err = take(t, s, memory, home, major, jar(t, home, "broken/hidden-module", "com.example.Main"))
	if fault.ClassOf(err) != fault.RolledBack || !strings.Contains(fault.HintOf(err), "add java.sql.rowset to image.modules") {
		t.Errorf("class %d, hint %q: %v", fault.ClassOf(err), fault.HintOf(err), err)
	}
	if a := firstAnswer(t, s.Remote); a.Body != "hello from fastship\n" {
		t.Errorf("%+v", a)
	}
}
