package road

import (
	"context"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"time"

	"github.com/fastship/fastship/cache"
	"github.com/fastship/fastship/cmd/internal/sandbox"
	"github.com/fastship/fastship/deploy"
	"github.com/fastship/fastship/deploy/ecs"
	"github.com/fastship/fastship/internal/awsconf"
	"github.com/fastship/fastship/internal/webpaths"
	"github.com/fastship/fastship/runner"
	"github.com/fastship/fastship/stages/push"
	"github.com/fastship/fastship/stages/rollout"
)

const (
	sandboxPoll    = 100 * time.Millisecond // nobody throttles on loopback
	sandboxTimeout = 3 * time.Minute        // for slow applications on small machines
	answerTimeout  = 30 * time.Second
	maxAsked       = 20 // paths, when / is not mapped
)

// place is where a sandbox run pushes to and rolls out on: a sandbox of this
// process, or the one that another run keeps serving in the same project.
type place struct {
	opt    Options
	memory *cache.Cache
	tell   func(runner.Body)

	own  *sandbox.Sandbox // nil in a run on another's
	seen *sandbox.Remote  // nil before open
}

func (p *place) dir() string { return filepath.Join(p.opt.stateDir(), "sandbox") }

// open finds the sandbox that is being served, or starts one.
func (p *place) open(ctx context.Context) error {
	kept, err := sandbox.Find(p.dir())
	if err != nil {
		return err
	}
	if kept != nil {
		p.seen = kept
		return nil
	}
	p.own, err = sandbox.Start(ctx, sandbox.Config{
		Dir: p.dir(), App: filepath.Base(p.opt.Dir), Cache: p.memory, Keep: p.opt.Keep,
		Emit: func(body runner.Body) { p.tell(body) },
	})
	if err != nil {
		return err
	}
	p.seen = p.own.Remote
	return nil
}

// close ends the sandbox of this process, if there is one.
func (p *place) close(ctx context.Context) {
	if p.own == nil {
		return
	}
	if err := p.own.Close(ctx); err != nil {
		p.tell(runner.Warning{Text: "close the sandbox: " + err.Error()})
	}
}

func (p *place) pushStep() runner.Step[push.In, push.Out] {
	return late[push.In, push.Out]{
		name:  stagePush,
		plans: []string{"push to a registry of this process"},
		check: sandbox.Check,
		make: func() runner.Step[push.In, push.Out] {
			config := p.opt.Spec.Image.Push()
			config.Repository = p.seen.Repository()
			config.Create, config.Scan, config.Files = false, push.Scan{}, push.Files{} // it is no ECR, and its name nobody else's
			return push.New(config, push.Deps{})
		},
	}
}

func (p *place) rolloutStep() runner.Step[rollout.In, rollout.Out] {
	return late[rollout.In, rollout.Out]{
		name:  stageRollout,
		plans: []string{"roll out on an ECS of this process, which runs the image", "show the first answer"},
		check: func(context.Context) error { return nil }, // the push's check is the sandbox's
		make: func() runner.Step[rollout.In, rollout.Out] {
			config := rollout.Config{
				Cluster: p.seen.Cluster(), Service: p.seen.Service(), Container: p.seen.Container(),
				Timeout: p.opt.Spec.Deploy.Timeout, Rollback: p.opt.Spec.Deploy.Rollback, WaitFor: p.opt.Spec.Deploy.WaitFor, Repository: p.seen.Repository(),
			}
			if config.Timeout == 0 {
				config.Timeout = sandboxTimeout
			}
			return rollout.New(config, rollout.Deps{
				PollEvery: sandboxPoll,
				Logs:      p.seen.Logs,
				Ask:       p.opt.Ask,
				Connect: func(context.Context, string) (deploy.API, error) {
					return ecs.New(awsconf.Local(p.seen.Endpoint(), p.seen.Region())), nil
				},
			})
		},
	}
}

// answer asks the application for its first answer and, with --keep, goes on
// serving until ctx ends. Where / is not mapped, it asks for the paths that
// are.
func (p *place) answer(ctx context.Context, jar *Jar) (*Answer, error) {
	limited, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	first, err := p.seen.FirstAnswer(limited)
	if err != nil {
		return nil, err
	}
	p.show(first)
	if first.Status >= http.StatusBadRequest {
		if mapped, ok := p.mapped(limited, jar); ok {
			first = mapped
			p.show(first)
		}
	}
	if p.own != nil && p.opt.Keep {
		p.tell(runner.Note{Text: "serving " + p.seen.URL() + "/ until Ctrl-C; ECS is at " + p.seen.Endpoint() + " (cluster " + p.seen.Cluster() + ", service " + p.seen.Service() + ")"})
		<-ctx.Done()
	}
	return &Answer{URL: first.Address, Status: first.Status, Seconds: first.Took.Seconds()}, nil
}

func (p *place) show(a sandbox.Answer) {
	line, _, _ := strings.Cut(strings.TrimSpace(a.Body), "\n")
	p.tell(runner.Note{Text: fmt.Sprintf("GET %s answers %d in %.2f s: %s", a.Address, a.Status, a.Took.Seconds(), line)})
}

// mapped asks for the paths that the application's jar says it answers on,
// until one gives 200.
func (p *place) mapped(ctx context.Context, jar *Jar) (sandbox.Answer, bool) {
	if jar == nil {
		return sandbox.Answer{}, false
	}
	paths := webpaths.OfJar(jar.Path)
	for _, path := range paths[:min(len(paths), maxAsked)] {
		a, err := p.seen.Get(ctx, path)
		if err != nil {
			return sandbox.Answer{}, false
		}
		if a.Status == http.StatusOK {
			return a, true
		}
	}
	return sandbox.Answer{}, false
}
