package push

import (
	"io"
	"sync"
	"time"

	"github.com/fastship/fastship/runner"
)

// progress counts the bytes sent and tells of them ten times a second.
type progress struct {
	emit  func(runner.Body)
	total int64 // set before the first add

	mu   sync.Mutex
	done int64
	last time.Time
}

func (p *progress) add(n int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if n == 0 {
		return
	}
	p.done += n
	if p.done < p.total && time.Since(p.last) < 100*time.Millisecond {
		return
	}
	p.last = time.Now()
	p.emit(runner.Progress{What: "push", Unit: "bytes", Done: p.done, Total: p.total})
}

// counted is what one try sends; undo takes it back when the try fails.
type counted struct {
	p    *progress
	mu   sync.Mutex
	body *countedReader // the one that counts
	n    int64
}

// reader counts from the beginning. An earlier reader of the same try counts
// no more: the transport may go on with it for a while after its answer came.
func (c *counted) reader(r io.ReadCloser) io.ReadCloser {
	c.undo()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.body = &countedReader{r, c}
	return c.body
}

func (c *counted) undo() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.p.add(-c.n)
	c.n, c.body = 0, nil
}

type countedReader struct {
	io.ReadCloser
	c *counted
}

func (r *countedReader) Read(b []byte) (int, error) {
	n, err := r.ReadCloser.Read(b)
	r.c.mu.Lock()
	defer r.c.mu.Unlock()
	if r.c.body == r {
		r.c.n += int64(n)
		r.c.p.add(int64(n))
	}
	return n, err
}
