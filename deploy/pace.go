package deploy

import "time"

// The budget of calls: at most 100 in any five minutes, those before the wait
// included. AWS refills 20 DescribeServices a second for a whole account.
const (
	callBurst  = 16
	callRefill = 0.2 // a second
)

// How long between two looks: soon where more is to be expected (new tasks come
// up, something has happened) and the budget allows it, else so that an end is
// known within 5 s.
const (
	soonest   = 2550 * time.Millisecond
	soon      = 2850 * time.Millisecond
	later     = 4300 * time.Millisecond
	latest    = 4800 * time.Millisecond
	verySoon  = time.Second     // the second task of an unhealable failure is due
	crowded   = 9 * time.Second // at most, after a look that ECS throttled in spite of the SDK's own retries
	beginning = time.Minute
	closing   = 20 * time.Second // after the last task that is replaced has gone
	attention = 75 * time.Second // after each surprise: two checks of a target group that fail, and more
)

// budget is a bucket of calls.
type budget struct {
	calls  float64
	filled time.Time
	refill float64 // a second; 0: callRefill
}

// take fills the bucket up to now and takes n calls out of it, into debt if
// need be.
func (b *budget) take(now time.Time, n int) {
	rate := b.refill
	if rate == 0 {
		rate = callRefill
	}
	b.calls = min(callBurst, b.calls+now.Sub(b.filled).Seconds()*rate)
	b.calls, b.filled = b.calls-float64(n), now
}

// spent reports whether only what decides the outcome is worth a call.
func (b *budget) spent() bool { return b.calls < -4 }

// spend accounts for what the next look costs.
func (f *Follower) spend(now time.Time, a Ask) {
	n := 0
	for _, asked := range []bool{a.Service, a.Deployments, a.Deployments && a.DeploymentARN == "", a.Tasks.StartedBy != "", a.Tasks.Listed, a.Tasks.Stopped} {
		if asked {
			n++
		}
	}
	f.budget.take(now, n)
}

// pace is the time to the next look.
func (f *Follower) pace(now time.Time) time.Duration {
	if f.opt.PollEvery > 0 {
		return f.opt.PollEvery
	}
	low, high := later, latest
	ours, _ := f.ours()
	expecting := now.Sub(f.start) < beginning || f.forward() && !ours.whole() || !f.stirred.IsZero() && now.Sub(f.stirred) < attention
	switch {
	case f.failures.suspicious() && now.Sub(f.stirred) < beginning && !f.asked:
		low, high = verySoon, verySoon
	case !f.nearEnd.IsZero() && now.Sub(f.nearEnd) < closing:
		low, high = soonest, soon
	case f.budget.calls < 0:
		low = latest
	case expecting:
		low, high = soonest, soon
	}
	return low + time.Duration(f.opt.Jitter()*float64(high-low))
}
