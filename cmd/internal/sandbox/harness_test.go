package sandbox_test

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
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

// builtGreeter names a greeter that has been built.
const builtGreeter = "FASTSHIP_TEST_GREETER"

// program builds the containers' program, once: it greets in the name of its
// version, on port 9090.
var program = sync.OnceValues(func() ([]byte, error) {
	if built := os.Getenv(builtGreeter); built != "" {
		return os.ReadFile(built)
	}
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

// pushGreeter makes an image of the greeter and pushes it.
func pushGreeter(t *testing.T, r *sandbox.Remote, env ...string) string {
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

// rollOut makes the service run the image.
func rollOut(t *testing.T, r *sandbox.Remote, image string) {
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
