package ecstest

import (
	"context"
	"sync"
	"time"
)

// Options says what a Double is made of. Runtime is required.
type Options struct {
	Runtime TaskRuntime
	Region  string  // default us-east-1
	Account string  // default 123456789012
	Timing  Timing  // zero: FargateTiming
	Limits  []Limit // over them ThrottlingException is the answer; nil: none
	// TargetGroups are those whose settings are not the defaults.
	TargetGroups []TargetGroup
	// Hook says how the function of a lifecycle hook (its ARN) ends at a
	// stage. nil: all succeed after a second.
	Hook   func(stage, target string) HookResult
	MaxLag time.Duration // how far back Fault.Lag may reach; 0: no lagging reads
}

// Double is an ECS control plane of one account in one region. It is an
// http.Handler; all methods are safe for concurrent use.
type Double struct {
	region, account string
	timing          Timing
	runtime         TaskRuntime
	maxLag          time.Duration
	hook            func(stage, target string) HookResult
	ctx             context.Context // the tasks' life: it must outlive the call that starts them
	cancel          context.CancelFunc

	mu       sync.Mutex
	closed   bool
	world    *world
	past     []snapshot // oldest first, only with maxLag
	tasks    map[string]Task
	timers   map[*time.Timer]struct{}
	waking   map[serviceKey]bool
	ticks    int
	effects  []func() // calls into the runtime, made after unlocking
	running  sync.WaitGroup
	watchers map[serviceKey]*watcher
	changed  chan struct{} // closed at the next change
	calls    []Call
	counts   map[string]int
	fault    func(op string, n int) Fault
	limits   map[string]*bucket // by operation
	logs     map[logStream][]logLine
	groups   map[string]*TargetGroup // by ARN
	alarms   map[string]bool         // those in the state ALARM
}

// New makes a Double. The default cluster "default" exists from the start.
// Close it when done.
func New(o Options) *Double {
	if o.Region == "" {
		o.Region = "us-east-1"
	}
	if o.Account == "" {
		o.Account = "123456789012"
	}
	if o.Timing == (Timing{}) {
		o.Timing = FargateTiming()
	}
	ctx, cancel := context.WithCancel(context.Background())
	d := &Double{
		region: o.Region, account: o.Account, timing: o.Timing, runtime: o.Runtime,
		maxLag: o.MaxLag, hook: o.Hook, ctx: ctx, cancel: cancel,
		world:    newWorld(),
		tasks:    map[string]Task{},
		timers:   map[*time.Timer]struct{}{},
		waking:   map[serviceKey]bool{},
		watchers: map[serviceKey]*watcher{},
		changed:  make(chan struct{}),
		counts:   map[string]int{},
		limits:   buckets(o.Limits),
		logs:     map[logStream][]logLine{},
		groups:   map[string]*TargetGroup{},
		alarms:   map[string]bool{},
	}
	for _, g := range o.TargetGroups {
		g = g.withDefaults(o.Timing.Draining)
		d.groups[g.ARN] = &g
	}
	d.do(func() { d.world.clusters["default"] = &cluster{name: "default", status: "ACTIVE"} })
	return d
}

// Close ends every task at once and returns when nothing of them is left.
// The Double goes on answering, but nothing moves any more.
func (d *Double) Close() error {
	d.mu.Lock()
	d.closed = true
	for t := range d.timers {
		t.Stop()
	}
	clear(d.timers)
	d.mu.Unlock()
	d.cancel()
	d.running.Wait()
	return nil
}

// do runs f with the state locked, then what f asked of the runtime without
// the lock: a runtime may report from inside Start and Stop.
func (d *Double) do(f func()) {
	d.mu.Lock()
	f()
	d.settle()
	effects := d.effects
	d.effects = nil
	d.mu.Unlock()
	for _, e := range effects {
		e()
	}
}

// after runs f, locked, once wait has gone by, unless the Double is closed
// by then. It is called with the lock held.
func (d *Double) after(wait time.Duration, f func()) {
	if d.closed {
		return
	}
	d.ticks++
	var t *time.Timer
	t = time.AfterFunc(max(wait, 0)+jitter("double", d.ticks), func() {
		d.do(func() {
			delete(d.timers, t)
			if !d.closed {
				f()
			}
		})
	})
	d.timers[t] = struct{}{}
}

// settle ends each change of the state: it keeps the past for lagging reads
// and tells those who wait.
func (d *Double) settle() {
	close(d.changed)
	d.changed = make(chan struct{})
	if d.maxLag > 0 {
		d.remember()
	}
	d.announceRoutes()
}
