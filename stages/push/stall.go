package push

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/fastship/fastship/stages/internal/oci/registry"
)

// patience is how long nothing of a blob may go out before its connection
// counts as dead: a machine that fell asleep, a router that forgot, a server
// that reads no more. Nothing else ends such a one, as long as somebody keeps
// saying that there is no room. The transport takes 32 KiB at a time, so that
// 300 bytes in a second are enough. The answer may take five times as long.
const patience = 2 * time.Minute

// stall ends a request that does not get on.
type stall struct {
	after time.Duration
	timer *time.Timer
	end   context.CancelCauseFunc
}

func watchStall(ctx context.Context, after time.Duration) (context.Context, *stall) {
	if after == 0 {
		after = patience
	}
	ctx, end := context.WithCancelCause(ctx)
	return ctx, &stall{after, time.AfterFunc(after, func() { end(registry.ErrStalled) }), end}
}

// moves hears that bytes are taken; left are those that are not, yet.
func (s *stall) moves(left int64) {
	if left > 0 {
		s.timer.Reset(s.after)
		return
	}
	s.timer.Reset(5 * s.after)
}

// explain ends the watch, and says what a request's end by it was.
func (s *stall) explain(ctx context.Context, err error) error {
	s.timer.Stop()
	defer s.end(nil)
	if err != nil && errors.Is(context.Cause(ctx), registry.ErrStalled) {
		return fmt.Errorf("nothing was taken for %s: %w", s.after, registry.ErrStalled)
	}
	return err
}
