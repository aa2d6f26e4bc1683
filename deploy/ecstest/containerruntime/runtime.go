// Package containerruntime is an ecstest.TaskRuntime that really runs tasks:
// it pulls their images from a registry, unpacks each layer once, and runs the
// containers in Linux namespaces on this machine.
//
// It differs from Fargate where one machine is not a cloud: the containers of
// a task do not share a network, nothing is reachable from inside, there are
// no limits of memory and processor, and secrets are not resolved.
package containerruntime

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/fastship/fastship/cache"
	"github.com/fastship/fastship/deploy/ecstest"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// Options say where a Runtime works. Cache and Dir are required.
type Options struct {
	// Cache keeps the unpacked layers.
	Cache cache.LocalStore
	// Dir is an existing directory for what running tasks write; each task
	// has a directory of its own in it, which goes when the task has ended.
	Dir string
	// AnyPort sends requests to whatever port the application opened when
	// nothing listens on the target's.
	AnyPort bool
	// Probe says how targets are judged.
	Probe Probe
	// Log, when not nil, receives every line of every container as it comes.
	Log func(task, container, stream, line string)
	// Transport reaches registries; nil: the registry library's default.
	Transport http.RoundTripper
}

// Runtime runs tasks. Its methods may be called concurrently.
type Runtime struct {
	options Options

	mu      sync.Mutex
	records map[recordKey]*record
	tasks   []string // with records, oldest first
	alive   map[*task]struct{}
	closed  bool
}

type recordKey struct{ task, container string }

// keptTasks bounds how many tasks' output is remembered.
const keptTasks = 100

// New makes a Runtime.
func New(o Options) *Runtime {
	o.Probe = o.Probe.withDefaults()
	if o.Transport == nil {
		o.Transport = remote.DefaultTransport
	}
	return &Runtime{options: o, records: map[recordKey]*record{}, alive: map[*task]struct{}{}}
}

// Start implements ecstest.TaskRuntime.
func (r *Runtime) Start(ctx context.Context, spec ecstest.TaskSpec, report func(ecstest.TaskEvent)) (ecstest.Task, error) {
	if len(spec.Containers) == 0 {
		return nil, errors.New("the task has no containers")
	}
	dir := filepath.Join(r.options.Dir, spec.ID)
	if err := os.Mkdir(dir, 0o755); err != nil {
		return nil, fmt.Errorf("make the task's directory: %w", err)
	}
	starting, cancel := context.WithCancel(ctx)
	t := &task{
		runtime: r, spec: spec, dir: dir, done: make(chan struct{}), stopping: make(chan struct{}),
		cancelStart: cancel, tell: report,
	}
	if err := r.register(t); err != nil {
		cancel()
		return nil, errors.Join(err, os.Remove(dir))
	}
	for _, c := range spec.Containers {
		t.records = append(t.records, r.newRecord(spec.ID, c.Name, dir))
	}
	go func() {
		t.live(ctx, starting)
		r.mu.Lock()
		delete(r.alive, t)
		r.mu.Unlock()
		close(t.done)
	}()
	return t, nil
}

func (r *Runtime) register(t *task) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return errors.New("the machine is shutting down")
	}
	r.alive[t] = struct{}{}
	return nil
}

// Shutdown stops every task as Stop would, starts no more, and waits for their
// ends or for that of ctx.
func (r *Runtime) Shutdown(ctx context.Context, timeout time.Duration) {
	r.mu.Lock()
	r.closed = true
	alive := slices.Collect(maps.Keys(r.alive))
	r.mu.Unlock()
	for _, t := range alive {
		t.Stop(timeout)
	}
	for _, t := range alive {
		select {
		case <-t.done:
		case <-ctx.Done():
			return
		}
	}
}

// Logs returns the last lines that a container of a task printed, also after
// its end; nil when neither is known.
func (r *Runtime) Logs(task, container string) []string {
	r.mu.Lock()
	record := r.records[recordKey{task, container}]
	r.mu.Unlock()
	if record == nil {
		return nil
	}
	return record.last()
}

func (r *Runtime) newRecord(task, container, dir string) *record {
	file, _ := os.Create(filepath.Join(dir, container+".log")) // without it there is still the memory
	added := &record{file: file}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.records[recordKey{task, container}] = added
	if !slices.Contains(r.tasks, task) {
		r.tasks = append(r.tasks, task)
	}
	for len(r.tasks) > keptTasks {
		for key := range r.records {
			if key.task == r.tasks[0] {
				delete(r.records, key)
			}
		}
		r.tasks = r.tasks[1:]
	}
	return added
}
