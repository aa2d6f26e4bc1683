package image

import (
	"context"
	"sync"

	"github.com/fastship/fastship/runner"
)

// coming gives what tells Deps.Coming, at its first call, that there will be a
// new image: of one config for each platform and of one layer at least. What
// was told is withdrawn when there will be none, after the road's other work.
func (s *Step) coming(ctx context.Context, env runner.Env, platforms int) (tell, withdraw func()) {
	if s.deps.Coming == nil {
		return func() {}, func() {}
	}
	var back func(context.Context)
	tell = sync.OnceFunc(func() { back = s.deps.Coming(ctx, platforms+1) })
	return tell, func() {
		if back != nil {
			env.Background("make nothing ready any more", func(ctx context.Context) error {
				back(ctx)
				return nil
			})
		}
	}
}
