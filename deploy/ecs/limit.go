package ecs

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/smithy-go/middleware"

	"github.com/fastship/fastship/internal/pause"
)

// limiter keeps the calls of one client within a share of what ECS grants to
// an account and region ("Request throttling for the Amazon ECS API"), so that
// hundreds of rollouts side by side are slowed down here and throttled
// nowhere. A single rollout never waits for it.
type limiter struct {
	mu      sync.Mutex
	buckets map[string]*bucket // by operation; those not in it are free
}

// bucket is a token bucket that operations share.
type bucket struct {
	burst, refill float64 // calls, and calls a second
	tokens        float64 // below 0: as many calls wait
	filled        time.Time
}

// newLimiter takes half of each burst and 45 % of each refill; others deploy in
// the account, too. Registering is the exception: at one a second, half would
// double the time of a fleet.
func newLimiter() *limiter {
	const burst, refill = 0.5, 0.45
	l := &limiter{buckets: map[string]*bucket{}}
	for _, b := range []struct {
		bucket
		operations []string
	}{
		{bucket{burst: 100 * burst, refill: 20 * refill}, []string{"DescribeServices", "ListServices", "DescribeClusters", "ListClusters"}},
		{bucket{burst: 100 * burst, refill: 20 * refill}, []string{"DescribeTasks", "ListTasks"}},
		{bucket{burst: 50 * burst, refill: 20 * refill}, []string{"ListServiceDeployments", "DescribeServiceDeployments", "DescribeServiceRevisions"}},
		{bucket{burst: 90, refill: 20 * refill}, []string{"DescribeTaskDefinition", "ListTaskDefinitions"}},
		{bucket{burst: 50 * burst, refill: 5 * refill}, []string{"UpdateService", "StopServiceDeployment", "ContinueServiceDeployment"}},
		{bucket{burst: 19, refill: 1}, []string{"RegisterTaskDefinition", "DeregisterTaskDefinition"}},
	} {
		b.tokens = b.burst
		shared := &b.bucket
		for _, op := range b.operations {
			l.buckets[op] = shared
		}
	}
	return l
}

// wait takes a token of the operation's, in the order of asking.
func (l *limiter) wait(ctx context.Context, op string) error {
	l.mu.Lock()
	b := l.buckets[op]
	if b == nil {
		l.mu.Unlock()
		return nil
	}
	now := time.Now()
	if !b.filled.IsZero() {
		b.tokens = min(b.burst, b.tokens+now.Sub(b.filled).Seconds()*b.refill)
	}
	b.tokens--
	b.filled = now
	left := time.Duration(-b.tokens / b.refill * float64(time.Second))
	l.mu.Unlock()
	if left <= 0 {
		return nil
	}
	return pause.For(ctx, left)
}

// paid marks a context whose next request has its token already.
type paid struct{}

func withToken(ctx context.Context) context.Context {
	unused := new(atomic.Bool)
	unused.Store(true)
	return context.WithValue(ctx, paid{}, unused)
}

// limit is the middleware that has each attempt of a call wait for its token.
func (l *limiter) limit(stack *middleware.Stack) error {
	return stack.Finalize.Insert(middleware.FinalizeMiddlewareFunc("AccountLimits", func(ctx context.Context, in middleware.FinalizeInput, next middleware.FinalizeHandler) (middleware.FinalizeOutput, middleware.Metadata, error) {
		if token, ok := ctx.Value(paid{}).(*atomic.Bool); !ok || !token.CompareAndSwap(true, false) {
			if err := l.wait(ctx, awsmiddleware.GetOperationName(ctx)); err != nil {
				return middleware.FinalizeOutput{}, middleware.Metadata{}, err
			}
		}
		return next.HandleFinalize(ctx, in)
	}), "Retry", middleware.After)
}
