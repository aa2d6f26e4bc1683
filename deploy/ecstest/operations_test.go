package ecstest_test

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/aws/smithy-go"

	"github.com/fastship/fastship/deploy/ecstest"
)

// TestEveryOperation goes through the real client once for each operation,
// on answers that hold as much as the double ever says.
func TestEveryOperation(t *testing.T) {
	script := ecstest.Script{"app:2": {Crash: true, Code: 1}}
	virtual(t, script, func(b *bench) {
		everyOperation(b)
		var ops []string
		for _, e := range b.wire.seen {
			if e.Status == http.StatusOK {
				ops = append(ops, e.Op)
			}
		}
		slices.Sort(ops)
		want := slices.Sorted(maps.Keys(outputs()))
		want = slices.DeleteFunc(want, func(op string) bool { return op == "GetLogEvents" || op == "ContinueServiceDeployment" }) // TestLogEvents, TestPause
		if got := slices.Compact(ops); !slices.Equal(got, want) {
			t.Errorf("operations that answered\n%v, want\n%v", got, want)
		}
	})
}

func everyOperation(b *bench) {
	ctx, c := b.Context(), b.client
	tags := []types.Tag{{Key: aws.String("team"), Value: aws.String("web")}}
	_, err := c.CreateCluster(ctx, &ecs.CreateClusterInput{ClusterName: aws.String("prod"), Tags: tags})
	b.must(err)
	clusters, err := c.ListClusters(ctx, &ecs.ListClustersInput{})
	b.must(err)
	if len(clusters.ClusterArns) != 2 {
		b.Errorf("clusters %v", clusters.ClusterArns)
	}
	shown, err := c.DescribeClusters(ctx, &ecs.DescribeClustersInput{Clusters: []string{"prod", "none"}, Include: []types.ClusterField{"TAGS"}})
	b.must(err)
	if len(shown.Clusters) != 1 || len(shown.Clusters[0].Tags) != 1 || len(shown.Failures) != 1 || *shown.Failures[0].Reason != "MISSING" {
		b.Errorf("clusters %+v", shown)
	}
	_, err = c.DeleteCluster(ctx, &ecs.DeleteClusterInput{Cluster: aws.String("prod")})
	b.must(err)

	in := &ecs.RegisterTaskDefinitionInput{Tags: tags}
	b.must(json.Unmarshal(definition("app:1", healthCheck), in))
	_, err = c.RegisterTaskDefinition(ctx, in)
	b.must(err)
	def, err := c.DescribeTaskDefinition(ctx, &ecs.DescribeTaskDefinitionInput{TaskDefinition: aws.String("web"), Include: []types.TaskDefinitionField{"TAGS"}})
	b.must(err)
	if def.TaskDefinition.Revision != 1 || len(def.Tags) != 1 || !slices.Contains(def.TaskDefinition.Compatibilities, types.CompatibilityFargate) {
		b.Errorf("task definition %+v", def)
	}
	network := &types.NetworkConfiguration{AwsvpcConfiguration: &types.AwsVpcConfiguration{Subnets: []string{"subnet-1"}, AssignPublicIp: types.AssignPublicIpEnabled}}
	create := &ecs.CreateServiceInput{
		ServiceName: aws.String("web"), TaskDefinition: aws.String("web:1"), DesiredCount: aws.Int32(2), Tags: tags,
		ClientToken: aws.String("once"), NetworkConfiguration: network, PropagateTags: types.PropagateTagsService,
		LoadBalancers: []types.LoadBalancer{{TargetGroupArn: aws.String("arn:aws:elasticloadbalancing:us-east-1:1:targetgroup/t/1"), ContainerName: aws.String("app"), ContainerPort: aws.Int32(8080)}},
		DeploymentConfiguration: &types.DeploymentConfiguration{DeploymentCircuitBreaker: &types.DeploymentCircuitBreaker{
			Enable: true, Rollback: true, ThresholdConfiguration: &types.ThresholdConfiguration{Type: types.ThresholdTypeCount, Value: 2}}},
	}
	for range 2 { // the second is the same by its token
		_, err = c.CreateService(ctx, create)
		b.must(err)
	}
	b.within(5*time.Minute, "steady", func() bool { return b.last().Verdict == ecstest.Succeeded })
	services, err := c.ListServices(ctx, &ecs.ListServicesInput{})
	b.must(err)
	if len(services.ServiceArns) != 1 {
		b.Errorf("services %v", services.ServiceArns)
	}
	b.deploy("app:2", healthCheck)
	b.within(20*time.Minute, "rolled back", func() bool { return b.last().Verdict == ecstest.RolledBack })
	records := b.records()
	if n := records[0].DeploymentCircuitBreaker.Threshold; n != 2 {
		b.Errorf("threshold %d, want COUNT's 2", n)
	}
	revisions, err := c.DescribeServiceRevisions(ctx, &ecs.DescribeServiceRevisionsInput{ServiceRevisionArns: []string{*records[0].TargetServiceRevision.Arn, strings.Replace(*records[0].TargetServiceRevision.Arn, "/web/", "/none/", 1)}})
	b.must(err)
	if r := revisions.ServiceRevisions; len(r) != 1 || !strings.HasSuffix(*r[0].TaskDefinition, "web:2") || *r[0].ContainerImages[0].Image != "app:2" || *r[0].ContainerImages[0].ImageDigest != fmt.Sprintf("sha256:%x", sha256.Sum256([]byte("app:2"))) || len(revisions.Failures) != 1 {
		b.Errorf("revisions %+v", revisions)
	}
	b.deploy("app:3", healthCheck)
	arn := b.records()[0].ServiceDeploymentArn
	_, err = c.StopServiceDeployment(ctx, &ecs.StopServiceDeploymentInput{ServiceDeploymentArn: arn})
	b.must(err)

	ran, err := c.RunTask(ctx, &ecs.RunTaskInput{TaskDefinition: aws.String("web:1"), StartedBy: aws.String("me"), NetworkConfiguration: network, Tags: tags,
		Overrides: &types.TaskOverride{ContainerOverrides: []types.ContainerOverride{{Name: aws.String("app"), Command: []string{"migrate"}}}}})
	b.must(err)
	mine, err := c.ListTasks(ctx, &ecs.ListTasksInput{StartedBy: aws.String("me")})
	b.must(err)
	if !slices.Equal(mine.TaskArns, []string{*ran.Tasks[0].TaskArn}) {
		b.Errorf("tasks %v", mine.TaskArns)
	}
	time.Sleep(time.Minute)
	_, err = c.StopTask(ctx, &ecs.StopTaskInput{Task: ran.Tasks[0].TaskArn})
	b.must(err)
	b.tasks(types.DesiredStatusRunning)
	if _, err = c.DeleteService(ctx, &ecs.DeleteServiceInput{Service: aws.String("web")}); err == nil {
		b.Error("a service with tasks was deleted")
	}
	_, err = c.DeleteService(ctx, &ecs.DeleteServiceInput{Service: aws.String("web"), Force: aws.Bool(true)})
	b.must(err)
	b.within(10*time.Minute, "gone", func() bool { return *b.service().Status == "INACTIVE" })
	_, err = c.DeregisterTaskDefinition(ctx, &ecs.DeregisterTaskDefinitionInput{TaskDefinition: aws.String("web:1")})
	b.must(err)
	list, err := c.ListTaskDefinitions(ctx, &ecs.ListTaskDefinitionsInput{FamilyPrefix: aws.String("web"), Sort: types.SortOrderDesc})
	b.must(err)
	if len(list.TaskDefinitionArns) != 2 || !strings.HasSuffix(list.TaskDefinitionArns[0], "web:3") {
		b.Errorf("task definitions %v", list.TaskDefinitionArns)
	}
}

func TestErrors(t *testing.T) {
	virtual(t, ecstest.Script{}, func(b *bench) {
		arn := b.seed(1, "", "")
		ctx, c := b.Context(), b.client
		register := func(body string) error {
			in := &ecs.RegisterTaskDefinitionInput{}
			b.must(json.Unmarshal([]byte(body), in))
			_, err := c.RegisterTaskDefinition(ctx, in)
			return err
		}
		update := func(in ecs.UpdateServiceInput) error {
			_, err := c.UpdateService(ctx, &in)
			return err
		}
		for _, test := range []struct {
			err        error
			kind, text string
		}{
			{second(c.DescribeServices(ctx, &ecs.DescribeServicesInput{Cluster: aws.String("none"), Services: []string{"web"}})), "ClusterNotFoundException", "Cluster not found."},
			{second(c.DescribeServices(ctx, &ecs.DescribeServicesInput{Services: []string{}})), "InvalidParameterException", "Services cannot be empty."},
			{second(c.DescribeTasks(ctx, &ecs.DescribeTasksInput{Tasks: []string{}})), "InvalidParameterException", "Tasks cannot be empty."},
			{second(c.ListServiceDeployments(ctx, &ecs.ListServiceDeploymentsInput{Service: aws.String("none")})), "ServiceNotFoundException", "Service not found."},
			{second(c.ListTasks(ctx, &ecs.ListTasksInput{StartedBy: aws.String("x"), ServiceName: aws.String("web")})), "InvalidParameterException", "startedBy"},
			{second(c.ListTasks(ctx, &ecs.ListTasksInput{NextToken: aws.String("%")})), "InvalidParameterException", "token"},
			{second(c.StopTask(ctx, &ecs.StopTaskInput{Task: aws.String("none")})), "InvalidParameterException", "The referenced task was not found."},
			{second(c.DescribeTaskDefinition(ctx, &ecs.DescribeTaskDefinitionInput{TaskDefinition: aws.String("none")})), "ClientException", "Unable to describe task definition."},
			{second(c.DeregisterTaskDefinition(ctx, &ecs.DeregisterTaskDefinitionInput{TaskDefinition: aws.String("web")})), "InvalidParameterException", "revision"},
			{second(c.StopServiceDeployment(ctx, &ecs.StopServiceDeploymentInput{ServiceDeploymentArn: aws.String("arn:aws:ecs:us-east-1:1:service-deployment/default/web/none")})), "ServiceDeploymentNotFoundException", ""},
			{update(ecs.UpdateServiceInput{Service: aws.String("none")}), "ServiceNotFoundException", ""},
			{update(ecs.UpdateServiceInput{Service: aws.String("web"), TaskDefinition: aws.String("web:9")}), "ClientException", "TaskDefinition not found."},
			{update(ecs.UpdateServiceInput{Service: aws.String("web"), DesiredCount: aws.Int32(-1)}), "InvalidParameterException", "negative"},
			{update(ecs.UpdateServiceInput{Service: aws.String("web"), DeploymentConfiguration: &types.DeploymentConfiguration{Strategy: "PURPLE"}}), "InvalidParameterException", "deployment strategy"},
			{update(ecs.UpdateServiceInput{Service: aws.String("web"), DeploymentConfiguration: &types.DeploymentConfiguration{MinimumHealthyPercent: aws.Int32(100), MaximumPercent: aws.Int32(100)}}), "InvalidParameterException", "block deployments"},
			{second(c.CreateService(ctx, &ecs.CreateServiceInput{ServiceName: aws.String("web"), TaskDefinition: &arn, DesiredCount: aws.Int32(1)})), "InvalidParameterException", "idempotent"},
			{second(c.CreateService(ctx, &ecs.CreateServiceInput{ServiceName: aws.String("x"), TaskDefinition: &arn, DesiredCount: aws.Int32(1)})), "InvalidParameterException", "Network Configuration must be provided when networkMode 'awsvpc' is specified."},
			{second(c.CreateService(ctx, &ecs.CreateServiceInput{ServiceName: aws.String("x"), TaskDefinition: &arn})), "InvalidParameterException", "Desired count"},
			{second(c.RunTask(ctx, &ecs.RunTaskInput{TaskDefinition: aws.String("none")})), "ClientException", "TaskDefinition not found."},
			{second(c.DeleteCluster(ctx, &ecs.DeleteClusterInput{Cluster: aws.String("default")})), "ClusterContainsServicesException", ""},
			{second(c.ListAttributes(ctx, &ecs.ListAttributesInput{TargetType: types.TargetTypeContainerInstance})), "UnknownOperationException", ""},
			{register(`{"family": "a b", "containerDefinitions": [{"name": "app", "image": "x", "memory": 128}]}`), "ClientException", "family"},
			{register(`{"family": "a", "containerDefinitions": []}`), "ClientException", "Container list"},
			{register(`{"family": "a", "containerDefinitions": [{"name": "app", "image": "x"}]}`), "ClientException", "At least one of 'memory' or 'memoryReservation' must be specified."},
			{register(`{"family": "a", "containerDefinitions": [{"name": "app", "image": "x", "memory": 1, "essential": false}]}`), "ClientException", "essential"},
			{register(`{"family": "a", "networkMode": "bridge", "requiresCompatibilities": ["FARGATE"], "containerDefinitions": [{"name": "app", "image": "x", "memory": 1}]}`), "ClientException", "awsvpc"},
			{register(`{"family": "a", "networkMode": "awsvpc", "requiresCompatibilities": ["FARGATE"], "cpu": "256", "memory": "4096", "containerDefinitions": [{"name": "app", "image": "x"}]}`), "ClientException", "No Fargate configuration exists for given values"},
			{register(`{"family": "a", "networkMode": "awsvpc", "requiresCompatibilities": ["FARGATE"], "cpu": ".5 vCPU", "memory": "1 GB", "containerDefinitions": [{"name": "app", "image": "x", "logConfiguration": {"logDriver": "awslogs"}}]}`), "ClientException", "execution role ARN to support log driver awslogs"},
		} {
			e, ok := errors.AsType[smithy.APIError](test.err)
			if !ok || e.ErrorCode() != test.kind || !strings.Contains(e.ErrorMessage(), test.text) {
				b.Errorf("got %v, want %s: …%s…", test.err, test.kind, test.text)
			}
		}
	})
}

func second[T any](_ T, err error) error { return err }

func TestPages(t *testing.T) {
	virtual(t, ecstest.Script{}, func(b *bench) {
		b.seed(25, "", "")
		var arns []string
		pages := ecs.NewListTasksPaginator(b.client, &ecs.ListTasksInput{ServiceName: aws.String("web"), MaxResults: aws.Int32(10)})
		for pages.HasMorePages() {
			p, err := pages.NextPage(b.Context())
			b.must(err)
			arns = append(arns, p.TaskArns...)
		}
		slices.Sort(arns)
		if n := len(slices.Compact(arns)); n != 25 || b.double.Counts()["ListTasks"] != 3 {
			t.Errorf("%d tasks in %d pages", n, b.double.Counts()["ListTasks"])
		}
	})
}

// TestDefinitionIsKeptWhole registers keys that no model knows and numbers
// that a float would change.
func TestDefinitionIsKeptWhole(t *testing.T) {
	d := ecstest.New(ecstest.Options{Runtime: ecstest.Script{}})
	defer d.Close()
	const body = `{"family": "web", "cpu": "256", "fromTheFuture": {"a": [1, 12345678901234567890, null, {"b": false}]}, "containerDefinitions":
		[{"name": "app", "image": "app:1", "memory": 128, "invented": 1.50, "logConfiguration": {"logDriver": "awslogs", "options": {"awslogs-group": "g"}}}]}`
	post(t, d, "RegisterTaskDefinition", body)
	var got struct {
		TaskDefinition map[string]json.RawMessage `json:"taskDefinition"`
	}
	if err := json.Unmarshal(post(t, d, "DescribeTaskDefinition", `{"taskDefinition": "web:1"}`), &got); err != nil {
		t.Fatal(err)
	}
	if s := string(got.TaskDefinition["fromTheFuture"]); s != `{"a":[1,12345678901234567890,null,{"b":false}]}` {
		t.Errorf("fromTheFuture came back as %s", s)
	}
	if s := string(got.TaskDefinition["containerDefinitions"]); !strings.Contains(s, `"invented":1.50`) || !strings.Contains(s, `"awslogs-group":"g"`) || !strings.Contains(s, `"mountPoints":[]`) {
		t.Errorf("containerDefinitions came back as %s", s)
	}
}

func post(t *testing.T, h http.Handler, op, body string) []byte {
	t.Helper()
	r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body))
	r.Header.Set("X-Amz-Target", "AmazonEC2ContainerServiceV20141113."+op)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	if w.Code != http.StatusOK {
		t.Fatalf("%s: %d %s", op, w.Code, w.Body)
	}
	return w.Body.Bytes()
}

// TestOverSockets is the same double in real time behind a real server,
// connection cuts included.
func TestOverSockets(t *testing.T) {
	d := ecstest.New(ecstest.Options{Runtime: ecstest.Script{}, Timing: ecstest.LocalTiming()})
	defer d.Close()
	server := httptest.NewServer(d)
	defer server.Close()
	_, err := d.Seed(t.Context(), ecstest.ServiceSeed{Service: "web", TaskDefinition: definition("app:1", ""), Desired: 1})
	if err != nil {
		t.Fatal(err)
	}
	c := ecs.New(sdk(http.DefaultTransport).Options(), func(o *ecs.Options) { o.BaseEndpoint = &server.URL })
	d.Fault(func(op string, n int) ecstest.Fault {
		if op == "DescribeServices" && n == 1 {
			return ecstest.Fault{Cut: ecstest.CutAfter}
		}
		return ecstest.Fault{}
	})
	in := &ecs.DescribeServicesInput{Services: []string{"web"}}
	if _, err := c.DescribeServices(t.Context(), in); !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("a cut connection: %v", err)
	}
	out, err := c.DescribeServices(t.Context(), in)
	if err != nil || out.Services[0].RunningCount != 1 {
		t.Errorf("services %+v, %v", out, err)
	}
}

// TestSameSeedSameStory: ids and times of a run depend on nothing but itself.
func TestSameSeedSameStory(t *testing.T) {
	var stories [2]string
	for i := range stories {
		virtual(t, ecstest.Script{"app:2": {Crash: true}}, func(b *bench) {
			b.seed(2, breakerOn, "")
			b.deploy("app:2", "")
			b.within(time.Hour, "rolled back", func() bool { return b.last().Verdict == ecstest.RolledBack })
			stories[i] = b.story()
		})
	}
	if stories[0] != stories[1] {
		t.Errorf("two runs differ:\n%s\n%s", stories[0], stories[1])
	}
}

func TestModelCheckSeesWhatIsWrong(t *testing.T) {
	for _, body := range []string{
		`{"services": [{"invented": 1}]}`, `{"services": [{"createdAt": "2026-01-01"}]}`, `{"services": [{"launchType": "MOON"}]}`,
		`{"services": [{"desiredCount": "1"}]}`, `{"services": [{"desiredCount": 1.5}]}`, `{"services": {}}`, `{"services": null}`,
		`{"services": [{"serviceArn": null}]}`, `{"services": [{"createdAt": 1}]}`,
	} {
		var v any
		d := json.NewDecoder(strings.NewReader(body))
		d.UseNumber()
		if err := d.Decode(&v); err != nil {
			t.Fatal(err)
		}
		if fitsType(reflect.TypeFor[ecs.DescribeServicesOutput](), v, "") == nil {
			t.Errorf("%s passes", body)
		}
	}
}
