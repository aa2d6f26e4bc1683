package cli

import (
	"cmp"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/fastship/fastship/cmd/internal/console"
	"github.com/fastship/fastship/cmd/internal/road"
	"github.com/fastship/fastship/cmd/internal/spec"
	"github.com/fastship/fastship/internal/ci"
	"github.com/fastship/fastship/internal/fault"
	"github.com/fastship/fastship/internal/redact"
	"github.com/fastship/fastship/runner"
	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// runFlags are the flags of fastship run.
type runFlags struct {
	dryRun, sandbox, keep, force, explain, json bool
	from, until, result, env                    string

	// change adapts the options to another verb that takes the road; nil for
	// run itself.
	change func(context.Context, *road.Options) error
}

func newRun(env Env) *cobra.Command {
	var f runFlags
	cmd := &cobra.Command{
		Use:   "run [DIR]",
		Short: "Build, push and roll out the service in DIR",
		Long: `Takes the project in DIR (default: this folder) along the whole road:
source → maven → image → push → rollout.

Without a fastship.yaml the image ends in an OCI layout in DIR/.fastship/image.
With image.repository it is pushed; with deploy.service it is rolled out.
--env NAME takes both from that environment of fastship.yaml (envs).
--sandbox brings its own registry and its own ECS on this machine, which really
runs the image: the whole road without an AWS account.

` + exitTable(),
		Args: cobra.MaximumNArgs(1),
		RunE: verb(func(ctx context.Context, args []string) error {
			dir := "."
			if len(args) == 1 {
				dir = args[0]
			}
			return run(ctx, env, f, func(emit func(runner.Event), secret func(...string), ask asking) (road.Result, error) {
				return runRoad(ctx, env, f, dir, emit, secret, ask)
			})
		}),
	}
	flags := cmd.Flags()
	flags.BoolVar(&f.dryRun, "dry-run", false, "check everything, print every stage's plan, write nothing")
	flags.BoolVar(&f.sandbox, "sandbox", false, "push to a registry and roll out on an ECS of this process, which runs the image")
	flags.BoolVar(&f.keep, "keep", false, "with --sandbox: go on serving until Ctrl-C; a second run rolls over to its image")
	flags.BoolVar(&f.force, "force", false, "do the work again though the cache knows its result")
	flags.BoolVar(&f.explain, "explain", false, "say what changed since the last run, or why Maven runs all the same")
	flags.BoolVar(&f.json, "json", false, "print events on stdout, one JSON object a line")
	flags.StringVar(&f.from, "from", "", "begin with this stage, on the recorded outputs of the last run")
	flags.StringVar(&f.until, "until", "", "end with this stage")
	flags.StringVar(&f.result, "result", "", "write the outcome to this file, as JSON")
	envFlag(cmd, &f.env)
	for _, name := range []string{"from", "until"} {
		_ = cmd.RegisterFlagCompletionFunc(name, cobra.FixedCompletions(road.StageNames(), cobra.ShellCompDirectiveNoFileComp)) // fails only for an unknown flag
	}
	return cmd
}

// asking asks a person a question that has a yes or no; nil where nobody is.
type asking = func(ctx context.Context, question string) bool

// run makes the console, takes the road, and tells how it ended in every form
// that was asked for.
func run(ctx context.Context, env Env, f runFlags, take func(emit func(runner.Event), secret func(...string), ask asking) (road.Result, error)) error {
	masks := redact.New(redact.FromEnv(env.Environ)...)
	screen := newConsole(env, f.json, masks)
	defer screen.Close()
	start := time.Now()
	var ask asking
	if !f.json {
		ask = env.asker(func(question string) { emitNow(screen, runner.Note{Text: question}) })
	}
	result, err := take(screen.Emit, masks.Add, ask)
	result.ExitCode, result.Seconds = exitCode(err), time.Since(start).Seconds()
	var why cause
	if err != nil {
		why = causeOf(err)
		result.Cause, result.Hint = why.line, why.hint
		for _, other := range why.others {
			emitNow(screen, runner.Warning{Text: other})
		}
	}
	if f.result != "" && !f.dryRun {
		if writeErr := result.Write(f.result, masks.String); writeErr != nil {
			emitNow(screen, runner.Warning{Text: writeErr.Error()})
			if err == nil {
				err, result.ExitCode, result.Cause = writeErr, exitCode(writeErr), writeErr.Error()
			}
		}
	}
	end := runner.RunFinished{
		ExitCode: result.ExitCode, Seconds: result.Seconds,
		Cause: strings.TrimSpace(result.Cause + "\n" + why.detail), Hint: result.Hint,
	}
	if err == nil {
		end.Summary = result.Summary(f.dryRun)
	}
	emitNow(screen, end)
	if err == nil {
		return nil
	}
	return ended{result.ExitCode}
}

func emitNow(screen *console.Console, body runner.Body) {
	screen.Emit(runner.Event{Time: time.Now(), Body: body})
}

// agree refuses flags that do not go together.
func (f runFlags) agree() error {
	if f.keep && !f.sandbox {
		return fault.New(fault.BadInput, "add --sandbox", "--keep goes with --sandbox")
	}
	if f.dryRun && f.result != "" {
		return fault.New(fault.BadInput, "leave one of them out", "--dry-run writes nothing, so there is no --result")
	}
	return nil
}

func runRoad(ctx context.Context, env Env, f runFlags, dir string, emit func(runner.Event), secret func(...string), ask asking) (road.Result, error) {
	if err := f.agree(); err != nil {
		return road.Result{}, err
	}
	opt, err := env.projectIn(dir, f.env)
	if err != nil {
		return road.Result{}, err
	}
	opt.DryRun, opt.Sandbox, opt.Keep, opt.Force, opt.Explain = f.dryRun, f.sandbox, f.keep, f.force, f.explain
	opt.From, opt.Until, opt.Secret, opt.Ask = f.from, f.until, secret, ask
	if f.change != nil {
		if err := f.change(ctx, &opt); err != nil {
			return road.Result{}, err
		}
	}
	return road.Run(ctx, opt, emit)
}

// project is projectIn without an environment of fastship.yaml.
func (e Env) project(dir string) (road.Options, error) { return e.projectIn(dir, "") }

// projectIn are the options that a project's folder, one of its environments
// and the process's variables give.
func (e Env) projectIn(dir, env string) (road.Options, error) {
	dir, err := projectDir(dir)
	if err != nil {
		return road.Options{}, err
	}
	config, err := spec.LoadEnv(filepath.Join(dir, "fastship.yaml"), env, e.Getenv)
	if err != nil {
		return road.Options{}, err
	}
	settings, err := e.settings()
	if err != nil {
		return road.Options{}, err
	}
	config.Cache.Store = cmp.Or(settings.store, config.Cache.Store)
	return road.Options{
		Dir: dir, Spec: config, Environ: e.Environ, Home: settings.home,
		CacheDir: settings.cacheDir, CacheBytes: settings.cacheBytes, CI: ci.Detect(e.Getenv),
	}, nil
}

func projectDir(dir string) (string, error) {
	absolute, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	info, err := os.Stat(absolute)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return "", fault.New(fault.BadInput, "name the folder that holds pom.xml", "no folder %s", absolute)
	case err != nil:
		return "", fault.As(fault.BadInput, err)
	case !info.IsDir():
		return "", fault.New(fault.BadInput, "name the folder that holds pom.xml", "%s is not a folder", absolute)
	}
	return absolute, nil
}

func newConsole(env Env, json bool, masks *redact.Redactor) *console.Console {
	mode := console.Plain
	if json {
		mode = console.JSON
	}
	options := console.Options{Out: env.Stdout, Err: env.Stderr, Mode: mode, Redact: masks.String}
	if file, ok := env.Stderr.(*os.File); ok && term.IsTerminal(int(file.Fd())) {
		options.TTY = true
		options.Width = func() int {
			width, _, err := term.GetSize(int(file.Fd()))
			if err != nil {
				return 80
			}
			return width
		}
	}
	return console.New(options)
}
