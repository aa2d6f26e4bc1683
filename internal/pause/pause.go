// Package pause waits, no longer than its context lives.
package pause

import (
	"context"
	"time"
)

// For returns nil after d, or the context's cause as soon as that ends.
func For(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
