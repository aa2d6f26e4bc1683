package rollout

import (
	"errors"
	"strings"
	"testing"

	"github.com/fastship/fastship/deploy/ecstest"
	"github.com/fastship/fastship/internal/fault"
	"github.com/fastship/fastship/runner"
)

const (
	secretARN = "arn:aws:secretsmanager:us-east-1:123456789012:secret:db-AbCdEf"
	elsewhere = "arn:aws:secretsmanager:us-east-1:999999999999:secret:theirs-AbCdEf"
)

// needy is a task definition that needs one thing of each kind, and one of
// another account, which nobody here can look up.
func needy() []byte {
	return []byte(strings.Replace(string(definition(`, "secrets": [
		{"name": "DB", "valueFrom": "`+secretARN+`:password::"}, {"name": "THEIRS", "valueFrom": "`+elsewhere+`"},
		{"name": "A", "valueFrom": "plain"}, {"name": "B", "valueFrom": "arn:aws:ssm:us-east-1:123456789012:parameter/deep/key"}],
		"logConfiguration": {"logDriver": "awslogs", "options": {"awslogs-group": "/ecs/web", "awslogs-region": "us-east-1", "awslogs-stream-prefix": "web"}}`)),
		`"family": "web"`, `"family": "web", "executionRoleArn": "arn:aws:iam::123456789012:role/path/exec", "taskRoleArn": "arn:aws:iam::999999999999:role/task"`, 1))
}

// TestPremises: what a task needs and the account does not have is found
// before anything is built, all of it at once and each with its remedy; what
// may not be read is said in the plan and stops nothing.
func TestPremises(t *testing.T) {
	everything := []string{secretARN, "plain", "/deep/key", "/ecs/web", "exec"}
	for _, c := range []struct {
		lacks, want, hint string
	}{
		{lacks: ""},
		{secretARN, "find secret " + secretARN + ", which container app, secret DB of web:1 needs: there is none", "create it, or correct it in the task definition"},
		{"plain", "find parameter plain, which container app, secret A of web:1 needs", "create it"},
		{"/deep/key", "find parameter /deep/key, which container app, secret B of web:1 needs", "create it"},
		{"/ecs/web", "find log group /ecs/web, which container app of web:1 needs", "aws logs create-log-group --log-group-name /ecs/web"},
		{"exec", "find role exec, which executionRoleArn of web:1 needs", "correct executionRoleArn in the task definition"},
	} {
		virtual(t, ecstest.Script{}, ecstest.ServiceSeed{Desired: 1, TaskDefinition: needy()}, Deps{}, func(w *world) {
			a := &account{next: w.double}
			for _, name := range everything {
				if name != c.lacks {
					a.has = append(a.has, name)
				}
			}
			a.into(w)
			err := w.step.Check(w.Context())
			if c.want == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if err == nil || fault.ClassOf(err) != fault.Missing || !strings.HasPrefix(err.Error(), c.want) || !strings.Contains(fault.HintOf(err), c.hint) {
				t.Errorf("%v | %s", err, fault.HintOf(err))
			}
		})
	}
	virtual(t, ecstest.Script{}, ecstest.ServiceSeed{Desired: 1, TaskDefinition: needy()}, Deps{}, func(w *world) {
		(&account{next: w.double}).into(w)
		var all runner.Findings
		if err := w.step.Check(w.Context()); !errors.As(err, &all) || len(all) != 5 {
			t.Errorf("%v", err)
		}
		(&account{next: w.double, deny: func(action string) bool { return !strings.HasPrefix(action, "ecs:") }}).into(w)
		if err := w.step.Check(w.Context()); err != nil {
			t.Errorf("reads that are denied: %v", err)
		}
		plan, err := w.step.Plan(w.Context(), In{Image: image2})
		said := strings.Join(plan.Lines, "\n")
		for _, call := range []string{"secret is there was not checked: this needs secretsmanager:DescribeSecret", "ssm:DescribeParameters", "logs:DescribeLogGroups", "iam:GetRole"} {
			if !strings.Contains(said, call) {
				t.Errorf("%q is not said: %s, %v", call, said, err)
			}
		}
	})
}
