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

var recorded = deploy.Report{
	Took: 40 * time.Second, Of: "arn:aws:ecs:eu-west-1:111122223333:task-definition/web:7", Recalled: true,
	Phases: []deploy.Phase{{Name: "pulling", Took: 20 * time.Second}},
	Own: deploy.Own{
		Count: 9, Succeeded: 8, Medians: []deploy.Median{{Name: "whole", Took: 39 * time.Second, Of: 7}, {Name: "pulling", Took: 9 * time.Second, Of: 8}},
		Trends: []deploy.Trend{{Phase: "pulling", Since: "web:5", From: 8 * time.Second, To: 21 * time.Second, Before: 5, After: 3, FromBytes: 80e6, ToBytes: 210e6}},
	},
}

const recordedText = `The last good rollout, of web:7, took 40s.
Its tasks are gone: these seconds are from fastship's own record of it.
  pulling           20 s  ████████████████████

fastship's own records, of the last 9 rollouts (8 succeeded); medians of those that succeeded:
  whole             39 s  of 7
  pulling            9 s  of 8
  pulling takes 21 s since web:5 (3 records), 8 s before (5): the image grew from 80 MB to 210 MB
`

func TestRecordsAreReported(t *testing.T) {
	if got := reportText(recorded); got != recordedText {
		t.Errorf("report\n%s\nwant\n%s", got, recordedText)
	}
	raw, err := json.Marshal(shownReport(recorded))
	for _, want := range []string{`"phasesFromRecords":true`, `"records":{"count":9,"succeeded":8,"medians":[{"name":"whole","seconds":39,"of":7}`,
		`"trends":[{"phase":"pulling","since":"web:5","fromSeconds":8,"toSeconds":21,"recordsBefore":5,"recordsSince":3,"fromImageBytes":80000000,"toImageBytes":210000000}]`} {
		if err != nil || !strings.Contains(string(raw), want) {
			t.Errorf("%s, %v: without %s", raw, err, want)
		}
	}
	if got := ownText(deploy.Own{Count: 1}); got != "\nfastship's own records, of the last 1 rollout (0 succeeded), have no times of one that succeeded.\n" {
		t.Errorf("none succeeded: %s", got)
	}
	for to, want := range map[int64]string{0: "", 82e6: ": not by the image's size, which was 80 MB and is 82 MB"} {
		if got := growth(deploy.Trend{FromBytes: 80e6, ToBytes: to}); got != want {
			t.Errorf("%d bytes: %q", to, got)
		}
	}
}
