package sandbox_test

import (
	"archive/tar"
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"github.com/fastship/fastship/cache"
	"github.com/fastship/fastship/cache/dir"
	"github.com/fastship/fastship/cmd/internal/sandbox"
	"github.com/fastship/fastship/internal/awsconf"
	"github.com/fastship/fastship/internal/container"
	"github.com/fastship/fastship/internal/fault"
)

// servedDir asks this test binary, started again, to serve a sandbox in that
// directory until it is told to stop by the end of its input, or killed.
const servedDir = "FASTSHIP_TEST_SANDBOX"

func TestMain(m *testing.M) {
	if code, ok := container.Init(os.Args); ok {
		os.Exit(code)
	}
	if dir := os.Getenv(servedDir); dir != "" {
		os.Exit(serve(dir))
	}
	os.Exit(m.Run())
}

func serve(project string) int {
	s, err := sandbox.Start(context.Background(), config(project))
	if err != nil {
		fmt.Println(err)
		return 1
	}
	fmt.Println("serving")
	_, _ = io.Copy(io.Discard, os.Stdin)
	if err := s.Close(context.Background()); err != nil {
		fmt.Println(err)
		return 1
	}
	return 0
}

func config(project string) sandbox.Config {
	store, err := dir.Open(filepath.Join(project, "cache"), dir.Options{})
	if err != nil {
		panic(err)
	}
	return sandbox.Config{
		Dir: filepath.Join(project, ".fastship/sandbox"), Cache: &cache.Cache{Blobs: store, Actions: store},
		App: "My.App", Keep: true,
	}
}

func start(t *testing.T, project string) *sandbox.Sandbox {
	t.Helper()
	if err := sandbox.Check(t.Context()); err != nil {
		t.Skip(err)
	}
	s, err := sandbox.Start(t.Context(), config(project))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// closed ends a sandbox and looks for what it left.
func closed(t *testing.T, s *sandbox.Sandbox, project string) {
	t.Helper()
	if err := s.Close(context.Background()); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(project, ".fastship/sandbox")); !errors.Is(err, os.ErrNotExist) {
		t.Error("the sandbox's directory is still there", err)
	}
	if mounts, err := os.ReadFile("/proc/self/mountinfo"); err != nil || strings.Contains(string(mounts), project) {
		t.Error("a mount is left", err)
	}
}

// program builds the containers' program, once: it greets in the name of its
// version, on port 9090.
var program = sync.OnceValues(func() ([]byte, error) {
	dir, err := os.MkdirTemp("", "greeter")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	cmd := exec.Command("go", "build", "-o", filepath.Join(dir, "greeter"), "./testdata/greeter")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%w: %s", err, out)
	}
	return os.ReadFile(filepath.Join(dir, "greeter"))
})

// push makes an image of the greeter and pushes it.
func push(t *testing.T, r *sandbox.Remote, env ...string) string {
	t.Helper()
	content, err := program()
	if err != nil {
		t.Fatal(err)
	}
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	if err := errors.Join(w.WriteHeader(&tar.Header{Name: "greeter", Mode: 0o755, Size: int64(len(content))}), second(w.Write(content)), w.Close()); err != nil {
		t.Fatal(err)
	}
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(buf.Bytes())), nil })
	if err != nil {
		t.Fatal(err)
	}
	image, err := mutate.AppendLayers(empty.Image, layer)
	if err != nil {
		t.Fatal(err)
	}
	file, err := image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	file = file.DeepCopy()
	file.OS, file.Architecture = "linux", runtime.GOARCH
	file.Config = v1.Config{Entrypoint: []string{"/greeter"}, Env: env, User: "65532"}
	if image, err = mutate.ConfigFile(image, file); err != nil {
		t.Fatal(err)
	}
	digest, err := image.Digest()
	if err != nil {
		t.Fatal(err)
	}
	ref, err := name.NewDigest(r.Repository()+"@"+digest.String(), name.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(ref, image); err != nil {
		t.Fatal(err)
	}
	return ref.String()
}

func second(_ int, err error) error { return err }

func client(r *sandbox.Remote) *ecs.Client {
	return ecs.NewFromConfig(awsconf.Local(r.Endpoint(), r.Region()))
}

// deploy makes the service run the image.
func deploy(t *testing.T, r *sandbox.Remote, image string) {
	t.Helper()
	api := client(r)
	out, err := api.RegisterTaskDefinition(t.Context(), &ecs.RegisterTaskDefinitionInput{
		Family: aws.String(r.Service()), NetworkMode: types.NetworkModeAwsvpc, RequiresCompatibilities: []types.Compatibility{types.CompatibilityFargate},
		Cpu: aws.String("256"), Memory: aws.String("512"),
		ContainerDefinitions: []types.ContainerDefinition{{
			Name: aws.String(r.Container()), Image: &image, PortMappings: []types.PortMapping{{ContainerPort: aws.Int32(8080)}},
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := api.UpdateService(t.Context(), &ecs.UpdateServiceInput{
		Cluster: aws.String(r.Cluster()), Service: aws.String(r.Service()), TaskDefinition: out.TaskDefinition.TaskDefinitionArn,
	}); err != nil {
		t.Fatal(err)
	}
}

// until waits for the rollout's state.
func until(t *testing.T, r *sandbox.Remote, state types.DeploymentRolloutState) types.Deployment {
	t.Helper()
	for deadline := time.Now().Add(40 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		out, err := client(r).DescribeServices(t.Context(), &ecs.DescribeServicesInput{Cluster: aws.String(r.Cluster()), Services: []string{r.Service()}})
		if err != nil || len(out.Services) != 1 {
			t.Fatal(out, err)
		}
		for _, d := range out.Services[0].Deployments {
			if d.RolloutState == state && (state == types.DeploymentRolloutStateFailed || len(out.Services[0].Deployments) == 1) {
				return d
			}
		}
	}
	t.Fatalf("the rollout is not %s", state)
	return types.Deployment{}
}

func firstAnswer(t *testing.T, r *sandbox.Remote) sandbox.Answer {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	a, err := r.FirstAnswer(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestFromOneRevisionToTheNextWithoutAGap(t *testing.T) {
	project := t.TempDir()
	s := start(t, project)
	defer closed(t, s, project)
	if s.Service() != "My-App" || !strings.HasSuffix(s.Repository(), "/my-app") {
		t.Error(s.Service(), s.Repository())
	}
	response, err := http.Get(s.URL())
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(response.Body)
	response.Body.Close()
	if response.StatusCode != 503 || !strings.Contains(string(body), "service My-App has no healthy task yet") {
		t.Errorf("%d %s", response.StatusCode, body)
	}

	image := push(t, s.Remote, "VERSION=1")
	begin := time.Now()
	deploy(t, s.Remote, image)
	if a := firstAnswer(t, s.Remote); a.Status != 200 || a.Body != "version 1 for "+strings.TrimPrefix(s.URL(), "http://")+"\n" {
		t.Errorf("%+v", a)
	}
	t.Logf("first answer after %v", time.Since(begin))
	until(t, s.Remote, types.DeploymentRolloutStateCompleted)

	// Somebody goes on asking during the second rollout.
	stop, bad, seen := make(chan struct{}), make(chan string, 100), map[string]bool{}
	var asking sync.WaitGroup
	asking.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			response, err := http.Get(s.URL())
			if err != nil {
				bad <- err.Error()
				return
			}
			body, err := io.ReadAll(response.Body)
			response.Body.Close()
			if err != nil || response.StatusCode != 200 {
				bad <- fmt.Sprint(response.StatusCode, string(body), err)
			}
			seen[string(body[:9])] = true
			time.Sleep(2 * time.Millisecond)
		}
	})
	deploy(t, s.Remote, push(t, s.Remote, "VERSION=2"))
	until(t, s.Remote, types.DeploymentRolloutStateCompleted)
	if a := firstAnswer(t, s.Remote); !strings.HasPrefix(a.Body, "version 2") {
		t.Errorf("%+v", a)
	}
	close(stop)
	asking.Wait()
	if len(bad) > 0 || !seen["version 1"] || !seen["version 2"] {
		t.Errorf("%d requests failed, the first: %s; seen %v", len(bad), <-bad, seen)
	}
}

func TestLogsOfAFailedTask(t *testing.T) {
	project := t.TempDir()
	s := start(t, project)
	defer closed(t, s, project)
	deploy(t, s.Remote, push(t, s.Remote, "EXIT=4"))
	until(t, s.Remote, types.DeploymentRolloutStateFailed)
	api := client(s.Remote)
	list, err := api.ListTasks(t.Context(), &ecs.ListTasksInput{Cluster: aws.String(s.Cluster()), ServiceName: aws.String(s.Service()), DesiredStatus: types.DesiredStatusStopped})
	if err != nil || len(list.TaskArns) == 0 {
		t.Fatal(list, err)
	}
	if log := s.Logs(list.TaskArns[0], s.Container()); !slices.Equal(log, []string{"leaving with 4"}) {
		t.Errorf("%q", log)
	}
	if log := s.Logs("none", "none"); len(log) > 0 {
		t.Errorf("%q", log)
	}
}

func TestCloseWhileATaskStarts(t *testing.T) {
	project := t.TempDir()
	s := start(t, project)
	deploy(t, s.Remote, push(t, s.Remote, "VERSION=1"))
	closed(t, s, project)
}

// served starts another process that serves in the project.
func served(t *testing.T, project string) (cmd *exec.Cmd, stop func()) {
	t.Helper()
	if err := sandbox.Check(t.Context()); err != nil {
		t.Skip(err)
	}
	cmd = exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), servedDir+"="+project)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil || line != "serving\n" {
		t.Fatalf("%q %v", line, err)
	}
	return cmd, func() { in.Close() }
}

func TestSecondProcessUsesTheFirstOnes(t *testing.T) {
	project := t.TempDir()
	if r, err := sandbox.Find(config(project).Dir); r != nil || err != nil {
		t.Fatal(r, err)
	}
	cmd, stop := served(t, project)
	r, err := sandbox.Find(config(project).Dir)
	if err != nil || r == nil || r.PID() != cmd.Process.Pid {
		t.Fatal(r, err)
	}
	deploy(t, r, push(t, r, "VERSION=1"))
	if a := firstAnswer(t, r); !strings.HasPrefix(a.Body, "version 1") {
		t.Errorf("%+v", a)
	}
	if _, err := sandbox.Start(t.Context(), config(project)); fault.ClassOf(err) != fault.Missing || !strings.Contains(err.Error(), fmt.Sprintf("process %d", cmd.Process.Pid)) {
		t.Error(err)
	}
	stop()
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(config(project).Dir); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}

func TestKilledSandboxIsClearedByTheNext(t *testing.T) {
	project := t.TempDir()
	cmd, _ := served(t, project)
	r, err := sandbox.Find(config(project).Dir)
	if err != nil || r == nil {
		t.Fatal(r, err)
	}
	deploy(t, r, push(t, r, "VERSION=1"))
	firstAnswer(t, r)
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	if left, err := filepath.Glob(filepath.Join(config(project).Dir, "tasks/*")); err != nil || len(left) == 0 {
		t.Fatal("a killed sandbox is expected to leave a task's directory", left, err)
	}
	if r, err := sandbox.Find(config(project).Dir); r != nil || err != nil {
		t.Fatal("a dead sandbox is found", r, err)
	}
	for deadline := time.Now().Add(5 * time.Second); running(t, "/greeter"); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the application outlives its sandbox")
		}
	}
	s := start(t, project)
	if left, err := filepath.Glob(filepath.Join(config(project).Dir, "tasks/*")); err != nil || len(left) > 0 {
		t.Error(left, err)
	}
	closed(t, s, project)
}

// running tells whether some process of this user runs a program of that
// name for the project's tests.
func running(t *testing.T, program string) bool {
	t.Helper()
	commands, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	return slices.ContainsFunc(commands, func(file string) bool {
		raw, _ := os.ReadFile(file)
		return strings.HasPrefix(string(raw), program+"\x00") || string(raw) == program
	})
}

func TestRegistryTakesEveryKindOfUpload(t *testing.T) {
	project := t.TempDir()
	s := start(t, project)
	defer closed(t, s, project)
	base := "http://" + s.Registry()
	do := func(method, address, body string, headers ...string) *http.Response {
		t.Helper()
		if strings.HasPrefix(address, "/") {
			address = base + address
		}
		request, err := http.NewRequest(method, address, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; i < len(headers); i += 2 {
			request.Header.Set(headers[i], headers[i+1])
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { response.Body.Close() })
		return response
	}
	want := func(r *http.Response, status int) *http.Response {
		t.Helper()
		if r.StatusCode != status {
			body, _ := io.ReadAll(r.Body)
			t.Errorf("%s %s: %d, want %d: %s", r.Request.Method, r.Request.URL, r.StatusCode, status, body)
		}
		return r
	}
	digest := func(body string) string { return string(cache.Sum([]byte(body))) }

	want(do("POST", "/v2/a/b/blobs/uploads/?digest="+digest("at once"), "at once"), 201)
	want(do("HEAD", "/v2/a/b/blobs/"+digest("at once"), ""), 200)

	session := want(do("POST", "/v2/a/blobs/uploads/", ""), 202).Header.Get("Location")
	want(do("PATCH", session, "in ", "Content-Range", "0-2"), 202)
	want(do("PATCH", session, "gap", "Content-Range", "7-9"), 416)
	if got := want(do("GET", session, ""), 204).Header.Get("Range"); got != "0-2" {
		t.Error(got)
	}
	want(do("PATCH", session, "pieces", "Content-Range", "3-8"), 202)
	want(do("PUT", session+"?digest="+digest("in pieces!"), "!"), 201)
	response := want(do("GET", "/v2/a/blobs/"+digest("in pieces!"), ""), 200)
	if body, err := io.ReadAll(response.Body); err != nil || string(body) != "in pieces!" {
		t.Errorf("%s %v", body, err)
	}
	want(do("PUT", session+"?digest="+digest("in pieces!"), ""), 404)

	session = want(do("POST", "/v2/a/blobs/uploads/", ""), 202).Header.Get("Location")
	response = want(do("PUT", session+"?digest="+digest("this"), "that"), 400)
	var refusal struct{ Errors []struct{ Code string } }
	if err := json.NewDecoder(response.Body).Decode(&refusal); err != nil || len(refusal.Errors) != 1 || refusal.Errors[0].Code != "DIGEST_INVALID" {
		t.Errorf("%+v %v", refusal, err)
	}
	want(do("HEAD", "/v2/a/blobs/"+digest("this"), ""), 404)

	want(do("POST", "/v2/other/blobs/uploads/?from=a/b&mount="+digest("at once"), ""), 201)
	session = want(do("POST", "/v2/other/blobs/uploads/?from=a/b&mount="+digest("nowhere"), ""), 202).Header.Get("Location")
	want(do("DELETE", session, ""), 204)
	want(do("PATCH", session, "x"), 404)
	want(do("GET", "/v2/a/manifests/none", ""), 404)
	left := want(do("POST", "/v2/a/blobs/uploads/", ""), 202).Header.Get("Location") // closed cleans up
	want(do("PATCH", left, "unfinished"), 202)
}
