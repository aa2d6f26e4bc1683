package ecs

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/fastship/fastship/deploy"
)

// oneCall bounds a call that nobody may be waiting for any more.
const oneCall = 20 * time.Second

// batcher makes one Describe call of what many ask for at the same time: what
// comes in while the next call waits for its turn goes along with it. Without
// a wait each goes by itself, at once.
type batcher[V any] struct {
	size int // things in a call, by the service model
	wait func(ctx context.Context) error
	// call describes things of one group (a cluster); what it does not find
	// is not in the answer.
	call func(ctx context.Context, group string, ids []string) (map[string]V, error)

	mu     sync.Mutex
	queues map[string][]*request[V] // by group; one that is there is being served
}

// request is what one caller wants.
type request[V any] struct {
	ctx  context.Context
	ids  []string
	done chan struct{}
	got  map[string]V
	err  error
}

// get describes any number of things of one group. The error is call's, or the
// cause of ctx's end.
func (b *batcher[V]) get(ctx context.Context, group string, ids []string) (map[string]V, error) {
	var sent []*request[V]
	for chunk := range slices.Chunk(ids, b.size) {
		r := &request[V]{ctx: ctx, ids: chunk, done: make(chan struct{})}
		sent = append(sent, r)
		b.enqueue(group, r)
	}
	found := map[string]V{}
	for _, r := range sent {
		select {
		case <-r.done:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
		if r.err != nil {
			return nil, r.err
		}
		for id, v := range r.got {
			found[id] = v
		}
	}
	return found, nil
}

func (b *batcher[V]) enqueue(group string, r *request[V]) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.queues == nil {
		b.queues = map[string][]*request[V]{}
	}
	waiting, served := b.queues[group]
	b.queues[group] = append(waiting, r)
	if !served {
		go b.serve(context.WithoutCancel(r.ctx), group)
	}
}

// serve sends calls for a group until its queue is empty.
func (b *batcher[V]) serve(ctx context.Context, group string) {
	for {
		if b.wait(ctx) != nil {
			continue // ctx has no end
		}
		batch, more := b.take(group)
		if len(batch) > 0 {
			go b.send(withToken(ctx), group, batch)
		}
		if !more {
			return
		}
	}
}

// take empties the queue as far as one call goes. Callers that have gone are
// left out.
func (b *batcher[V]) take(group string) (batch []*request[V], more bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	waiting := slices.DeleteFunc(b.queues[group], func(r *request[V]) bool { return r.ctx.Err() != nil })
	count, n := 0, 0
	for n < len(waiting) && count+len(waiting[n].ids) <= b.size {
		count += len(waiting[n].ids)
		n++
	}
	batch = slices.Clone(waiting[:n])
	if n == len(waiting) {
		delete(b.queues, group)
		return batch, false
	}
	b.queues[group] = slices.Delete(waiting, 0, n)
	return batch, true
}

// send makes the call. One thing that ECS refuses must not spoil the others.
func (b *batcher[V]) send(ctx context.Context, group string, batch []*request[V]) {
	if len(batch) == 1 { // whose caller may give up
		ctx = context.WithValue(batch[0].ctx, paid{}, ctx.Value(paid{}))
	}
	ctx, cancel := context.WithTimeout(ctx, oneCall)
	defer cancel()
	var ids []string
	for _, r := range batch {
		ids = append(ids, r.ids...)
	}
	slices.Sort(ids)
	got, err := b.call(ctx, group, slices.Compact(ids))
	if len(batch) > 1 && err != nil && fateOf(err) == deploy.Refused {
		for _, r := range batch {
			r.got, r.err = b.call(ctx, group, r.ids)
			close(r.done)
		}
		return
	}
	for _, r := range batch {
		r.err = err
		r.got = map[string]V{}
		for _, id := range r.ids {
			if v, ok := got[id]; ok {
				r.got[id] = v
			}
		}
		close(r.done)
	}
}
