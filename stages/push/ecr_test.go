package push

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"

	"github.com/fastship/fastship/internal/awsconf"
	"github.com/fastship/fastship/internal/fault"
	"github.com/fastship/fastship/runner"
	"github.com/fastship/fastship/stages/push/ecrtest"
)

// account is a double of ECR with an empty repository orders, and the means to
// push there.
type account struct {
	*ecrtest.Server
	deps Deps
}

func newAccount(t *testing.T, o ecrtest.Options) *account {
	t.Helper()
	o.Host = ecrRegistry
	s := ecrtest.Start(o)
	t.Cleanup(s.Close)
	s.Create("orders")
	to, err := url.Parse(s.Endpoint())
	if err != nil {
		t.Fatal(err)
	}
	state := filepath.Join(t.TempDir(), "registries")
	return &account{s, Deps{
		Keychain: anonymous().Keychain, Transport: redirect{to}, State: state, Logins: state, scanPoll: time.Millisecond,
		AWS: func(_ context.Context, region string) (aws.Config, error) {
			return awsconf.Local(s.Endpoint(), region), nil
		},
	}}
}

func (a *account) step(c Config) *Step {
	if c.Repository == "" {
		c.Repository = ecrRegistry + "/orders"
	}
	return New(c, a.deps)
}

// push is one run of another process: Check and Run.
func (a *account) push(t *testing.T, c Config, in In) (runner.Result[Out], *events, error) {
	t.Helper()
	step, e := a.step(c), &events{}
	if err := step.Check(t.Context()); err != nil {
		return runner.Result[Out]{}, e, err
	}
	r, err := step.Run(t.Context(), e.env(), in)
	return r, e, err
}

// TestECRAsksLittle holds the requests of each kind of run, Check included.
func TestECRAsksLittle(t *testing.T) {
	a := newAccount(t, ecrtest.Options{})
	base, lib := random(400_000), random(300_000)
	first := makeImage(t, t.TempDir(), base, lib, random(1000))
	asked := func(what string, in In, want ...string) {
		t.Helper()
		a.Asked()
		r, _, err := a.push(t, Config{}, in)
		if err != nil || a.Tag("orders", r.Out.Tags[0]) != in.Digest {
			t.Fatalf("%s: %+v, %v", what, r, err)
		}
		got := a.Asked()
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("%s asked %v\nwant %v", what, got, want)
		}
	}
	asked("the first push", first, "GetAuthorizationToken", "GET manifests", "HEAD manifests", "BatchCheckLayerAvailability",
		"POST blobs/uploads", "POST blobs/uploads", "POST blobs/uploads", "POST blobs/uploads",
		"PUT blobs/uploads", "PUT blobs/uploads", "PUT blobs/uploads", "PUT blobs/uploads", "PUT manifests")
	asked("no change", first, "HEAD manifests")
	asked("a line", makeImage(t, t.TempDir(), base, lib, random(1000)), "HEAD manifests",
		"POST blobs/uploads", "PUT blobs/uploads", "POST blobs/uploads", "PUT blobs/uploads", "PUT manifests")
	asked("another library", makeImage(t, t.TempDir(), base, random(300_000), random(1000)), "HEAD manifests", "BatchCheckLayerAvailability",
		"POST blobs/uploads", "PUT blobs/uploads", "POST blobs/uploads", "PUT blobs/uploads", "POST blobs/uploads", "PUT blobs/uploads", "PUT manifests")
	asked("back again", first, "HEAD manifests", "HEAD manifests")

	// Another machine knows nothing but the tag.
	a.deps.State, a.deps.Logins = filepath.Join(t.TempDir(), "other"), ""
	asked("another machine", first, "GetAuthorizationToken", "GET manifests", "HEAD manifests")
}

// TestECRLogin: one token for all runs of one identity; one that is refused is
// replaced; others' files and ends are not trusted.
func TestECRLogin(t *testing.T) {
	a := newAccount(t, ecrtest.Options{})
	in := makeImage(t, t.TempDir(), random(10))
	tokens := func(c Config) int {
		t.Helper()
		a.Asked()
		if _, _, err := a.push(t, c, in); err != nil {
			t.Fatal(err)
		}
		return len(slices.DeleteFunc(a.Asked(), func(s string) bool { return s != "GetAuthorizationToken" }))
	}
	if err := a.step(Config{}).Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(a.deps.State); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Check wrote: %v", err)
	}
	if first, second := tokens(Config{}), tokens(Config{}); first != 1 || second != 0 {
		t.Errorf("asked for %d tokens, then %d", first, second)
	}
	if n := tokens(Config{Login: loginFresh}); n != 1 {
		t.Errorf("image.login: fresh asked for %d tokens", n)
	}
	kept, err := filepath.Glob(filepath.Join(a.deps.Logins, "login-*"))
	if err != nil || len(kept) != 1 {
		t.Fatal(kept, err)
	}
	if info, err := os.Stat(kept[0]); err != nil || info.Mode() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	a.Revoke()
	if first, second := tokens(Config{}), tokens(Config{}); first != 1 || second != 0 {
		t.Errorf("after a refusal: %d tokens, then %d", first, second)
	}
	var told []string
	a.deps.Secret = func(values ...string) { told = append(told, values...) }
	if tokens(Config{}) != 0 || len(told) == 0 || len(told[0]) != 32 {
		t.Errorf("of a kept token was told %q", told)
	}
	if err := os.Chmod(kept[0], 0o644); err != nil {
		t.Fatal(err)
	}
	if n := tokens(Config{}); n != 1 {
		t.Errorf("a file that all may read was trusted: %d tokens", n)
	}
	old, err := os.ReadFile(kept[0])
	if err != nil {
		t.Fatal(err)
	}
	soon := strings.Replace(string(old), `"expires":"`+time.Now().UTC().Format("2006"), `"expires":"2001`, 1)
	if err := os.WriteFile(kept[0], []byte(soon), 0o600); err != nil || soon == string(old) {
		t.Fatal(err, soon)
	}
	if n := tokens(Config{}); n != 1 {
		t.Errorf("a token at its end was used: %d", n)
	}
	load := a.deps.AWS
	a.deps.AWS = func(ctx context.Context, region string) (aws.Config, error) {
		cfg, err := load(ctx, region)
		cfg.Credentials = aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "AKIDOTHER", SecretAccessKey: "x"}, nil
		})
		return cfg, err
	}
	if n := tokens(Config{}); n != 1 {
		t.Errorf("another identity got %d tokens of its own", n)
	}
}

// policy is what docs/push.md gives: the actions of a push, and no more.
var policy = []string{
	"ecr:GetAuthorizationToken", "ecr:BatchCheckLayerAvailability", "ecr:InitiateLayerUpload", "ecr:UploadLayerPart",
	"ecr:CompleteLayerUpload", "ecr:PutImage", "ecr:BatchGetImage",
}

// TestECRPolicy: these actions are enough, each of them is needed, and the
// document names them.
func TestECRPolicy(t *testing.T) {
	text, err := os.ReadFile("../../docs/push.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, action := range slices.Concat(policy, []string{"ecr:CreateRepository", "ecr:DescribeImageScanFindings", "ecr:StartImageScan"}) {
		if !strings.Contains(string(text), `"`+action+`"`) {
			t.Errorf("docs/push.md does not give %s", action)
		}
	}
	try := func(c Config, allow ...string) error {
		a := newAccount(t, ecrtest.Options{Allow: allow})
		if c.Create {
			a.Delete("orders")
		}
		if c.Scan.Fail != "" {
			a.SetScans("orders", ecrtest.Scan{Status: types.ScanStatusComplete})
		}
		_, _, err := a.push(t, c, makeImage(t, t.TempDir(), random(10), random(200_000)))
		return err
	}
	if err := try(Config{}, policy...); err != nil {
		t.Errorf("the policy is too narrow: %v", err)
	}
	for i, action := range policy {
		err := try(Config{}, slices.Delete(slices.Clone(policy), i, i+1)...)
		if err == nil || !strings.Contains(fault.HintOf(err), action) {
			t.Errorf("without %s: %v (%s)", action, err, fault.HintOf(err))
		}
	}
	if err := try(Config{Create: true}, append(slices.Clone(policy), "ecr:CreateRepository")...); err != nil {
		t.Error(err)
	}
	if err := try(Config{Create: true}, policy...); fault.ClassOf(err) != fault.ImageFailed || !strings.Contains(fault.HintOf(err), "ecr:CreateRepository") {
		t.Errorf("%v (%s)", err, fault.HintOf(err))
	}
	gate := Config{Scan: Scan{Fail: "high"}}
	if err := try(gate, append(slices.Clone(policy), "ecr:DescribeImageScanFindings")...); err != nil {
		t.Error(err)
	}
	if err := try(gate, policy...); !strings.Contains(fault.HintOf(err), "ecr:DescribeImageScanFindings") {
		t.Errorf("%v (%s)", err, fault.HintOf(err))
	}
}

// TestECRRepository: Check tells of one that is not there, in every way in
// which ECR says so, and Run makes it when that is allowed.
func TestECRRepository(t *testing.T) {
	for _, cut := range []bool{false, true} {
		a := newAccount(t, ecrtest.Options{CutAbsent: cut})
		a.Delete("orders")
		start := time.Now()
		err := a.step(Config{}).Check(t.Context())
		if fault.ClassOf(err) != fault.Missing || !strings.Contains(err.Error(), "does not exist") || !strings.Contains(fault.HintOf(err), "image.create") {
			t.Errorf("cut %v: %v (%s)", cut, err, fault.HintOf(err))
		}
		if took := time.Since(start); took > 2*time.Second {
			t.Errorf("cut %v: took %s", cut, took)
		}
		in := makeImage(t, t.TempDir(), random(10))
		c := Config{Create: true}
		step := a.step(c)
		if err := step.Check(t.Context()); err != nil {
			t.Fatal(err)
		}
		plan, err := step.Plan(t.Context(), in)
		if err != nil || !strings.Contains(fmt.Sprint(plan.Lines), "create the repository") {
			t.Error(plan, err)
		}
		a.Asked()
		r, e, err := a.push(t, c, in)
		if err != nil || a.Tag("orders", r.Out.Tags[0]) != in.Digest || !strings.Contains(fmt.Sprint(e.all), "created the repository") {
			t.Fatalf("cut %v: %v", cut, err)
		}
		if n := strings.Count(fmt.Sprint(a.Asked()), "CreateRepository"); n != 1 {
			t.Errorf("created %d times", n)
		}
	}
}

// TestECRImmutable: the same image is success, also when nobody knew that it
// was there; another one names both.
func TestECRImmutable(t *testing.T) {
	a := newAccount(t, ecrtest.Options{Immutable: true})
	first, second := makeImage(t, t.TempDir(), random(10)), makeImage(t, t.TempDir(), random(10))
	c := Config{Tags: []string{"v1"}}
	for range 2 {
		if _, _, err := a.push(t, c, first); err != nil {
			t.Fatal(err)
		}
	}
	// Another machine's push, which this one cannot know of.
	other := *a
	other.deps.State = ""
	if _, _, err := other.push(t, Config{Tags: []string{"v2"}}, second); err != nil {
		t.Fatal(err)
	}
	if _, _, err := a.push(t, Config{Tags: []string{"v2"}}, second); err != nil {
		t.Errorf("the same image: %v", err)
	}
	_, _, err := a.push(t, c, second)
	if fault.ClassOf(err) != fault.ImageFailed || !strings.Contains(err.Error(), "tag v1 is immutable and names "+first.Digest) {
		t.Errorf("%v", err)
	}
}

// TestECRWithoutAPI: where the API's permission is missing, the registry
// itself is asked.
func TestECRWithoutAPI(t *testing.T) {
	a := newAccount(t, ecrtest.Options{})
	a.Before(func(w http.ResponseWriter, r *http.Request) bool {
		if strings.HasSuffix(r.Header.Get("X-Amz-Target"), ".BatchCheckLayerAvailability") {
			w.WriteHeader(http.StatusBadRequest)
			fmt.Fprint(w, `{"__type":"AccessDeniedException","message":"no"}`)
			return true
		}
		return false
	})
	if _, _, err := a.push(t, Config{}, makeImage(t, t.TempDir(), random(10))); err != nil {
		t.Fatal(err)
	}
	if asked := fmt.Sprint(a.Asked()); strings.Count(asked, "HEAD blobs") != 2 {
		t.Error(asked)
	}
}

// TestTwoPushesAtOnce: both end well, whoever is first.
func TestTwoPushesAtOnce(t *testing.T) {
	a := newAccount(t, ecrtest.Options{Immutable: true})
	in := makeImage(t, t.TempDir(), random(6<<20), random(100))
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			if _, _, err := a.push(t, Config{Tags: []string{"v1"}}, in); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if a.Tag("orders", "v1") != in.Digest {
		t.Error("not there")
	}
	if left, err := filepath.Glob(filepath.Join(a.deps.State, "upload-*")); err != nil || len(left) > 0 {
		t.Errorf("%v, %v", left, err)
	}
}
