package cli

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/fastship/fastship/deploy"
)

var aReport = deploy.Report{
	Took: 364 * time.Second, Of: "arn:aws:ecs:eu-west-1:111122223333:task-definition/web:7",
	Phases: []deploy.Phase{{Name: "pulling", Took: 20 * time.Second}, {Name: "draining", Took: 301 * time.Second}},
	Advice: []deploy.Advice{
		{Change: "shorten the delay", Saves: 295 * time.Second, Why: "it drained", Fix: "aws elbv2 modify-target-group-attributes"},
		{Change: "check more often", Saves: 25 * time.Second, AtMost: true, Why: "it waited"},
	},
	Risks: []string{"no breaker"}, Notes: []string{"elasticloadbalancing:DescribeTargetGroups: denied"},
}

const reported = `The last good rollout, of web:7, took 6m4s.
  pulling           20 s  ██
  draining         301 s  █████████████████████████████████

What would save time:
    295 s  shorten the delay
          it drained
  ≤  25 s  check more often
          it waited

What is risky:
  - no breaker

Not read: elasticloadbalancing:DescribeTargetGroups: denied
`

const fixes = `# saves 295 s: shorten the delay
aws elbv2 modify-target-group-attributes
# saves ≤ 25 s: check more often
# a change of the application or its task definition
`

func TestReports(t *testing.T) {
	if got := reportText(aReport); got != reported {
		t.Errorf("report\n%s\nwant\n%s", got, reported)
	}
	if got := fixText(aReport); got != fixes {
		t.Errorf("fixes\n%s\nwant\n%s", got, fixes)
	}
	raw, err := json.Marshal(shownReport(aReport))
	if err != nil || !strings.Contains(string(raw), `"savesSeconds":25,"atMost":true`) || !strings.Contains(string(raw), `"seconds":301`) {
		t.Errorf("%s, %v", raw, err)
	}
	if raw, _ := json.Marshal(shownReport(deploy.Report{})); strings.Contains(string(raw), "null") {
		t.Errorf("an empty report: %s", raw)
	}
	if got := reportText(deploy.Report{}); !strings.Contains(got, "no times are known") {
		t.Errorf("nothing known: %s", got)
	}
}
