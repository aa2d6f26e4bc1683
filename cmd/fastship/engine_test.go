package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/fastship/fastship/cmd/internal/road"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/validate"
)

// TestImageRunsInDocker takes each kind of sample through a real registry to a
// real engine: it answers over HTTP, and SIGTERM reaches the application.
func TestImageRunsInDocker(t *testing.T) {
	integration(t)
	engine(t)
	registry := distribution(t)
	for _, c := range []struct{ app, ready, goodbye string }{
		{"hello", "hello from fastship", "hello: stopping"},
		{"shaded", "", ""},
		{"orders", "at your service", "graceful shutdown"},
	} {
		t.Run(c.app, func(t *testing.T) {
			dir := app(t, c.app) // whose Maven job the sandbox's test finds in the cache
			reference := registry + "/team/" + c.app
			config(t, dir, "image: {repository: %s, tags: [v1], healthCheck: {command: [/opt/java/bin/java, -version]}}\n", reference)
			run(t, 0, dir, "run")
			validateEverywhere(t, dir, reference+":v1")
			if c.app == "hello" {
				sameInEngine(t, dir, reference+":v1")
			}

			if c.app == "hello" && zstdPushed(t, dir, reference+":zstd") {
				reference += ":zstd"
			} else {
				reference += ":v1"
			}
			docker(t, "pull", "-q", reference)
			engineAgrees(t, reference)
			id := docker(t, "run", "-d", "-P", "--publish", "127.0.0.1::8080", "--memory", "512m", reference)
			t.Cleanup(func() { exec.Command("docker", "rm", "-f", id).Run() })
			address := strings.Fields(docker(t, "port", id, "8080/tcp"))[0]
			body := answer(t, "http://"+address+"/", 2*time.Minute)
			if !strings.Contains(body, c.ready) {
				t.Errorf("GET / answers %q, want %q in it", body, c.ready)
			}
			docker(t, "stop", "-t", "20", id)
			if code := docker(t, "inspect", "-f", "{{.State.ExitCode}}", id); code != "143" {
				t.Errorf("exit code after SIGTERM: %s, want 143", code)
			}
			if logs := docker(t, "logs", id); !strings.Contains(logs, c.goodbye) {
				t.Errorf("the log does not say %q:\n%s", c.goodbye, logs)
			}
		})
	}
}

// sameInEngine makes the image again, as an archive and in the engine. Both are
// the image that the engine pulled, its health check among the rest: an ID is
// the digest of the config, and that names every file.
func sameInEngine(t *testing.T, dir, reference string) {
	t.Helper()
	const tag = "fastship-test-outputs:v1"
	archive := filepath.Join(t.TempDir(), "hello.tar")
	t.Cleanup(func() { exec.Command("docker", "rmi", tag).Run() })
	docker(t, "pull", "-q", reference)
	pulled := docker(t, "inspect", "-f", "{{.Id}} {{.Config.Healthcheck.Test}}", reference)
	if !strings.HasSuffix(pulled, "[CMD /opt/java/bin/java -version]") {
		t.Errorf("the engine sees no health check: %s", pulled)
	}
	run(t, 0, dir, "image", "build", "-o", "archive="+archive, "-o", "engine="+tag)
	if got := docker(t, "inspect", "-f", "{{.Id}} {{.Config.Healthcheck.Test}}", tag); got != pulled {
		t.Errorf("loaded by the API: %s, pulled %s", got, pulled)
	}
	docker(t, "rmi", tag)
	if said := docker(t, "load", "-q", "-i", archive); said != "Loaded image: "+tag {
		t.Errorf("docker load: %s", said)
	}
	if got := docker(t, "inspect", "-f", "{{.Id}} {{.Config.Healthcheck.Test}}", tag); got != pulled {
		t.Errorf("loaded from the archive: %s, pulled %s", got, pulled)
	}
	output(t, need(t, "skopeo"), "inspect", "docker-archive:"+archive)
}

// validateEverywhere holds the layout and the pushed image against readers of
// other makers.
func validateEverywhere(t *testing.T, dir, reference string) {
	t.Helper()
	folder := filepath.Join(dir, ".fastship", "image")
	index, err := layout.ImageIndexFromPath(folder)
	if err != nil {
		t.Fatal(err)
	}
	if err := validate.Index(index); err != nil {
		t.Errorf("the layout: %v", err)
	}
	parsed, err := name.ParseReference(reference, name.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	image, err := remote.Image(parsed)
	if err != nil {
		t.Fatal(err)
	}
	if err := validate.Image(image); err != nil {
		t.Errorf("the pushed image: %v", err)
	}
	sameEverywhere(t, folder, reference)
}

// sameEverywhere holds the layout against the registry, as skopeo sees them.
func sameEverywhere(t *testing.T, folder, reference string) {
	t.Helper()
	skopeo := need(t, "skopeo")
	local := output(t, skopeo, "inspect", "--format", "{{.Digest}}", "oci:"+folder)
	pushed := output(t, skopeo, "inspect", "--tls-verify=false", "--format", "{{.Digest}}", "docker://"+reference)
	if local != pushed {
		t.Errorf("skopeo: layout %s, registry %s", local, pushed)
	}
}

// engineAgrees holds what an engine has pulled against what skopeo and the
// code of crane validate read in the registry: one digest, one image ID, the
// same layers, unpacked.
func engineAgrees(t *testing.T, reference string) {
	t.Helper()
	parsed, err := name.ParseReference(reference, name.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	image, err := remote.Image(parsed)
	if err != nil {
		t.Fatal(err)
	}
	digest, err := image.Digest()
	if err != nil {
		t.Fatal(err)
	}
	file, err := image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	id, err := image.ConfigName()
	if err != nil {
		t.Fatal(err)
	}
	if seen := output(t, need(t, "skopeo"), "inspect", "--tls-verify=false", "--format", "{{.Digest}} {{len .Layers}}", "docker://"+reference); seen != fmt.Sprint(digest, " ", len(file.RootFS.DiffIDs)) {
		t.Errorf("skopeo sees %s, crane %s with %d layers", seen, digest, len(file.RootFS.DiffIDs))
	}
	if seen := docker(t, "inspect", "-f", "{{range .RepoDigests}}{{.}} {{end}}", reference); !strings.Contains(seen, parsed.Context().Name()+"@"+digest.String()) {
		t.Errorf("the engine pulled %s, not %s", seen, digest)
	}
	if seen := docker(t, "inspect", "-f", "{{range .RootFS.Layers}}{{.}} {{end}}", reference); seen != strings.Trim(fmt.Sprint(file.RootFS.DiffIDs), "[]") {
		t.Errorf("the engine's layers are %s, not %v", seen, file.RootFS.DiffIDs)
	}
	// Engines that keep images in containerd name them by the manifest.
	if seen := docker(t, "inspect", "-f", "{{.Id}}", reference); seen != id.String() && seen != digest.String() {
		t.Errorf("the engine's image is %s, neither %s nor %s", seen, id, digest)
	}
}

// zstdPushed pushes the project's image with zstd layers, which skopeo can
// copy, and tells whether the engine can read it: Docker before 23 cannot.
func zstdPushed(t *testing.T, dir, reference string) bool {
	t.Helper()
	repository, tag := reference[:strings.LastIndex(reference, ":")], reference[strings.LastIndex(reference, ":")+1:]
	config(t, dir, "image: {repository: %s, tags: [%s], compression: zstd}\n", repository, tag)
	run(t, 0, dir, "run")
	sameEverywhere(t, filepath.Join(dir, ".fastship", "image"), reference)
	if raw := output(t, "skopeo", "inspect", "--tls-verify=false", "--raw", "docker://"+reference); !strings.Contains(raw, "tar+zstd") || strings.Contains(raw, "tar+gzip") {
		t.Errorf("not zstd: %s", raw)
	}
	output(t, "skopeo", "copy", "-q", "--src-tls-verify=false", "docker://"+reference, "oci:"+t.TempDir())
	version := docker(t, "version", "--format", "{{.Server.Version}}")
	major, err := strconv.Atoi(version[:max(strings.Index(version, "."), 0)])
	if err != nil || major < 23 {
		t.Logf("the engine is %s and reads no zstd: it runs the gzip image", version)
		return false
	}
	return true
}

// engine skips where no Docker engine answers.
func engine(t *testing.T) {
	t.Helper()
	need(t, "docker")
	if out, err := exec.Command("docker", "info").CombinedOutput(); err != nil {
		t.Skipf("no Docker engine answers: %s", bytes.TrimSpace(out))
	}
}

func docker(t *testing.T, args ...string) string {
	t.Helper()
	return output(t, "docker", args...)
}

func output(t *testing.T, program string, args ...string) string {
	t.Helper()
	out, err := exec.Command(program, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %v: %v\n%s", program, args, err, out)
	}
	return strings.TrimSpace(string(out))
}

// distribution starts Debian's distribution registry and returns host:port.
func distribution(t *testing.T) string {
	t.Helper()
	server := need(t, "docker-registry")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	file := filepath.Join(t.TempDir(), "registry.yml")
	text := fmt.Sprintf("version: 0.1\nlog: {level: error, accesslog: {disabled: true}}\nstorage: {filesystem: {rootdirectory: %q}}\nhttp: {addr: %q}\n", t.TempDir(), address)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, server, "serve", file)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cancel(); cmd.Wait() })
	answer(t, "http://"+address+"/v2/", 20*time.Second)
	return address
}

// answer waits for the first HTTP 200 and returns its body.
func answer(t *testing.T, url string, within time.Duration) string {
	t.Helper()
	var last string
	for deadline := time.Now().Add(within); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		r, err := http.Get(url)
		if err != nil {
			last = err.Error()
			continue
		}
		body, err := io.ReadAll(r.Body)
		r.Body.Close()
		if err == nil && r.StatusCode == http.StatusOK {
			return string(body)
		}
		last = fmt.Sprintf("%s %v", r.Status, err)
	}
	t.Fatalf("%s does not answer 200 within %v: %s", url, within, last)
	return ""
}

// config writes the project's fastship.yaml.
func config(t *testing.T, dir, format string, args ...any) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, "fastship.yaml"), fmt.Appendf(nil, format, args...), 0o644); err != nil {
		t.Fatal(err)
	}
}

// result reads a file that --result wrote.
func result(t *testing.T, file string) road.Result {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var r road.Result
	if err := json.Unmarshal(b, &r); err != nil {
		t.Fatal(err)
	}
	return r
}
