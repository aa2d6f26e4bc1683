package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/fastship/fastship/deploy"
	"github.com/fastship/fastship/deploy/ecs"
	"github.com/fastship/fastship/deploy/ecstest"
	"github.com/fastship/fastship/deploy/ecstest/codedeploytest"
	"github.com/fastship/fastship/internal/awsconf"
	"github.com/fastship/fastship/runner"
	"github.com/fastship/fastship/stages/rollout"
	"github.com/goccy/go-yaml"
)

// scenario is a file of testdata/scenarios: a story over (virtual) time, and
// what a person and a script see of it in the end. README.md there has the
// keys.
type scenario struct {
	Service struct {
		Desired    *int           `yaml:"desired"`
		Deployment map[string]any `yaml:"deployment"` // deploymentConfiguration
		Keys       map[string]any `yaml:"keys"`       // others of CreateService
		Container  map[string]any `yaml:"container"`  // keys of the container's definition
		Definition map[string]any `yaml:"definition"` // keys of the task definition
		First      bool           `yaml:"first"`      // never deployed before
		// CodeDeploy deploys it, so; nil: ECS does.
		CodeDeploy *codedeploytest.Story `yaml:"codedeploy"`
	} `yaml:"service"`
	// Worker is the story of the new tasks of a second service, worker, which
	// runs the same image; nil: there is none.
	Worker *ecstest.Story  `yaml:"worker"`
	Old    ecstest.Story   `yaml:"old"`   // of the tasks that run before
	Tasks  ecstest.Story   `yaml:"tasks"` // of the new ones
	Then   []ecstest.Story `yaml:"then"`  // of the later new ones, the last for all further
	Deploy struct {
		Rollback deploy.Policy `yaml:"rollback"`
		Timeout  time.Duration `yaml:"timeout"`
		Verb     string        `yaml:"verb"` // run, wait, rollback
		WaitFor  deploy.Until  `yaml:"waitFor"`
		Platform string        `yaml:"platform"` // of the image, as far as it is known
		To       string        `yaml:"to"`
		Runs     int           `yaml:"runs"` // how often the verb runs; the last one counts
	} `yaml:"deploy"`
	Before []string      `yaml:"before"` // what others do before it starts
	Others []deed        `yaml:"others"` // and while it runs
	Faults []callFault   `yaml:"faults"`
	Lag    time.Duration `yaml:"lag"` // of all reads
	Limits bool          `yaml:"limits"`

	Exit   int            `yaml:"exit"`
	Last   string         `yaml:"last"` // part of the last line
	Says   []string       `yaml:"says"`
	Silent []string       `yaml:"silent"` // what must not be said
	Runs   string         `yaml:"runs"`   // the service's task definition in the end
	Truth  string         `yaml:"truth"`  // the double's verdict on the last forward deployment of web:2
	Took   time.Duration  `yaml:"took"`   // at most
	Calls  map[string]int `yaml:"calls"`  // exactly, by operation; "all": at most
}

// deed is what somebody else does, some time after the verb began.
type deed struct {
	At time.Duration `yaml:"at"`
	Do string        `yaml:"do"`
}

// callFault is what goes wrong with calls number From to To of an operation.
type callFault struct {
	Calls string        `yaml:"calls"` // the operation, or its name's end
	From  int           `yaml:"from"`
	To    int           `yaml:"to"` // 0: all
	Do    string        `yaml:"do"`
	Delay time.Duration `yaml:"delay"`
}

const (
	oldImage = "registry.test/web@sha256:1111111111111111111111111111111111111111111111111111111111111111"
	newImage = "registry.test/web@sha256:2222222222222222222222222222222222222222222222222222222222222222"
)

func TestScenarios(t *testing.T) {
	files, err := filepath.Glob("../../../testdata/scenarios/*.yaml")
	if err != nil || len(files) < 30 {
		t.Fatalf("%d scenarios, want at least 30 (%v)", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".yaml"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var s scenario
			if err := yaml.UnmarshalWithOptions(text, &s, yaml.Strict()); err != nil {
				t.Fatal(err)
			}
			synctest.Test(t, func(t *testing.T) { play(t, s) })
		})
	}
}

// stage is where a scenario plays.
type stage struct {
	*testing.T
	scenario
	double *ecstest.Double
	code   *codedeploytest.Double // in front of it, or nil
	cfg    aws.Config
	born   int // new tasks
}

func play(t *testing.T, s scenario) {
	w := &stage{T: t, scenario: s}
	options := ecstest.Options{Runtime: crowded{ecstest.ScriptFunc(w.story), s.Tasks.NoRoom}, MaxLag: time.Minute}
	if s.Limits {
		options.Limits = ecstest.ECSLimits()
	}
	w.double = ecstest.New(options)
	defer w.double.Close()
	w.cfg = awsconf.Local("http://ecs.test", "us-east-1")
	w.cfg.HTTPClient = &http.Client{Transport: ecstest.Transport(w.double)}
	w.cfg.Retryer = func() aws.Retryer { // the SDK's policy without its dice
		return retry.NewStandard(func(o *retry.StandardOptions) {
			o.MaxAttempts = 4
			o.Backoff = retry.BackoffDelayerFunc(func(attempt int, _ error) (time.Duration, error) { return time.Duration(attempt) * time.Second, nil })
		})
	}
	first, err := w.double.Seed(t.Context(), w.seed())
	if err != nil {
		t.Fatal(err)
	}
	if story := s.Service.CodeDeploy; story != nil {
		w.code = &codedeploytest.Double{Next: w.double, Cluster: "default", Service: "web", Application: "AppECS-default-web", Group: "DgpECS-default-web", AutoRollback: true, Story: *story}
		w.code.Seed(`{"version": 0.0, "Resources": [{"TargetService": {"Type": "AWS::ECS::Service", "Properties": {"TaskDefinition": "`+first+`"}}}]}`, first)
		w.cfg.HTTPClient = &http.Client{Transport: ecstest.Transport(w.code)}
	}
	if s.Worker != nil {
		w.seedWorker()
	}
	time.Sleep(time.Minute) // for reads that lag: the service was there a while
	for _, do := range s.Before {
		w.do(t.Context(), do)
	}
	w.double.Fault(w.fault)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for _, d := range s.Others {
		go func() {
			select {
			case <-time.After(d.At):
				w.do(ctx, d.Do)
			case <-ctx.Done():
			}
		}()
	}
	before, start := w.double.Counts(), time.Now()
	var out, said bytes.Buffer
	code := 0
	for range max(1, s.Deploy.Runs) {
		out.Reset()
		said.Reset()
		code = 0
		if end, ended := errors.AsType[ended](follow(ctx, Env{Stdout: &out, Stderr: &said}, false, w.verb)); ended {
			code = end.code
		}
	}
	took := time.Since(start)
	cancel()
	w.double.Fault(nil)
	w.judge(code, took, out.String(), said.String(), before)
}

func (w *stage) verb(ctx context.Context, env runner.Env) (rollout.Out, error) {
	step := rollout.New(rollout.Config{Service: "web", Repository: "registry.test/web", Rollback: w.Deploy.Rollback, Timeout: w.Deploy.Timeout, WaitFor: w.Deploy.WaitFor, Image: deploy.ImageFacts{Platform: w.Deploy.Platform}}, rollout.Deps{
		Connect: func(context.Context, string) (deploy.API, error) { return ecs.New(w.cfg), nil },
		Jitter:  func() float64 { return 0.5 },
	})
	if w.Worker != nil {
		return w.both(ctx, env)
	}
	switch w.Deploy.Verb {
	case "wait":
		return step.Wait(ctx, env)
	case "rollback":
		return step.Rollback(ctx, env, w.Deploy.To)
	}
	if err := step.Check(ctx); err != nil {
		return rollout.Out{}, err
	}
	r, err := step.Run(ctx, env, rollout.In{Image: newImage})
	return r.Out, err
}

// crowded is a runtime without room for the new tasks, where why says so.
type crowded struct {
	ecstest.ScriptFunc
	why string
}

func (c crowded) Place(spec ecstest.TaskSpec) string {
	if spec.Containers[0].Image == newImage {
		return c.why
	}
	return ""
}

func (w *stage) story(spec ecstest.TaskSpec) ecstest.Story {
	if spec.Containers[0].Image != newImage {
		return w.Old
	}
	if spec.Family == "worker" {
		return *w.Worker
	}
	w.born++
	if n := w.born - 2; n >= 0 && len(w.Then) > 0 {
		return w.Then[min(n, len(w.Then)-1)]
	}
	return w.Tasks
}

func (w *stage) seed() ecstest.ServiceSeed {
	container := map[string]any{"name": "app", "image": oldImage, "portMappings": []any{map[string]any{"containerPort": 8080}}}
	for k, v := range w.Service.Container {
		container[k] = v
	}
	definition := map[string]any{
		"family": "web", "networkMode": "awsvpc", "requiresCompatibilities": []string{"FARGATE"}, "cpu": "256", "memory": "512",
		"executionRoleArn": "arn:aws:iam::123456789012:role/exec", "containerDefinitions": []any{container},
	}
	for k, v := range w.Service.Definition {
		definition[k] = v
	}
	config := map[string]any{}
	for k, v := range w.Service.Keys {
		config[k] = v
	}
	if w.Service.Deployment != nil {
		config["deploymentConfiguration"] = w.Service.Deployment
	}
	seed := ecstest.ServiceSeed{Service: "web", Desired: 2, Idle: w.Service.First, TaskDefinition: w.json(definition), Config: w.json(config)}
	if w.Service.CodeDeploy != nil {
		config["deploymentController"] = map[string]any{"type": "CODE_DEPLOY"}
		seed.Config = w.json(config)
	}
	if w.Service.Desired != nil {
		seed.Desired = *w.Service.Desired
	}
	return seed
}

func (w *stage) json(v any) json.RawMessage {
	raw, err := json.Marshal(v)
	if err != nil {
		w.Fatal(err)
	}
	return raw
}

func (w *stage) fault(op string, n int) (f ecstest.Fault) {
	for _, c := range w.Faults {
		if !strings.HasSuffix(op, c.Calls) || n < c.From || c.To > 0 && n > c.To {
			continue
		}
		switch c.Do {
		case "throttle":
			f = ecstest.Throttle()
		case "500", "503":
			f = ecstest.ServerError(map[string]int{"500": 500, "503": 503}[c.Do])
		case "deny":
			f = ecstest.Deny(op)
		case "expired":
			f = ecstest.Fault{Status: http.StatusBadRequest, Type: "ExpiredTokenException", Text: "The security token included in the request is expired"}
		case "absent":
			f.Absent = true
		case "cut-before":
			f.Cut = ecstest.CutBefore
		case "cut-after":
			f.Cut = ecstest.CutAfter
		default:
			panic("a scenario's fault does " + c.Do)
		}
		f.Delay = c.Delay
	}
	if w.Lag > 0 && (strings.HasPrefix(op, "Describe") || strings.HasPrefix(op, "List")) {
		f.Lag = w.Lag
	}
	return f
}

// judge compares the end with what the scenario says.
func (w *stage) judge(code int, took time.Duration, result, said string, before map[string]int) {
	lines := strings.Split(strings.TrimSpace(said), "\n") // the last one of stderr, or the result
	if code == 0 {
		lines = strings.Split(strings.TrimSpace(result), "\n")
	}
	if code != w.Exit {
		w.Errorf("exit code %d, want %d", code, w.Exit)
	}
	if last := lines[len(lines)-1]; !strings.Contains(last, w.Last) || w.Last == "" {
		w.Errorf("last line %q, want %q", last, w.Last)
	}
	for _, s := range w.Says {
		if !strings.Contains(said, s) {
			w.Errorf("not said: %q", s)
		}
	}
	for _, s := range w.Silent {
		if strings.Contains(said, s) {
			w.Errorf("said: %q", s)
		}
	}
	if w.Took > 0 && took > w.Took {
		w.Errorf("it took %s, at most %s", took, w.Took)
	}
	after, all := w.double.Counts(), 0
	if w.code != nil {
		maps.Copy(after, w.code.Counts())
	}
	for op, n := range after {
		all += n - before[op]
	}
	for op, n := range w.Calls {
		switch got := after[op] - before[op]; {
		case op == "all" && all > n:
			w.Errorf("%d calls, at most %d: %v", all, n, after)
		case op != "all" && got != n:
			w.Errorf("%d %s, want %d", got, op, n)
		}
	}
	time.Sleep(2 * time.Minute) // ECS winds up what was replaced
	outcomes := w.double.Outcome("default", "web")
	verdict, runs := "", ""
	for _, o := range outcomes {
		if strings.HasSuffix(o.TaskDefinition, "web:2") {
			verdict = string(o.Verdict)
		}
	}
	if s, err := ecs.New(w.cfg).Service(context.Background(), deploy.Target{Service: "web"}); err == nil {
		runs = deploy.ShortName(s.TaskDefinition)
	}
	if verdict != w.Truth || runs != w.Runs {
		w.Errorf("the truth is %q on %s, want %q on %s", verdict, runs, w.Truth, w.Runs)
	}
	if w.Failed() {
		w.Logf("after %s:\n%s", took, said)
	}
	if testing.Verbose() {
		for op := range before {
			after[op] -= before[op]
		}
		fmt.Printf("%s: exit %d, %s, %d calls %v, last %q\n", strings.TrimPrefix(w.Name(), "TestScenarios/"), code, took, all, after, lines[len(lines)-1])
	}
}
