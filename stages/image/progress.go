package image

import (
	"io"
	"sync"
	"time"

	"github.com/fastship/fastship/runner"
)

// progress counts bytes and tells of them ten times a second.
type progress struct {
	emit  func(runner.Body)
	what  string
	total int64 // set before the first add

	mu   sync.Mutex
	done int64
	last time.Time
}

func newProgress(emit func(runner.Body), what string) *progress {
	return &progress{emit: emit, what: what}
}

func (p *progress) add(n int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.done += n
	if p.done < p.total && time.Since(p.last) < 100*time.Millisecond {
		return
	}
	p.last = time.Now()
	p.emit(runner.Progress{What: p.what, Unit: "bytes", Done: p.done, Total: p.total})
}

func (p *progress) reader(r io.Reader) *countedReader { return &countedReader{r: r, p: p} }

// countedReader takes its bytes back when they turn out not to count.
type countedReader struct {
	r io.Reader
	p *progress
	n int64
}

func (c *countedReader) Read(b []byte) (int, error) {
	n, err := c.r.Read(b)
	c.n += int64(n)
	c.p.add(int64(n))
	return n, err
}

func (c *countedReader) undo() {
	c.p.add(-c.n)
	c.n = 0
}
