package cli

import (
	"context"
	"path/filepath"
	"strings"
	"time"

	"github.com/fastship/fastship/cmd/internal/road"
	"github.com/fastship/fastship/cmd/internal/spec"
	"github.com/fastship/fastship/deploy"
	"github.com/fastship/fastship/internal/redact"
	"github.com/fastship/fastship/runner"
	"github.com/fastship/fastship/stages/rollout"
	"github.com/spf13/cobra"
)

func newDeploy(env Env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "deploy",
		Short: "Look after the ECS service without building anything",
		Long: `Looks after the ECS service that the fastship.yaml in DIR (default: this
folder) names, or the flags do, without building anything.

` + exitTable(),
	}
	return group(cmd, newDeployRun(env), newDeployStatus(env), newDeployWait(env), newDeployRollback(env), newDeployDiff(env), newDeployDoctor(env), newDeployTask(env))
}

// deployFlags are those that all verbs of fastship deploy share; what is given
// wins over the file.
type deployFlags struct {
	cluster, service, region string
	env                      string
	timeout                  time.Duration
	json                     bool
}

func (f *deployFlags) add(cmd *cobra.Command, wait bool) {
	flags := cmd.Flags()
	envFlag(cmd, &f.env)
	flags.StringVar(&f.cluster, "cluster", "", "the cluster's name or ARN, instead of deploy.cluster")
	flags.StringVar(&f.service, "service", "", "the service's name or ARN, instead of deploy.service")
	flags.StringVar(&f.region, "region", "", "the AWS region, instead of deploy.region")
	if wait {
		flags.DurationVar(&f.timeout, "timeout", 0, "how long to follow, instead of deploy.timeout")
	}
}

// steps are the rollout stages, one for each service.
func (f deployFlags) steps(env Env, args []string) ([]*rollout.Step, string, error) {
	config, deps, err := f.config(env, args)
	if err != nil {
		return nil, "", err
	}
	return rollout.Each(config, deps), config.Dir, nil
}

// config is the rollout's for DIR's fastship.yaml and the flags. --service
// chooses one of deploy.services, or another.
func (f deployFlags) config(env Env, args []string) (rollout.Config, rollout.Deps, error) {
	dir := "."
	if len(args) == 1 {
		dir = args[0]
	}
	dir, err := projectDir(dir)
	if err != nil {
		return rollout.Config{}, rollout.Deps{}, err
	}
	config, err := spec.LoadEnv(filepath.Join(dir, "fastship.yaml"), f.env, env.Getenv)
	if err != nil {
		return rollout.Config{}, rollout.Deps{}, err
	}
	f.overlay(&config.Deploy)
	c := config.Deploy
	c.Repository, c.Dir = config.Image.Repository, dir
	return c, rollout.Deps{Getenv: env.Getenv, State: road.RecordDir(dir, f.env)}, nil
}

// overlay lays the flags over the file.
func (f deployFlags) overlay(c *rollout.Config) {
	for _, given := range []struct {
		flag string
		key  *string
	}{{f.cluster, &c.Cluster}, {f.service, &c.Service}, {f.region, &c.Region}} {
		if given.flag != "" {
			*given.key = given.flag
		}
	}
	if f.service != "" {
		c.Services = chosen(c.Services, f.service)
		if len(c.Services) > 0 {
			c.Service = ""
		}
	}
	if f.timeout > 0 {
		c.Timeout = f.timeout
	}
}

// step is the first of steps: the only one, unless there are several services.
func (f deployFlags) step(env Env, args []string) (*rollout.Step, string, error) {
	steps, dir, err := f.steps(env, args)
	if err != nil {
		return nil, "", err
	}
	return steps[0], dir, nil
}

// chosen is the entry for one service, or nothing.
func chosen(services []rollout.Member, name string) []rollout.Member {
	for _, m := range services {
		if m.Service == name || deploy.ShortName(m.Service) == name {
			return []rollout.Member{m}
		}
	}
	return nil
}

// follow runs a verb that follows a rollout: its events go to the console,
// and its end is told as that of a run.
func follow(ctx context.Context, env Env, json bool, do func(context.Context, runner.Env) (rollout.Out, error)) error {
	masks := redact.New(redact.FromEnv(env.Environ)...)
	screen := newConsole(env, json, masks)
	defer screen.Close()
	start := time.Now()
	out, err := do(ctx, runner.Env{Emit: func(b runner.Body) {
		screen.Emit(runner.Event{Time: time.Now(), Stage: "rollout", Body: b})
	}})
	end := runner.RunFinished{ExitCode: exitCode(err), Seconds: time.Since(start).Seconds()}
	if err == nil {
		end.Summary = out.Summary()
		emitNow(screen, end)
		return nil
	}
	why := causeOf(err)
	end.Cause, end.Hint = strings.TrimSpace(why.line+"\n"+why.detail), why.hint
	emitNow(screen, end)
	return ended{end.ExitCode}
}
