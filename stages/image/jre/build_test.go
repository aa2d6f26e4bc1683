package jre

import (
	"archive/tar"
	"context"
	"errors"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/fastship/fastship/cache"
	"github.com/fastship/fastship/internal/container"
	"github.com/fastship/fastship/internal/fault"
	"github.com/fastship/fastship/runner"
	"github.com/fastship/fastship/stages/internal/oci"
)

// buildBase builds the base that jars need.
func buildBase(t *testing.T, c *cache.Cache, jdk JDK, jars []Jar, extra ...string) (Base, []runner.Body) {
	t.Helper()
	modules, err := Modules(t.Context(), c, jdk, jars, extra)
	if err != nil {
		t.Fatal(err)
	}
	return buildModules(t, c, jdk, modules)
}

func buildModules(t *testing.T, c *cache.Cache, jdk JDK, modules []string) (Base, []runner.Body) {
	t.Helper()
	var events []runner.Body
	base, err := Build(t.Context(), c, Request{
		JDK: jdk, Linker: jdk, Modules: modules, Codec: oci.Gzip(1),
		Emit: func(b runner.Body) { events = append(events, b) },
	})
	if err != nil {
		t.Fatal(err)
	}
	return base, events
}

func noWarning(t *testing.T, events []runner.Body) {
	t.Helper()
	for _, e := range events {
		if w, ok := e.(runner.Warning); ok {
			t.Errorf("warning: %s", w.Text)
		}
	}
}

func TestBaseRunsJavaAndIsTheSameEachTime(t *testing.T) {
	for _, jdk := range jdks(t) {
		t.Run(jdk.Version, func(t *testing.T) {
			c := newCache(t)
			modules, err := Modules(t.Context(), c, jdk, jarsOf(t, sample(t, "orders")), []string{localeData}) // for the probe
			if err != nil {
				t.Fatal(err)
			}
			base, events := buildModules(t, c, jdk, modules)
			t.Logf("%s: %d bytes, %d compressed", base.Name, base.Layer.Uncompressed, base.Layer.Descriptor.Size)
			noWarning(t, events)
			if len(events) != 2 {
				t.Errorf("events %v, want that a base is and was linked", events)
			}
			t.Run("again", func(t *testing.T) { again(t, c, jdk, modules, base) })

			root := unpack(t, c, base)
			checkTree(t, root)
			checkPackages(t, root, base)
			t.Run("version", func(t *testing.T) {
				out := java(t, root, base, base.User, nil, "-Xshare:on", "-version")
				if !strings.Contains(out, jdk.Version) || !strings.Contains(out, "sharing") {
					t.Errorf("got %s", out)
				}
			})
			t.Run("probe", func(t *testing.T) { probe(t, jdk, root, base) })
			t.Run("orders", func(t *testing.T) {
				answer := serve(t, root, base, sample(t, "orders"))
				if !strings.Contains(answer, "orders, at your service") {
					t.Errorf("got %q", answer)
				}
			})
		})
	}
}

// checkPackages holds what scanners are told against what this machine has.
func checkPackages(t *testing.T, root string, base Base) {
	t.Helper()
	if _, err := os.Stat("/var/lib/dpkg/status"); err != nil {
		return
	}
	at := slices.IndexFunc(base.Packages, func(p Package) bool { return p.Source == "glibc" })
	if at < 0 || base.System.ID == "" {
		t.Fatalf("packages %+v of %+v", base.Packages, base.System)
	}
	told, err := os.ReadFile(filepath.Join(root, "var/lib/dpkg/status.d", base.Packages[at].Name))
	if err != nil || !strings.Contains(string(told), "\nVersion: "+base.Packages[at].Version+"\n") {
		t.Errorf("%q, %v", told, err)
	}
}

// again builds a base once more: from the cache, and anew in another folder
// under another umask.
func again(t *testing.T, c *cache.Cache, jdk JDK, modules []string, first Base) {
	hit, events := buildModules(t, c, jdk, modules)
	if len(events) > 0 || hit.Layer != first.Layer {
		t.Errorf("a second build does it again: %v", events)
	}
	t.Setenv("TMPDIR", t.TempDir())
	defer syscall.Umask(syscall.Umask(0o077))
	anew, events := buildModules(t, newCache(t), jdk, modules)
	noWarning(t, events)
	if anew.Layer != first.Layer {
		t.Errorf("another folder gives %+v, not %+v", anew.Layer, first.Layer)
	}
	if left, _ := os.ReadDir(os.TempDir()); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestSmallBaseServesHelloAndLacksTheHiddenModule(t *testing.T) {
	jdk := jdks(t)[0]
	c := newCache(t)
	base, _ := buildBase(t, c, jdk, jarsOf(t, sample(t, "hello")))
	root := unpack(t, c, base)
	if answer := serve(t, root, base, sample(t, "hello")); answer != "hello from fastship\n" {
		t.Errorf("got %q", answer)
	}
	jar := sample(t, "hidden-module")
	out := java(t, root, base, base.User, []string{filepath.Dir(jar)}, "-jar", "/mnt0/"+filepath.Base(jar))
	if !strings.Contains(out, "ClassNotFoundException: javax.sql.rowset.RowSetProvider") {
		t.Errorf("without the module: %s", out)
	}
	base, _ = buildBase(t, c, jdk, jarsOf(t, jar), "java.sql.rowset")
	if answer := serve(t, unpack(t, c, base), base, jar); !strings.Contains(answer, "rows by") {
		t.Errorf("with the module: %q", answer)
	}
}

func TestCancelLeavesNothing(t *testing.T) {
	jdk := jdks(t)[0]
	c := newCache(t)
	modules, err := Modules(t.Context(), c, jdk, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("TMPDIR", t.TempDir())
	ctx, cancel := context.WithCancelCause(t.Context())
	stop := errors.New("somebody pressed a key")
	_, err = Build(ctx, c, Request{JDK: jdk, Linker: jdk, Modules: modules, Codec: oci.Gzip(1), Emit: func(runner.Body) {
		time.AfterFunc(500*time.Millisecond, func() { cancel(stop) })
	}})
	if !errors.Is(err, stop) || fault.ClassOf(err) != fault.ImageFailed {
		t.Errorf("got %v", err)
	}
	if left, _ := os.ReadDir(os.TempDir()); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// unpack makes the layer's tree, owners and modes included.
func unpack(t *testing.T, c *cache.Cache, base Base) string {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root")
	}
	path, err := c.Blobs.Path(base.Layer.Descriptor.Digest)
	if err != nil {
		t.Fatal(err)
	}
	root := t.TempDir()
	if err := os.Chmod(root, 0o755); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("tar", "--numeric-owner", "-xpzf", path, "-C", root).CombinedOutput(); err != nil {
		t.Fatalf("tar: %s", out)
	}
	checkHeaders(t, path)
	return root
}

// checkHeaders holds that nothing of the machine is in the layer.
func checkHeaders(t *testing.T, path string) {
	t.Helper()
	gzip := exec.Command("gzip", "-dc", path)
	out, err := gzip.StdoutPipe()
	if err == nil {
		err = gzip.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	defer gzip.Wait()
	for r := tar.NewReader(out); ; {
		h, err := r.Next()
		if err == io.EOF {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		if owner := map[bool]int{true: userID}[h.Name == "home/nonroot/"]; h.Uid != owner || h.Gid != owner || h.Uname != "" || !h.ModTime.Equal(oci.Epoch()) {
			t.Errorf("header of %s: %+v", h.Name, h)
		}
		if h.Typeflag == tar.TypeSymlink && filepath.IsAbs(h.Linkname) {
			t.Errorf("%s leads to %s", h.Name, h.Linkname)
		}
	}
}

func checkTree(t *testing.T, root string) {
	t.Helper()
	for name, mode := range map[string]fs.FileMode{
		"tmp": fs.ModeDir | fs.ModeSticky | 0o777, "home/nonroot": fs.ModeDir | 0o755, "root": fs.ModeDir | 0o700,
		"etc/passwd": 0o644, "etc/group": 0o644, "etc/os-release": 0o644, "etc/nsswitch.conf": 0o644,
		"opt/java/bin/java": 0o755, "opt/java/lib/jspawnhelper": 0o755, "opt/java/lib/server/classes.jsa": 0o644,
		"opt/java/lib/security/cacerts": 0o644, "opt/java/conf/security/java.security": 0o644, "opt/java/lib/tzdb.dat": 0o644,
	} {
		info, err := os.Lstat(filepath.Join(root, name))
		if err != nil {
			t.Error(err)
		} else if info.Mode() != mode {
			t.Errorf("%s has mode %s, want %s", name, info.Mode(), mode)
		}
	}
	for _, name := range []string{"opt/java/lib/server/classes_nocoops.jsa", "opt/java/include", "opt/java/man", "opt/java/lib/libawt_xawt.so"} {
		if _, err := os.Lstat(filepath.Join(root, name)); err == nil {
			t.Errorf("%s is there", name)
		}
	}
}

// start runs java in the base. Folders are at /mnt0, /mnt1, …
func start(t *testing.T, root string, base Base, user string, env, folders []string, stdout func(string), args ...string) *container.Container {
	t.Helper()
	if err := container.Available(t.Context()); err != nil {
		t.Skipf("no namespaces here: %v", err)
	}
	over := t.TempDir()
	for i, folder := range folders {
		if out, err := exec.Command("cp", "-r", folder, filepath.Join(over, "mnt"+string(rune('0'+i)))).CombinedOutput(); err != nil {
			t.Fatalf("cp: %s", out)
		}
	}
	if err := exec.Command("chmod", "-R", "a+rX", over).Run(); err != nil {
		t.Fatal(err)
	}
	scratch := t.TempDir()
	c, err := container.Run(t.Context(), container.Spec{
		Layers: []string{root, over}, Scratch: scratch, User: user,
		Args: append([]string{base.JavaPath}, args...), Env: append(slices.Clone(base.Env), env...),
		Stdout: stdout, Stderr: stdout,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.Stop(10 * time.Second)
		if err := container.RemoveAll(scratch); err != nil {
			t.Error(err)
		}
	})
	return c
}

// java runs java to its end and returns what it printed.
func java(t *testing.T, root string, base Base, user string, folders []string, args ...string) string {
	t.Helper()
	lines := make(chan string, 1000)
	c := start(t, root, base, user, []string{"TZ=Asia/Kolkata"}, folders, func(line string) { lines <- line }, args...)
	c.Wait()
	close(lines)
	var out strings.Builder
	for line := range lines {
		out.WriteString(line + "\n")
	}
	return out.String()
}

func probe(t *testing.T, jdk JDK, root string, base Base) {
	classes := t.TempDir()
	javac := exec.Command(jdk.tool("javac"), "--release", "17", "-d", classes, "testdata/Probe.java")
	if out, err := javac.CombinedOutput(); err != nil {
		t.Fatalf("javac: %s", out)
	}
	out := java(t, root, base, base.User, []string{classes}, "-cp", "/mnt0", "Probe", "text")
	for _, want := range []string{
		"user=nonroot /home/nonroot", "zone=Asia/Kolkata 5", "file=Größe-目录", "text=UTF-8 ü", "german=1. März 2026",
		"charset=c1", "certificates=true", "curve=EC", "random=0", "zipfs=jar", "resource=true", "drawn=true",
	} {
		if !strings.Contains("\n"+out, "\n"+want+"\n") {
			t.Errorf("no %q in:\n%s", want, out)
		}
	}
	names := t.TempDir()
	if err := os.WriteFile(filepath.Join(names, "resolv.conf"), []byte("nameserver 127.0.0.1\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	etc := t.TempDir()
	if out, err := exec.Command("cp", "-rT", filepath.Join(root, "etc"), etc).CombinedOutput(); err != nil {
		t.Fatalf("cp: %s", out)
	}
	withNames := t.TempDir()
	for _, args := range [][]string{{"-rT", root, withNames}, {filepath.Join(names, "resolv.conf"), filepath.Join(withNames, "etc")}} {
		if out, err := exec.Command("cp", append([]string{"-p"}, args...)...).CombinedOutput(); err != nil {
			t.Fatalf("cp: %s", out)
		}
	}
	out = java(t, withNames, base, "0:0", []string{classes}, "-cp", "/mnt0", "Probe", "dns") // port 53 is root's
	for _, want := range []string{"user=root /root", "dns=192.0.2.7", "jndi=192.0.2.7"} {
		if !strings.Contains("\n"+out, "\n"+want+"\n") {
			t.Errorf("no %q in:\n%s", want, out)
		}
	}
}

// serve starts a jar in the base and returns its answer to GET /.
func serve(t *testing.T, root string, base Base, jar string) string {
	t.Helper()
	var log strings.Builder
	c := start(t, root, base, base.User, nil, []string{filepath.Dir(jar)}, func(line string) { log.WriteString(line + "\n") },
		"-jar", "/mnt0/"+filepath.Base(jar))
	client := http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext:       func(ctx context.Context, _, _ string) (net.Conn, error) { return c.Dial(ctx, 8080) },
	}}
	ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
	defer cancel()
	for {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://service/", nil)
		if err != nil {
			t.Fatal(err)
		}
		if response, err := client.Do(request); err == nil {
			body, err := io.ReadAll(response.Body)
			response.Body.Close()
			if err != nil || response.StatusCode != http.StatusOK {
				t.Fatalf("%s: %s %v", filepath.Base(jar), response.Status, err)
			}
			return string(body)
		}
		select {
		case <-ctx.Done():
		case <-c.Done():
		case <-time.After(100 * time.Millisecond):
			continue
		}
		c.Stop(10 * time.Second)
		t.Fatalf("%s did not answer:\n%s", filepath.Base(jar), log.String())
	}
}
