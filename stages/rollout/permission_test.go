package rollout

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fastship/fastship/deploy/ecstest"
	"github.com/fastship/fastship/runner"
)

// simulate answers as IAM does: one result an action, in it one a resource,
// and neither "*" among ARNs nor actions together that ask for different
// authorization information.
func (a *account) simulate(w http.ResponseWriter, r *http.Request, form url.Values) {
	a.mu.Lock()
	a.simulations = append(a.simulations, form)
	a.mu.Unlock()
	if a.hangs {
		<-r.Context().Done()
		return
	}
	list := func(name string) (all []string) {
		for i := 1; form.Has(fmt.Sprintf("%s.member.%d", name, i)); i++ {
			all = append(all, form.Get(fmt.Sprintf("%s.member.%d", name, i)))
		}
		return all
	}
	actions, resources := list("ActionNames"), list("ResourceArns")
	if slices.Contains(resources, "*") && len(resources) > 1 || len(actions) > 1 && slices.Contains(actions, "ecs:RegisterTaskDefinition") {
		w.WriteHeader(http.StatusBadRequest)
		fmt.Fprint(w, `<ErrorResponse><Error><Type>Sender</Type><Code>InvalidInput</Code><Message>Invalid Input Actions: [a] and [b] require different authorization information.</Message></Error></ErrorResponse>`)
		return
	}
	decide := func(action, resource string) (decision, missing string) {
		switch d := a.decides[action+" "+resource]; d {
		case "":
			return "allowed", ""
		case "missing":
			return "implicitDeny", "<member>aws:PrincipalTag/team</member>"
		default:
			return d, ""
		}
	}
	fmt.Fprint(w, `<SimulatePrincipalPolicyResponse><SimulatePrincipalPolicyResult><IsTruncated>false</IsTruncated><EvaluationResults>`)
	for _, action := range actions {
		if len(resources) == 0 {
			decision, missing := decide(action, "*")
			fmt.Fprintf(w, `<member><EvalActionName>%s</EvalActionName><EvalResourceName>*</EvalResourceName><EvalDecision>%s</EvalDecision><MissingContextValues>%s</MissingContextValues></member>`, action, decision, missing)
			continue
		}
		fmt.Fprintf(w, `<member><EvalActionName>%s</EvalActionName><EvalDecision>implicitDeny</EvalDecision><ResourceSpecificResults>`, action)
		for _, resource := range resources {
			decision, missing := decide(action, resource)
			fmt.Fprintf(w, `<member><EvalResourceName>%s</EvalResourceName><EvalResourceDecision>%s</EvalResourceDecision><MissingContextValues>%s</MissingContextValues></member>`, resource, decision, missing)
		}
		fmt.Fprint(w, `</ResourceSpecificResults></member>`)
	}
	fmt.Fprint(w, `</EvaluationResults></SimulatePrincipalPolicyResult></SimulatePrincipalPolicyResponse>`)
}

const (
	ecrRepository = "123456789012.dkr.ecr.us-east-1.amazonaws.com/team/web"
	execRole      = "arn:aws:iam::123456789012:role/path/exec"
)

// simulated plays a service whose roles are in this account and whose image is
// in ECR.
func playSimulated(t *testing.T, a *account, play func(w *world)) {
	t.Helper()
	seed := ecstest.ServiceSeed{Desired: 1, TaskDefinition: []byte(strings.Replace(string(needy()), "999999999999:role/task", "123456789012:role/task", 1))}
	virtual(t, ecstest.Script{}, seed, Deps{}, func(w *world) {
		a.next, a.all = w.double, true
		w.step.cfg.Repository, w.step.cfg.Container = ecrRepository, "app"
		a.into(w)
		play(w)
	})
}

// warned are the warnings of a dry run and of a run after it.
func (w *world) warned() (dry, run []string) {
	w.Helper()
	if err := w.step.Check(w.Context()); err != nil {
		w.Fatal(err)
	}
	plan, err := w.step.Plan(w.Context(), In{Image: image2})
	if err != nil {
		w.Fatal(err)
	}
	for _, line := range plan.Lines {
		if text, ok := strings.CutPrefix(line, "warning: "); ok {
			dry = append(dry, text)
		}
	}
	if _, err := w.run(w.Context(), image2); err != nil {
		w.Error(err)
	}
	for _, e := range w.events {
		if e, ok := e.(runner.Warning); ok {
			run = append(run, e.Text)
		}
	}
	return dry, run
}

// TestPermissions: what IAM's simulation denies is a warning with the very
// statement to add, and stops nothing.
func TestPermissions(t *testing.T) {
	const (
		service = "arn:aws:ecs:us-east-1:123456789012:service/default/web"
		repo    = "arn:aws:ecr:us-east-1:123456789012:repository/team/web"
		streams = "arn:aws:logs:us-east-1:123456789012:log-group:/ecs/web:log-stream:web/app/*"
		secret  = "arn:aws:secretsmanager:us-east-1:123456789012:secret:db-AbCdEf"
		one     = "arn:aws:ssm:us-east-1:123456789012:parameter/plain"
		two     = "arn:aws:ssm:us-east-1:123456789012:parameter/deep/key"
		family  = "arn:aws:ecs:us-east-1:123456789012:task-definition/web:*"
		none    = ": IAM's simulation finds no statement that allows it; add "
	)
	for _, c := range []struct {
		name    string
		decides map[string]string
		want    []string
	}{
		{"all is allowed", nil, nil},
		{"a condition decides", map[string]string{"ecs:UpdateService " + service: "missing", "ecr:GetAuthorizationToken *": "missing"}, nil},
		{"the caller", map[string]string{"ecs:RegisterTaskDefinition " + family: "implicitDeny", "ecs:UpdateService " + service: "explicitDeny", "iam:PassRole " + execRole: "implicitDeny"}, []string{
			"the caller, deploy, may not be allowed ecs:RegisterTaskDefinition on " + family + none + `{"Effect":"Allow","Action":["ecs:RegisterTaskDefinition"],"Resource":["` + family + `"]}`,
			"the caller, deploy, may not be allowed ecs:UpdateService on " + service + ": IAM's simulation finds a statement that denies it; except that from the statement",
			"the caller, deploy, may not be allowed iam:PassRole on " + execRole + none + `{"Effect":"Allow","Action":["iam:PassRole"],"Resource":["` + execRole + `"],"Condition":{"StringEquals":{"iam:PassedToService":"ecs-tasks.amazonaws.com"}}}`,
		}},
		{"pulling", map[string]string{"ecr:GetAuthorizationToken *": "implicitDeny", "ecr:BatchGetImage " + repo: "implicitDeny", "ecr:GetDownloadUrlForLayer " + repo: "implicitDeny"}, []string{
			"execution role exec may not be allowed ecr:GetAuthorizationToken on *" + none + `{"Effect":"Allow","Action":["ecr:GetAuthorizationToken"],"Resource":["*"]}`,
			"execution role exec may not be allowed ecr:BatchGetImage, ecr:GetDownloadUrlForLayer on " + repo + none + `{"Effect":"Allow","Action":["ecr:BatchGetImage","ecr:GetDownloadUrlForLayer"],"Resource":["` + repo + `"]}`,
		}},
		{"logs and secrets", map[string]string{"logs:PutLogEvents " + streams: "implicitDeny", "secretsmanager:GetSecretValue " + secret: "implicitDeny", "ssm:GetParameters " + one: "implicitDeny", "ssm:GetParameters " + two: "implicitDeny"}, []string{
			"execution role exec may not be allowed logs:PutLogEvents on " + streams + none + `{"Effect":"Allow","Action":["logs:PutLogEvents"],"Resource":["` + streams + `"]}`,
			"execution role exec may not be allowed secretsmanager:GetSecretValue on " + secret + none + `{"Effect":"Allow","Action":["secretsmanager:GetSecretValue"],"Resource":["` + secret + `"]}`,
			"execution role exec may not be allowed ssm:GetParameters on " + one + ", " + two + none + `{"Effect":"Allow","Action":["ssm:GetParameters"],"Resource":["` + one + `","` + two + `"]}`,
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := &account{decides: c.decides}
			playSimulated(t, a, func(w *world) {
				dry, run := w.warned()
				if !slices.Equal(dry, c.want) || !slices.Equal(run, c.want) {
					t.Errorf("dry run:\n%s\nrun:\n%s\nwant:\n%s", strings.Join(dry, "\n"), strings.Join(run, "\n"), strings.Join(c.want, "\n"))
				}
			})
			// The caller's: together, refused, one by one; the role's: with and
			// without resources. The run asks no second time.
			if n := len(a.simulations); n != 6 {
				t.Errorf("%d simulations", n)
			}
			for _, form := range a.simulations {
				if p := form.Get("PolicySourceArn"); p != execRole && p != "arn:aws:iam::123456789012:role/ci/deploy" {
					t.Errorf("simulated for %s", p)
				}
			}
		})
	}
}

// TestPermissionsUnknown: what IAM does not say is a line of the dry run at
// most, and costs no time.
func TestPermissionsUnknown(t *testing.T) {
	a := &account{deny: func(action string) bool { return action == "iam:SimulatePrincipalPolicy" }}
	playSimulated(t, a, func(w *world) {
		dry, run := w.warned()
		if want := []string{"whether the roles may do what a rollout needs was not checked: this needs iam:SimulatePrincipalPolicy"}; !slices.Equal(dry, want) || len(run) > 0 {
			t.Errorf("dry run %q, run %q", dry, run)
		}
	})
	a = &account{hangs: true}
	playSimulated(t, a, func(w *world) {
		start := time.Now()
		if _, err := w.run(w.Context(), image1); err != nil || time.Since(start) > time.Second {
			t.Errorf("an unchanged run waited %v: %v", time.Since(start), err)
		}
		time.Sleep(time.Minute) // until the calls have ended
	})
	a = &account{hangs: true}
	playSimulated(t, a, func(w *world) {
		if err := w.step.Check(w.Context()); err != nil {
			t.Error(err)
		}
		start := time.Now()
		if _, err := w.step.ready(w.Context(), w.env(), In{Image: image2}); err != nil || time.Since(start) != patience {
			t.Errorf("a rollout waited %v: %v", time.Since(start), err)
		}
		time.Sleep(time.Minute) // until the calls have ended
	})
	a = &account{all: true}
	virtual(t, ecstest.Script{}, ecstest.ServiceSeed{Desired: 1}, Deps{}, func(w *world) {
		a.next = w.double
		a.into(w)
		if err := w.step.Check(w.Context()); err != nil {
			t.Error(err)
		}
	})
	if a.used["sts:GetCallerIdentity"] {
		t.Error("asked for a service without roles")
	}
}

// TestPermissionsOfMany: only the first services of many are simulated.
func TestPermissionsOfMany(t *testing.T) {
	var cfg Config
	for i := range simulations + 2 {
		cfg.Services = append(cfg.Services, Member{Service: fmt.Sprintf("web%d", i)})
	}
	for i, s := range Each(cfg, Deps{}) {
		if s.roles.never != (i >= simulations) {
			t.Errorf("service %d: %v", i, s.roles.never)
		}
	}
}
