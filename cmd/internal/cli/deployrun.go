package cli

import (
	"context"

	"github.com/fastship/fastship/cmd/internal/road"
	"github.com/fastship/fastship/internal/fault"
	"github.com/fastship/fastship/runner"
	"github.com/spf13/cobra"
)

func newDeployRun(env Env) *cobra.Command {
	var f deployFlags
	var r runFlags
	var image, from string
	cmd := &cobra.Command{
		Use:   "run [DIR]",
		Short: "Roll out an image that was built before, by its digest",
		Long: `Rolls out an image without building it: --image names it, or --from-result the
result file of the run that pushed it; without either it is the image that the
last run of this folder pushed (for that --env). Where image.repository is
another than the image's, the image is copied there first, by the same digest:
blobs that are missing, its platforms' images, and what is attached to it.

` + exitTable(),
		Args: cobra.MaximumNArgs(1),
		RunE: verb(func(ctx context.Context, args []string) error {
			dir := "."
			if len(args) == 1 {
				dir = args[0]
			}
			r.env, r.json = f.env, f.json
			return run(ctx, env, r, func(emit func(runner.Event), secret func(...string), ask asking) (road.Result, error) {
				return promote(ctx, env, f, r, dir, image, from, emit, secret, ask)
			})
		}),
	}
	f.add(cmd, true)
	flags := cmd.Flags()
	flags.StringVar(&image, "image", "", "the image: repository@sha256:…")
	flags.StringVar(&from, "from-result", "", "take the image from this result file of an earlier run")
	flags.BoolVar(&r.dryRun, "dry-run", false, "check everything, print the plan, write nothing")
	flags.BoolVar(&f.json, "json", false, "print events on stdout, one JSON object a line")
	flags.StringVar(&r.result, "result", "", "write the outcome to this file, as JSON")
	return cmd
}

func promote(ctx context.Context, env Env, f deployFlags, r runFlags, dir, image, from string, emit func(runner.Event), secret func(...string), ask asking) (road.Result, error) {
	if image != "" && from != "" {
		return road.Result{}, fault.New(fault.BadInput, "leave one of them out", "--image and --from-result do not go together")
	}
	if err := r.agree(); err != nil {
		return road.Result{}, err
	}
	opt, err := env.projectIn(dir, f.env)
	if err != nil {
		return road.Result{}, err
	}
	f.overlay(&opt.Spec.Deploy)
	opt.DryRun, opt.Secret, opt.Ask = r.dryRun, secret, ask
	promoted := road.Promotion{Image: image}
	switch {
	case from != "":
		promoted, err = road.ReadResult(from)
	case image == "":
		promoted.Image, err = road.LastImage(opt.Dir, f.env)
	}
	if err != nil {
		return road.Result{}, err
	}
	if promoted.Image == "" {
		return road.Result{}, fault.New(fault.BadInput, "give --image repository@sha256:…, or --from-result FILE", "there is no image to roll out: no run of this folder has pushed one")
	}
	return road.Promote(ctx, opt, promoted, emit)
}
