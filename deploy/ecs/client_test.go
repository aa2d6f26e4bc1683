package ecs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/fastship/fastship/deploy"
	"github.com/fastship/fastship/deploy/ecstest"
	"github.com/fastship/fastship/internal/awsconf"
	"github.com/fastship/fastship/internal/fault"
)

const definition = `{"family": "web", "networkMode": "awsvpc", "requiresCompatibilities": ["FARGATE"], "cpu": "256", "memory": "512",
	"containerDefinitions": [{"name": "app", "image": "registry.test/web:1"}]}`

// virtual runs f on a double that has service web with two tasks, in virtual
// time.
func virtual(t *testing.T, script ecstest.TaskRuntime, f func(t *testing.T, d *ecstest.Double, c *Client)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		d := ecstest.New(ecstest.Options{Runtime: script})
		defer d.Close()
		if _, err := d.Seed(t.Context(), ecstest.ServiceSeed{
			Service: "web", TaskDefinition: json.RawMessage(definition), Desired: 2,
			Config: json.RawMessage(`{"deploymentConfiguration": {"deploymentCircuitBreaker": {"enable": true, "rollback": true}}}`),
		}); err != nil {
			t.Fatal(err)
		}
		cfg := awsconf.Local("http://ecs.test", "us-east-1")
		cfg.HTTPClient = &http.Client{Transport: ecstest.Transport(d)}
		f(t, d, New(cfg))
	})
}

var web = deploy.Target{Service: "web"}

// TestReads: what the double has done is what the client shows.
func TestReads(t *testing.T) {
	virtual(t, ecstest.Script{"registry.test/web:2": {Crash: true, After: 6 * time.Second, Code: 3}}, func(t *testing.T, d *ecstest.Double, c *Client) {
		ctx := t.Context()
		before, err := c.Service(ctx, web)
		if err != nil {
			t.Fatal(err)
		}
		primary, _ := before.Primary()
		if before.Name != "web" || before.Status != "ACTIVE" || before.Controller != "ECS" || before.Strategy != "ROLLING" || !before.Breaker || !before.Rollback ||
			before.Desired != 2 || primary.Running != 2 || primary.Pending != 0 || primary.RolloutState != "COMPLETED" || primary.Created.IsZero() || len(before.Events) == 0 {
			t.Errorf("service %+v", before)
		}
		if before.LaunchType != "FARGATE" || before.PlatformVersion != "LATEST" || !before.Fargate() {
			t.Errorf("it runs on %s, version %s, by %v", before.LaunchType, before.PlatformVersion, before.CapacityProviders)
		}
		old, err := c.TaskDefinition(ctx, before.TaskDefinition)
		if err != nil || old.ARN != before.TaskDefinition || old.Family() != "web" {
			t.Fatalf("task definition %s: %v", old.ARN, err)
		}
		body, err := deploy.CloneTaskDefinition(old.Raw, "app", "registry.test/web:2")
		if err != nil {
			t.Fatal(err)
		}
		arn, err := c.Register(ctx, body)
		if err != nil || deploy.ShortName(arn) != "web:2" {
			t.Fatalf("registered %s: %v", arn, err)
		}
		after, err := c.Update(ctx, web, arn, false)
		if err != nil {
			t.Fatal(err)
		}
		ours, _ := after.Primary()
		if ours.ID == primary.ID || ours.TaskDefinition != arn || ours.RolloutState != "IN_PROGRESS" || len(after.Deployments) != 2 {
			t.Errorf("after the update: %+v", after.Deployments)
		}
		time.Sleep(35 * time.Second)
		records, err := c.ServiceDeployments(ctx, web, "", ours.Created.Add(-time.Second))
		if err != nil || len(records) != 1 || records[0].TaskDefinition != arn || records[0].Status != "IN_PROGRESS" || records[0].BreakerThreshold != 3 {
			t.Fatalf("service deployments %+v, %v", records, err)
		}
		again, err := c.ServiceDeployments(ctx, web, records[0].ARN, time.Time{})
		if err != nil || len(again) != 1 || again[0].ARN != records[0].ARN || again[0].TaskDefinition != arn {
			t.Errorf("by ARN: %+v, %v", again, err)
		}
		if n := d.Counts()["DescribeServiceRevisions"]; n != 1 {
			t.Errorf("%d DescribeServiceRevisions: a revision never changes", n)
		}
		tasks, err := c.Tasks(ctx, web, deploy.TaskQuery{StartedBy: ours.ID, Listed: true, Stopped: true})
		dead := slices.IndexFunc(tasks, func(t deploy.Task) bool { return t.LastStatus == "STOPPED" })
		if err != nil || dead < 0 {
			t.Fatalf("tasks %+v, %v", tasks, err)
		}
		if x := tasks[dead]; x.StartedBy != ours.ID || x.StopCode != "EssentialContainerExited" || *x.Containers[0].Exit != 3 || x.Stopped.IsZero() || x.Started.IsZero() || len(x.ID()) != 32 {
			t.Errorf("dead task %+v", x)
		}
		if all, err := c.Tasks(ctx, web, deploy.TaskQuery{StartedBy: "ecs-svc/none", Listed: true, Stopped: true}); err != nil || len(all) != 0 || all == nil {
			t.Errorf("tasks of nobody: %#v, %v", all, err)
		}
	})
}

// TestPages: more than one page and one Describe can take.
func TestPages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := ecstest.New(ecstest.Options{Runtime: ecstest.Script{}})
		defer d.Close()
		if _, err := d.Seed(t.Context(), ecstest.ServiceSeed{Service: "web", TaskDefinition: json.RawMessage(definition), Desired: 120}); err != nil {
			t.Fatal(err)
		}
		cfg := awsconf.Local("http://ecs.test", "us-east-1")
		cfg.HTTPClient = &http.Client{Transport: ecstest.Transport(d)}
		c := New(cfg)
		s, err := c.Service(t.Context(), web)
		if err != nil {
			t.Fatal(err)
		}
		primary, _ := s.Primary()
		if tasks, err := c.Tasks(t.Context(), web, deploy.TaskQuery{StartedBy: primary.ID, Listed: true}); err != nil || len(tasks) != 120 {
			t.Errorf("%d tasks, %v", len(tasks), err)
		}
		idle := deploy.Target{Service: "idle"}
		if _, err := d.Seed(t.Context(), ecstest.ServiceSeed{Service: "idle", TaskDefinition: json.RawMessage(definition)}); err != nil {
			t.Fatal(err)
		}
		since := time.Now().Add(time.Second)
		for range 120 { // the API lists 100 at most
			time.Sleep(2 * time.Second)
			if _, err := c.Update(t.Context(), idle, "web:2", true); err != nil {
				t.Fatal(err)
			}
		}
		records, err := c.ServiceDeployments(t.Context(), idle, "", since)
		if err != nil || len(records) != 120 {
			t.Errorf("%d service deployments, %v", len(records), err)
		}
		if !slices.IsSortedFunc(records, func(a, b deploy.ServiceDeployment) int { return a.Created.Compare(b.Created) }) {
			t.Error("not oldest first")
		}
	})
}

func TestNotThere(t *testing.T) {
	virtual(t, ecstest.Script{}, func(t *testing.T, d *ecstest.Double, c *Client) {
		for _, c2 := range []struct {
			target deploy.Target
			fault  func(string, int) ecstest.Fault
			err    string
			hint   string
		}{
			{target: deploy.Target{Service: "webs"}, err: "find service webs in cluster default (region us-east-1): no such service", hint: "near names: web"},
			{target: deploy.Target{Service: "billing"}, err: "no such service", hint: "one of web"},
			{target: deploy.Target{Service: "web", Cluster: "prod"}, err: "find cluster prod", hint: "one of default"},
			{target: deploy.Target{Service: "arn:aws:ecs:us-east-1:123456789012:service/prod/web"}, err: "no such cluster", hint: "deploy.cluster"},
			{target: deploy.Target{Service: "webs"}, err: "no such service", hint: "a service of that cluster", fault: func(op string, _ int) ecstest.Fault {
				if op == "ListServices" {
					return ecstest.Deny(op)
				}
				return ecstest.Fault{}
			}},
		} {
			d.Fault(c2.fault)
			_, err := c.Service(t.Context(), c2.target)
			if fault.ClassOf(err) != fault.Missing || !strings.Contains(err.Error(), c2.err) || !strings.Contains(fault.HintOf(err), c2.hint) || deploy.Transient(err) {
				t.Errorf("%+v: %v, hint %q", c2.target, err, fault.HintOf(err))
			}
		}
		if s, err := c.Service(t.Context(), deploy.Target{Service: "arn:aws:ecs:us-east-1:123456789012:service/default/web"}); err != nil || s.Name != "web" {
			t.Errorf("by ARN: %v", err)
		}
	})
}

// TestWritesAreSentOnce: whatever the answer, the SDK does not repeat them;
// reads it does.
func TestWritesAreSentOnce(t *testing.T) {
	for _, f := range []ecstest.Fault{ecstest.Throttle(), ecstest.ServerError(500), ecstest.ServerError(503), {Cut: ecstest.CutBefore}, {Cut: ecstest.CutAfter}} {
		virtual(t, ecstest.Script{}, func(t *testing.T, d *ecstest.Double, c *Client) {
			d.Fault(func(string, int) ecstest.Fault { return f })
			c.Update(t.Context(), web, "web:1", true)
			c.Register(t.Context(), json.RawMessage(definition))
			c.Service(t.Context(), web)
			if n := d.Counts(); n["UpdateService"] != 1 || n["RegisterTaskDefinition"] != 1 || n["DescribeServices"] != 4 {
				t.Errorf("%+v: calls %v", f, n)
			}
		})
	}
}

func TestFates(t *testing.T) {
	refusing, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	refusing.Close()
	answer := func(status int, kind, text string) func() string {
		return func() string {
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "application/x-amz-json-1.1")
				w.WriteHeader(status)
				if kind != "" {
					fmt.Fprintf(w, `{"__type": %q, "message": %q}`, kind, text)
				}
			}))
			t.Cleanup(s.Close)
			return s.URL
		}
	}
	for _, c := range []struct {
		name     string
		endpoint func() string
		want     deploy.Fate
		class    fault.Class
	}{
		{"throttled", answer(400, "ThrottlingException", "Rate exceeded"), deploy.Throttled, fault.Internal},
		{"throttled by status", answer(429, "", ""), deploy.Throttled, fault.Internal},
		{"too many at once", answer(400, "ClientException", "Too many concurrent attempts to create a new revision of the specified family."), deploy.Throttled, fault.Internal},
		{"a limit of the account", answer(400, "LimitExceededException", "The limit for the resource was exceeded."), deploy.Refused, fault.Internal},
		{"bad parameter", answer(400, "InvalidParameterException", "no"), deploy.Refused, fault.Internal},
		{"denied", answer(400, "AccessDeniedException", "User x is not authorized"), deploy.Denied, fault.Missing},
		{"unknown operation", answer(400, "UnknownOperationException", ""), deploy.Unsupported, fault.Internal},
		{"not implemented", answer(501, "", ""), deploy.Unsupported, fault.Internal},
		{"server error", answer(500, "ServerException", "oops"), deploy.Unknown, fault.Internal},
		{"a proxy's error", answer(502, "", ""), deploy.Unknown, fault.Internal},
		{"expired", answer(400, "ExpiredTokenException", "expired"), deploy.Refused, fault.Missing},
		{"nobody listens", func() string { return "http://" + refusing.Addr().String() }, deploy.Unsent, fault.Internal},
		{"no such host", func() string { return "http://ecs.invalid" }, deploy.Unsent, fault.Internal},
		{"cut", func() string {
			s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }))
			t.Cleanup(s.Close)
			return s.URL
		}, deploy.Unknown, fault.Internal},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := awsconf.Local(c.endpoint(), "us-east-1")
			_, err := New(cfg).Update(t.Context(), web, "web:1", false)
			call, ok := errors.AsType[*deploy.CallError](err)
			if !ok || call.Fate != c.want || call.Call != "ecs:UpdateService" || fault.ClassOf(err) != c.class {
				t.Errorf("%v: fate %v, class %d; want fate %v, class %d", err, deploy.FateOf(err), fault.ClassOf(err), c.want, c.class)
			}
		})
	}
}

// TestHang: a server that never answers costs the caller's patience, no more.
func TestHang(t *testing.T) {
	virtual(t, ecstest.Script{}, func(t *testing.T, d *ecstest.Double, c *Client) {
		d.Fault(func(string, int) ecstest.Fault { return ecstest.Fault{Delay: time.Hour} })
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		start := time.Now()
		_, err := c.Service(ctx, web)
		if !deploy.Transient(err) || time.Since(start) != 20*time.Second {
			t.Errorf("%v after %s", err, time.Since(start))
		}
	})
}

// TestEndpointVariable: a double on a socket, found by the environment alone.
func TestEndpointVariable(t *testing.T) {
	d := ecstest.New(ecstest.Options{Runtime: ecstest.Script{}})
	defer d.Close()
	server := httptest.NewServer(d)
	defer server.Close()
	for name, value := range map[string]string{
		"AWS_ENDPOINT_URL_ECS": server.URL, "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "example", "AWS_REGION": "eu-west-1",
		"AWS_CONFIG_FILE": "/dev/null", "AWS_SHARED_CREDENTIALS_FILE": "/dev/null", "AWS_PROFILE": "",
	} {
		t.Setenv(name, value)
	}
	cfg, err := awsconf.Load(t.Context(), awsconf.Options{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = New(cfg).Service(t.Context(), web)
	if !strings.Contains(fmt.Sprint(err), "find service web in cluster default (region eu-west-1)") {
		t.Error(err)
	}
}

// TestBodyCutOff: a definition of which half arrived is read again.
func TestBodyCutOff(t *testing.T) {
	whole := `{"taskDefinition": {"taskDefinitionArn": "arn:x/web:7", "family": "web"}}`
	wire := &cutting{bodies: []io.Reader{
		io.MultiReader(strings.NewReader(whole[:30]), broken{io.ErrUnexpectedEOF}), strings.NewReader(whole)}}
	cfg := awsconf.Local("http://ecs.test", "us-east-1")
	cfg.HTTPClient = &http.Client{Transport: wire}
	cfg.Retryer = func() aws.Retryer { return aws.NopRetryer{} }
	if d, err := New(cfg).TaskDefinition(t.Context(), "web"); !deploy.Transient(err) {
		t.Errorf("half a body: %s, %v", d.Raw, err)
	}
	if d, err := New(cfg).TaskDefinition(t.Context(), "web"); err != nil || d.ARN != "arn:x/web:7" {
		t.Errorf("the whole body: %s, %v", d.Raw, err)
	}
}

type cutting struct{ bodies []io.Reader }

func (c *cutting) RoundTrip(r *http.Request) (*http.Response, error) {
	body := c.bodies[0]
	c.bodies = c.bodies[1:]
	return &http.Response{StatusCode: 200, Status: "200 OK", Header: http.Header{}, Body: io.NopCloser(body), Request: r}, nil
}
