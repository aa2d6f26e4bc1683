package image

import (
	"context"
	"sync"

	"github.com/fastship/fastship/cache"
	"github.com/fastship/fastship/runner"
	"github.com/fastship/fastship/stages/internal/oci"
)

// coming tells Deps.Coming of the image that is being made, once it is sure
// that it is a new one, and of its layers.
type coming struct {
	begin func() // nil: nobody wants to know, or somebody does already

	mu       sync.Mutex
	layer    func(cache.Descriptor) // nil while it is not sure
	withdraw func(context.Context)
	before   []cache.Descriptor // layers that there were before it was sure
}

// coming is for an image of that many blobs of its own at least.
func (s *Step) coming(ctx context.Context, blobs int) *coming {
	c := &coming{}
	if s.deps.Coming != nil {
		c.begin = func() { c.layer, c.withdraw = s.deps.Coming(ctx, blobs) }
	}
	return c
}

// sure says that there will be a new image.
func (c *coming) sure() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.begin == nil {
		return
	}
	c.begin()
	c.begin = nil
	for _, d := range c.before {
		c.layer(d)
	}
	c.before = nil
}

// has says that layers of the image are in the cache: written now or before.
func (c *coming) has(layers ...oci.Layer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, l := range layers {
		if c.layer != nil {
			c.layer(l.Descriptor)
		} else {
			c.before = append(c.before, l.Descriptor)
		}
	}
}

// end withdraws what was told, when the run is over: where there is no image,
// and where nobody came to want it.
func (c *coming) end(env runner.Env) {
	c.mu.Lock()
	told := c.withdraw != nil
	c.mu.Unlock()
	if told {
		env.Background("make nothing ready any more", func(ctx context.Context) error { c.over(ctx); return nil })
	}
}

// over withdraws what was told.
func (c *coming) over(ctx context.Context) {
	c.mu.Lock()
	withdraw := c.withdraw
	c.mu.Unlock()
	if withdraw != nil {
		withdraw(ctx)
	}
}
