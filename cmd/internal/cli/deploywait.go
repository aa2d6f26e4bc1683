package cli

import (
	"context"
	"strings"

	"github.com/fastship/fastship/internal/fault"
	"github.com/fastship/fastship/runner"
	"github.com/fastship/fastship/stages/rollout"
	"github.com/spf13/cobra"
)

func newDeployWait(env Env) *cobra.Command {
	var f deployFlags
	cmd := &cobra.Command{
		Use:   "wait [DIR]",
		Short: "Follow what goes on in the service to its end, and change nothing",
		Args:  cobra.MaximumNArgs(1),
		RunE: verb(func(ctx context.Context, args []string) error {
			steps, _, err := f.steps(env, args)
			if err != nil {
				return err
			}
			return follow(ctx, env, f.json, func(ctx context.Context, e runner.Env) (rollout.Out, error) {
				return rollout.ForEach(ctx, e, steps, (*rollout.Step).Wait)
			})
		}),
	}
	f.add(cmd, true)
	cmd.Flags().BoolVar(&f.json, "json", false, "print events on stdout, one JSON object a line")
	return cmd
}

func newDeployRollback(env Env) *cobra.Command {
	var f deployFlags
	var to string
	cmd := &cobra.Command{
		Use:   "rollback [DIR]",
		Short: "Go back to the last steady revision, or to one of your choice",
		Long: `Goes back to the last revision that was steady, by ECS's history of the
service's deployments, and follows that to its end. A rollout that goes on is
rolled back by ECS itself. Exit code 0 says that the service runs that revision
steadily.`,
		Args: cobra.MaximumNArgs(1),
		RunE: verb(func(ctx context.Context, args []string) error {
			config, deps, err := f.config(env, args)
			if err != nil {
				return err
			}
			if n := len(config.Services); to != "" && n > 1 && !strings.HasPrefix(to, "sha256:") {
				return fault.New(fault.BadInput, "add --service NAME, or give --to the image's digest", "--to %s is a revision of one service, and there are %d", to, n)
			}
			if f.service != "" && len(config.Services) > 0 {
				config.Schedules = nil // which may start what the others run
			}
			return follow(ctx, env, f.json, func(ctx context.Context, e runner.Env) (rollout.Out, error) {
				return rollout.Rollback(ctx, e, config, deps, to)
			})
		}),
	}
	f.add(cmd, true)
	cmd.Flags().StringVar(&to, "to", "", "a revision (7, web:7 or an ARN), or the digest (sha256:…) of an image that the service ran")
	cmd.Flags().BoolVar(&f.json, "json", false, "print events on stdout, one JSON object a line")
	return cmd
}
