package container

import (
	"context"
	"errors"
	"fmt"
	"os"
)

// reply is an answer with the file that came with it.
type reply struct {
	answer
	file *os.File
}

// listen hands the init's answers to those who wait for them, until it has
// read the last thing that the init said before its end.
func (c *Container) listen() {
	defer c.control.conn.Close()
	for {
		var a answer
		file, err := c.control.receive(&a)
		c.mu.Lock()
		if err != nil {
			c.gone = err
			for id, ch := range c.waiting {
				close(ch)
				delete(c.waiting, id)
			}
			c.mu.Unlock()
			return
		}
		ch := c.waiting[a.ID]
		delete(c.waiting, a.ID)
		c.mu.Unlock()
		if ch != nil {
			ch <- reply{a, file}
		} else if file != nil {
			file.Close()
		}
	}
}

// errEnded is the answer to whatever is asked of a container that has ended.
var errEnded = errors.New("the container has ended")

func (c *Container) ask(ctx context.Context, q request) (reply, error) {
	ch := make(chan reply, 1)
	c.mu.Lock()
	if c.gone != nil {
		c.mu.Unlock()
		return reply{}, errEnded
	}
	c.lastID++
	q.ID = c.lastID
	c.waiting[q.ID] = ch
	c.mu.Unlock()
	if err := c.control.send(q, nil); err != nil {
		c.forget(q.ID)
		return reply{}, fmt.Errorf("%w: %w", errEnded, err)
	}
	r, err := c.await(ctx, q.ID, ch)
	if err != nil && q.Op == opExec {
		_ = c.control.send(request{Op: opKill, Target: q.ID}, nil) // nobody waits for it any more
	}
	if err != nil {
		return reply{}, err
	}
	return r, r.err()
}

func (c *Container) await(ctx context.Context, id uint64, ch chan reply) (reply, error) {
	select {
	case r, ok := <-ch:
		if !ok {
			return reply{}, errEnded
		}
		return r, nil
	case <-ctx.Done():
		c.forget(id)
		return reply{}, context.Cause(ctx)
	}
}

// forget gives up a question; a file that comes with its answer is closed by
// the garbage collector.
func (c *Container) forget(id uint64) {
	c.mu.Lock()
	delete(c.waiting, id)
	c.mu.Unlock()
}
