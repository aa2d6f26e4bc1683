package ecstest_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	logtypes "github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/fastship/fastship/deploy/ecstest"
)

// TestLogEvents: what a task printed can be read from its stream, some
// seconds later, from either end.
func TestLogEvents(t *testing.T) {
	const awslogs = `, "logConfiguration": {"logDriver": "awslogs", "options": {"awslogs-group": "/ecs/web", "awslogs-stream-prefix": "web"}}`
	var prints []string
	for i := range 9 {
		prints = append(prints, fmt.Sprint("line ", i))
	}
	virtual(t, ecstest.Script{"app:2": {Prints: prints}}, func(b *bench) {
		b.seed(1, "", "")
		role := strings.Replace(string(definition("app:2", awslogs)), `"family"`, `"executionRoleArn": "arn:aws:iam::123456789012:role/exec", "family"`, 1)
		id := b.deployRaw([]byte(role))
		var task types.Task
		b.within(time.Minute, "started", func() bool {
			for _, t := range b.tasks(types.DesiredStatusRunning) {
				if *t.StartedBy == id && t.StartedAt != nil {
					task = t
				}
			}
			return task.TaskArn != nil
		})
		_, name, _ := strings.Cut(*task.TaskArn, "task/default/")
		get := func(group, stream string, limit int32, head bool) (string, error) {
			out, err := b.logs().GetLogEvents(b.Context(), &cloudwatchlogs.GetLogEventsInput{
				LogGroupName: &group, LogStreamName: &stream, Limit: &limit, StartFromHead: aws.Bool(head)})
			if err != nil {
				return "", err
			}
			var lines []string
			for _, e := range out.Events {
				lines = append(lines, *e.Message)
			}
			return strings.Join(lines, ","), nil
		}
		gone := func(err error) bool {
			_, ok := errors.AsType[*logtypes.ResourceNotFoundException](err)
			return ok
		}
		time.Sleep(10 * time.Second)
		if got, err := get("/ecs/web", "web/app/"+name, 2, false); err != nil || got != "line 7,line 8" {
			t.Errorf("tail %q, %v", got, err)
		}
		if got, err := get("/ecs/web", "web/app/"+name, 2, true); err != nil || got != "line 0,line 1" {
			t.Errorf("head %q, %v", got, err)
		}
		if _, err := get("/ecs/web", "web/app/none", 2, true); !gone(err) {
			t.Errorf("no such stream: %v", err)
		}
		if _, err := get("/ecs/none", "x", 2, true); !gone(err) || !strings.Contains(err.Error(), "log group") {
			t.Errorf("no such group: %v", err)
		}
		if _, err := get("/ecs/web", "web/app/"+name, 0, false); err == nil {
			t.Error("limit 0 is accepted")
		}
	})
}
