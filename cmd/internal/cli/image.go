package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/fastship/fastship/cmd/internal/road"
	"github.com/fastship/fastship/cmd/internal/spec"
	"github.com/fastship/fastship/internal/fault"
	"github.com/fastship/fastship/runner"
	"github.com/spf13/cobra"
)

func newImageVerbs(env Env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "image",
		Short: "Build an image alone, or look into one",
		Long:  "Builds an image without deploying it, or looks into one that is there.\n\n" + exitTable(),
	}
	return group(cmd, newImageBuild(env), newImageInspect(env))
}

// imageBuildFlags are those of fastship image build.
type imageBuildFlags struct {
	run     runFlags
	outputs []string
}

func newImageBuild(env Env) *cobra.Command {
	var f imageBuildFlags
	cmd := &cobra.Command{
		Use:   "build [DIR|JAR]",
		Short: "Make an image of a project, or of a jar without Maven",
		Long: `Makes an image of the project in DIR (default: this folder): source → maven →
image. Of a JAR that is there already, it needs no Maven: the image is made by
the fastship.yaml of this folder, if there is one, and has no commit.

The image is in .fastship/image, an OCI layout, and where --output says, which
replaces image.outputs and may be given several times:
  layout=DIR          another OCI layout
  archive=FILE        a docker-archive, for docker load
  engine=NAME[:TAG]   the local Docker engine
  registry[=REPOSITORY[:TAG]]  a push; by default to image.repository

` + exitTable(),
		Args: cobra.MaximumNArgs(1),
		RunE: verb(func(ctx context.Context, args []string) error {
			return f.build(ctx, env, args)
		}),
	}
	flags := cmd.Flags()
	flags.StringArrayVarP(&f.outputs, "output", "o", nil, "where the image goes, as KIND=PLACE")
	flags.BoolVar(&f.run.dryRun, "dry-run", false, "check everything, print every stage's plan, write nothing")
	flags.BoolVar(&f.run.force, "force", false, "do the work again though the cache knows its result")
	flags.BoolVar(&f.run.json, "json", false, "print events on stdout, one JSON object a line")
	flags.StringVar(&f.run.result, "result", "", "write the outcome to this file, as JSON")
	envFlag(cmd, &f.run.env)
	return cmd
}

func (f imageBuildFlags) build(ctx context.Context, env Env, args []string) error {
	dir, jar := ".", ""
	if len(args) == 1 {
		dir = args[0]
		info, err := os.Stat(dir)
		switch {
		case err == nil && info.Mode().IsRegular():
			dir, jar = ".", args[0]
		case err == nil && !info.IsDir():
			return fault.New(fault.BadInput, "name a jar, or the folder of a project", "%s is neither a file nor a folder", dir)
		case errors.Is(err, fs.ErrNotExist) && (filepath.Ext(dir) == ".jar" || filepath.Ext(dir) == ".war"):
			return fault.New(fault.BadInput, "build it first, or name the project's folder, and fastship builds it", "no file %s", dir)
		case err != nil && !errors.Is(err, fs.ErrNotExist):
			return fault.New(fault.BadInput, "name a jar, or the folder of a project", "%w", err)
		}
	}
	f.run.change = func(ctx context.Context, opt *road.Options) error {
		if err := f.direct(opt); err != nil || jar == "" {
			return err
		}
		path, err := filepath.Abs(jar)
		if err != nil {
			return err
		}
		if err := opt.TakeJar(ctx, path); err != nil {
			if hint := fault.HintOf(err); fault.ClassOf(err) == fault.ImageFailed { // seen before any work
				return fault.New(fault.BadInput, hint, "%w", unclassed{err})
			}
			return err
		}
		return nil
	}
	return run(ctx, env, f.run, func(emit func(runner.Event), secret func(...string), ask asking) (road.Result, error) {
		return runRoad(ctx, env, f.run, dir, emit, secret, ask)
	})
}

// unclassed hides an error's class, whose text stays.
type unclassed struct{ err error }

func (u unclassed) Error() string { return u.err.Error() }

// direct makes the road end where --output says.
func (f imageBuildFlags) direct(opt *road.Options) error {
	s := opt.Spec
	if len(f.outputs) > 0 {
		named := s.Image.Outputs
		s.Image.Outputs = spec.Outputs{ImageDefinitions: named.ImageDefinitions, ImageDetail: named.ImageDetail}
	}
	push := false
	for _, output := range f.outputs {
		kind, place, _ := strings.Cut(output, "=")
		if place == "" && kind != "registry" {
			return fault.New(fault.BadInput, "write layout=DIR, archive=FILE, engine=NAME:TAG or registry=REPOSITORY", "--output %q names no place", output)
		}
		var err error
		switch kind {
		case "layout":
			opt.CopyLayout, err = filepath.Abs(place)
		case "archive":
			s.Image.Outputs.Archive, err = filepath.Abs(place)
		case "engine":
			s.Image.Outputs.Engine = place
		case "registry":
			push = true
			err = toRegistry(s, place)
		default:
			return fault.New(fault.BadInput, "write layout=DIR, archive=FILE, engine=NAME:TAG or registry=REPOSITORY", "--output %q: no such kind of place: %q", output, kind)
		}
		if err != nil {
			return err
		}
	}
	if push {
		opt.Until = "push"
		if s.Image.Repository == "" {
			return fault.New(fault.BadInput, "write --output registry=HOST/NAME, or set image.repository", "--output registry names no repository, and fastship.yaml neither")
		}
		return nil
	}
	// What names a pushed image, and what deploys it, is not this run's.
	opt.Until, opt.Whole = "image", true
	s.Image.Outputs.ImageDefinitions, s.Image.Outputs.ImageDetail = "", ""
	s.Deploy.Service, s.Deploy.Services = "", nil
	return nil
}

// toRegistry replaces image.repository, and image.tags where the place has a
// tag.
func toRegistry(s *spec.Spec, place string) error {
	if place == "" {
		return nil
	}
	s.Image.Repository = place
	if colon := strings.LastIndexByte(place, ':'); colon > strings.LastIndexByte(place, '/') {
		s.Image.Repository, s.Image.Tags = place[:colon], []string{place[colon+1:]}
		if err := spec.CheckTag(s.Image.Tags[0]); err != nil {
			return fmt.Errorf("--output registry: %w", err)
		}
	}
	if err := spec.CheckRepository(s.Image.Repository); err != nil {
		return fmt.Errorf("--output registry: %w", err)
	}
	return nil
}
