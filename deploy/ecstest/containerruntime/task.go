package containerruntime

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/fastship/fastship/deploy/ecstest"
	"github.com/fastship/fastship/internal/container"
	"golang.org/x/sync/errgroup"
)

// task is one task from its pull to its end.
type task struct {
	runtime     *Runtime
	spec        ecstest.TaskSpec
	dir         string
	records     []*record // by container
	done        chan struct{}
	stopping    chan struct{} // closed by the first Stop
	cancelStart context.CancelFunc

	reporting sync.Mutex
	tell      func(ecstest.TaskEvent)

	mu      sync.Mutex
	timeout time.Duration // of the first Stop
	stopped bool
}

// Done implements ecstest.Task.
func (t *task) Done() <-chan struct{} { return t.done }

// Stop implements ecstest.Task. It may be called from inside report.
func (t *task) Stop(timeout time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.stopped {
		return
	}
	t.stopped, t.timeout = true, timeout
	t.cancelStart()
	close(t.stopping)
}

func (t *task) report(e ecstest.TaskEvent) {
	t.reporting.Lock()
	defer t.reporting.Unlock()
	t.tell(e)
}

// live is the task's life. The end of ctx kills, the end of starting only
// stops what has not started.
func (t *task) live(ctx, starting context.Context) {
	defer t.cancelStart()
	defer func() {
		for _, r := range t.records {
			r.close()
		}
		if err := container.RemoveAll(t.dir); err != nil {
			t.log(0, "fastship", fmt.Sprintf("remove the task's directory: %v", err))
		}
	}()
	images, failure := t.pull(starting)
	defer func() {
		for _, i := range images {
			if i.release != nil {
				i.release()
			}
		}
	}()
	if failure != nil {
		t.report(*failure)
		return
	}
	var ends sync.WaitGroup
	for i := range t.spec.Containers {
		if failure = t.start(ctx, starting, i, images[i], &ends); failure != nil {
			t.Stop(0)
			break
		}
	}
	ends.Wait()
	if failure != nil {
		t.report(*failure)
	}
}

// pull gets all images side by side.
func (t *task) pull(ctx context.Context) ([]pulled, *ecstest.FailedToStart) {
	t.report(ecstest.PullStarted{})
	images := make([]pulled, len(t.spec.Containers))
	group, ctx := errgroup.WithContext(ctx)
	for i, c := range t.spec.Containers {
		group.Go(func() (err error) {
			if images[i], err = t.runtime.pull(ctx, c.Image); err != nil {
				return &pullError{c.Name, err}
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		failure := &ecstest.FailedToStart{Reason: "CannotPullContainerError: " + err.Error()}
		if e, ok := errors.AsType[*pullError](err); ok {
			failure.Container = e.container
		}
		return images, failure
	}
	digests := map[string]string{}
	for i, c := range t.spec.Containers {
		digests[c.Name] = images[i].digest
	}
	t.report(ecstest.PullStopped{Digests: digests})
	return images, nil
}

type pullError struct {
	container string
	err       error
}

func (e *pullError) Error() string { return e.err.Error() }

// start starts container i and leaves behind what follows it to its end, in
// ends.
func (t *task) start(ctx, starting context.Context, i int, image pulled, ends *sync.WaitGroup) *ecstest.FailedToStart {
	definition := t.spec.Containers[i]
	fail := func(err error) *ecstest.FailedToStart {
		t.log(i, "stderr", err.Error())
		return &ecstest.FailedToStart{Container: definition.Name, Reason: "CannotStartContainerError: " + err.Error()}
	}
	if starting.Err() != nil {
		return fail(errors.New("the task was stopped before"))
	}
	spec, err := t.containerSpec(i, image)
	if err != nil {
		return fail(err)
	}
	c, err := container.Run(ctx, spec)
	if err != nil {
		return fail(explainStart(err, image))
	}
	t.report(ecstest.Started{Container: definition.Name, PID: c.PID()})
	following, stopFollowing := context.WithCancel(context.WithoutCancel(ctx))
	var followers sync.WaitGroup
	t.follow(following, i, c, &followers)
	ended := make(chan struct{})
	go t.stopOnDemand(c, definition.StopTimeout, ended)
	ends.Go(func() {
		exit := c.Wait()
		close(ended)
		stopFollowing()
		followers.Wait()
		t.report(ecstest.Exited{Container: definition.Name, Code: exit.Code})
	})
	return nil
}

// stopOnDemand waits for Stop and ends the container, politely first.
func (t *task) stopOnDemand(c *container.Container, own time.Duration, ended chan struct{}) {
	select {
	case <-ended:
		return
	case <-t.stopping:
	}
	t.mu.Lock()
	timeout := t.timeout
	t.mu.Unlock()
	if own > 0 {
		timeout = own
	}
	c.Stop(timeout)
}

// follow starts judging container i: its own check, and the target's where it
// is the one that the load balancer, or the first mapped port, leads to.
func (t *task) follow(ctx context.Context, i int, c *container.Container, followers *sync.WaitGroup) {
	definition := t.spec.Containers[i]
	if h := definition.HealthCheck; h != nil {
		followers.Go(func() {
			check(ctx, c, *h, t.runtime.options.Probe.Interval, func(healthy bool, reason string) {
				if !healthy {
					t.log(i, "stderr", reason)
				}
				t.report(ecstest.Health{Container: definition.Name, Healthy: healthy, Reason: reason})
			})
		})
	}
	port, leads := t.port(i)
	if !leads {
		return
	}
	f, err := forward(c)
	if err != nil {
		t.report(ecstest.Health{Reason: err.Error()})
		return
	}
	followers.Go(func() {
		defer f.close()
		w := &target{
			container: c, forward: f, wanted: port, anyPort: t.runtime.options.AnyPort,
			probe: t.runtime.options.Probe, judged: t.spec.Target != nil,
			report: func(e ecstest.TaskEvent) {
				if h, ok := e.(ecstest.Health); ok && !h.Healthy {
					t.log(i, "stderr", h.Reason) // an application rarely says that itself
				}
				t.report(e)
			},
		}
		w.watch(ctx)
		<-ctx.Done()
	})
}

// port is where requests to container i go, if they go there.
func (t *task) port(i int) (int, bool) {
	definition := t.spec.Containers[i]
	if target := t.spec.Target; target != nil {
		return target.Port, target.Container == definition.Name
	}
	for n, c := range t.spec.Containers {
		if len(c.PortMappings) > 0 {
			return c.PortMappings[0].ContainerPort, n == i
		}
	}
	return 0, false
}

// containerSpec joins the image's configuration with the task definition's
// overrides, as ECS's agent does: an entry point of its own drops the image's
// command.
func (t *task) containerSpec(i int, image pulled) (container.Spec, error) {
	definition, config := t.spec.Containers[i], image.config.Config
	entrypoint, command := config.Entrypoint, config.Cmd
	if definition.EntryPoint != nil {
		entrypoint, command = definition.EntryPoint, nil
	}
	if definition.Command != nil {
		command = definition.Command
	}
	args := slices.Concat(entrypoint, command)
	if len(args) == 0 {
		return container.Spec{}, errors.New("no command specified: neither the image nor the task definition has one")
	}
	scratch := filepath.Join(t.dir, definition.Name)
	if err := os.Mkdir(scratch, 0o755); err != nil {
		return container.Spec{}, err
	}
	return container.Spec{
		Layers: image.trees, Scratch: scratch, Args: args,
		Env:  environment(config.Env, definition.Environment),
		Dir:  orString(definition.WorkingDirectory, config.WorkingDir),
		User: orString(definition.User, config.User), Hostname: "ip-" + t.spec.ID[:min(12, len(t.spec.ID))],
		ReadonlyRoot: definition.ReadonlyRoot,
		Stdout:       func(line string) { t.log(i, "stdout", line) },
		Stderr:       func(line string) { t.log(i, "stderr", line) },
	}, nil
}

func orString(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

// environment lays the definition's variables over the image's.
func environment(image []string, definition map[string]string) []string {
	env := slices.DeleteFunc(slices.Clone(image), func(kv string) bool {
		return slices.ContainsFunc(slices.Collect(maps.Keys(definition)), func(key string) bool {
			return len(kv) > len(key) && kv[:len(key)+1] == key+"="
		})
	})
	for _, key := range slices.Sorted(maps.Keys(definition)) {
		env = append(env, key+"="+definition[key])
	}
	return env
}

// explainStart names what does not fit where a program is for another machine.
func explainStart(err error, image pulled) error {
	have, want := image.config.Architecture, runtime.GOARCH
	if e, ok := errors.AsType[*container.StartError](err); ok && e.Text == syscall.ENOEXEC.Error() && have != "" && have != want {
		return fmt.Errorf("%w: the image is for linux/%s, this machine is linux/%s", err, have, want)
	}
	return err
}

func (t *task) log(i int, stream, line string) {
	t.records[i].add(line)
	if log := t.runtime.options.Log; log != nil {
		log(t.spec.ID, t.spec.Containers[i].Name, stream, line)
	}
}
