package cli

import (
	"context"

	"github.com/fastship/fastship/internal/fault"
	"github.com/fastship/fastship/runner"
	"github.com/fastship/fastship/stages/rollout"
	"github.com/spf13/cobra"
)

func newDeployTask(env Env) *cobra.Command {
	var f deployFlags
	var image string
	cmd := &cobra.Command{
		Use:   "task [DIR] -- COMMAND...",
		Short: "Run a command once in the service's environment",
		Long: `Runs a command once: with the image, roles, network, variables and secrets of the
service, in a task of its own. It registers a throw-away revision under
FAMILY-task with the command in place of the entry point, follows the task,
prints its log as CloudWatch shows it, and deregisters the revision. Exit code 0
says that the command ended with 0. An interrupt or --timeout stops the task.`,
		Args: cobra.ArbitraryArgs,
	}
	cmd.RunE = verb(func(ctx context.Context, args []string) error {
		dash := cmd.ArgsLenAtDash()
		if dash < 0 || dash == len(args) {
			return fault.New(fault.BadInput, "write fastship deploy task -- COMMAND", "there is no command behind --")
		}
		if dash > 1 {
			return fault.New(fault.BadInput, "write the command behind --", "accepts at most 1 folder, received %d", dash)
		}
		step, _, err := f.step(env, args[:dash])
		if err != nil {
			return err
		}
		return follow(ctx, env, f.json, func(ctx context.Context, e runner.Env) (rollout.Out, error) {
			err := step.Task(ctx, e, image, args[dash:])
			return rollout.Out{}, err
		})
	})
	f.add(cmd, true)
	cmd.Flags().StringVar(&image, "image", "", "run this image instead of the service's: repository@sha256:…")
	cmd.Flags().BoolVar(&f.json, "json", false, "print events on stdout, one JSON object a line")
	return cmd
}
