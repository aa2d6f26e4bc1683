package ecstest

import (
	"fmt"
	"hash/fnv"
	"time"
)

// Timing is how long ECS takes for what it does itself. What the task takes
// (pull, start, health, shutdown) is the runtime's.
type Timing struct {
	Schedule       time.Duration // from a change to the service scheduler's reaction
	Provisioning   time.Duration // PROVISIONING: network interface, placement
	Activating     time.Duration // ACTIVATING: target registration, service discovery
	Settle         time.Duration // RUNNING until a task without any health check counts as healthy
	Draining       time.Duration // DEACTIVATING: the target group's deregistration delay; only with a load balancer
	Deprovisioning time.Duration // DEPROVISIONING: network interface
	StopTimeout    time.Duration // SIGTERM to SIGKILL for containers without stopTimeout
	Backoff        time.Duration // first wait before replacing tasks that repeatedly do not start; doubles
	BackoffMax     time.Duration
	Retention      time.Duration // how long stopped tasks are shown
	Shift          time.Duration // one shift of test or production traffic
	LogLag         time.Duration // from a line that is printed until CloudWatch Logs shows it
}

// FargateTiming returns what one sees of Fargate with a load balancer's
// defaults: the 30 s stop timeout, the 300 s deregistration delay, the back-off
// up to 27 minutes and the hour for which stopped tasks are shown are
// documented, the rest is what people measure.
func FargateTiming() Timing {
	return Timing{
		Schedule: time.Second, Provisioning: 10 * time.Second, Activating: 2 * time.Second,
		Settle: 40 * time.Second, Draining: 300 * time.Second, Deprovisioning: 10 * time.Second,
		StopTimeout: 30 * time.Second, Backoff: 15 * time.Second, BackoffMax: 27 * time.Minute,
		Retention: time.Hour, LogLag: 4 * time.Second, Shift: 10 * time.Second,
	}
}

// LocalTiming returns timing for real tasks on the machine at hand: the
// states are gone through in the same order, without a cloud's waits.
func LocalTiming() Timing {
	return Timing{
		Schedule: 20 * time.Millisecond, Provisioning: 10 * time.Millisecond, Activating: 100 * time.Millisecond,
		Settle: 2 * time.Second, Draining: time.Second, Deprovisioning: 10 * time.Millisecond,
		StopTimeout: 10 * time.Second, Backoff: 2 * time.Second, BackoffMax: 30 * time.Second,
		Retention: time.Hour, Shift: 20 * time.Millisecond,
	}
}

// jitter returns less than a millisecond, the same in every run for the same
// arguments: no two things happen at the same instant, so that what virtual
// time would leave to the goroutines' race has one order.
func jitter(name string, n int) time.Duration {
	h := fnv.New64a()
	fmt.Fprintf(h, "%s/%d", name, n)
	return time.Duration(h.Sum64() % uint64(time.Millisecond))
}
