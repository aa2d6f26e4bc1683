package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/fastship/fastship/deploy"
	ours "github.com/fastship/fastship/deploy/ecs"
)

// do is a deed of somebody else, with the plain SDK: update DEFINITION, begin
// (a rollout of the new image), scale N, rollback, continue, delete,
// deregister DEFINITION, stop-task.
func (w *stage) do(ctx context.Context, text string) {
	verb, arg, _ := strings.Cut(text, " ")
	c := ecs.NewFromConfig(w.cfg)
	web := aws.String("web")
	var err error
	switch verb {
	case "update":
		_, err = c.UpdateService(ctx, &ecs.UpdateServiceInput{Service: web, TaskDefinition: &arg})
	case "begin":
		err = w.begin(ctx, c)
	case "scale":
		var n int32
		if _, err = fmt.Sscan(arg, &n); err == nil {
			_, err = c.UpdateService(ctx, &ecs.UpdateServiceInput{Service: web, DesiredCount: &n})
		}
	case "rollback":
		_, err = c.StopServiceDeployment(ctx, &ecs.StopServiceDeploymentInput{ServiceDeploymentArn: w.newest(ctx, c).ServiceDeploymentArn})
	case "continue":
		d := w.newest(ctx, c)
		_, err = c.ContinueServiceDeployment(ctx, &ecs.ContinueServiceDeploymentInput{
			ServiceDeploymentArn: d.ServiceDeploymentArn, HookId: d.LifecycleHookDetails[0].HookId,
		})
	case "alarm":
		w.double.Alarm(arg, true)
	case "delete":
		_, err = c.DeleteService(ctx, &ecs.DeleteServiceInput{Service: web, Force: aws.Bool(true)})
	case "deregister":
		_, err = c.DeregisterTaskDefinition(ctx, &ecs.DeregisterTaskDefinitionInput{TaskDefinition: &arg})
	case "stop-task":
		var list *ecs.ListTasksOutput
		if list, err = c.ListTasks(ctx, &ecs.ListTasksInput{ServiceName: web}); err == nil {
			_, err = c.StopTask(ctx, &ecs.StopTaskInput{Task: &list.TaskArns[0]})
		}
	default:
		err = fmt.Errorf("nobody can do %q", text)
	}
	if err != nil && ctx.Err() == nil {
		w.Errorf("%s: %v", text, err)
	}
}

func (w *stage) begin(ctx context.Context, c *ecs.Client) error {
	api := ours.New(w.cfg)
	now, err := api.TaskDefinition(ctx, "web")
	if err != nil {
		return err
	}
	body, err := deploy.CloneTaskDefinition(now.Raw, "app", newImage)
	if err != nil {
		return err
	}
	arn, err := api.Register(ctx, body)
	if err != nil {
		return err
	}
	_, err = c.UpdateService(ctx, &ecs.UpdateServiceInput{Service: aws.String("web"), TaskDefinition: &arn})
	return err
}

// newest is the newest service deployment.
func (w *stage) newest(ctx context.Context, c *ecs.Client) types.ServiceDeployment {
	list, err := c.ListServiceDeployments(ctx, &ecs.ListServiceDeploymentsInput{Service: aws.String("web")})
	if err != nil {
		w.Error(err)
		return types.ServiceDeployment{}
	}
	full, err := c.DescribeServiceDeployments(ctx, &ecs.DescribeServiceDeploymentsInput{ServiceDeploymentArns: []string{*list.ServiceDeployments[0].ServiceDeploymentArn}})
	if err != nil {
		w.Error(err)
		return types.ServiceDeployment{}
	}
	return full.ServiceDeployments[0]
}
