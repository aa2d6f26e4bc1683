package push

import (
	"io"
	"sync"
	"time"

	"github.com/fastship/fastship/runner"
)

// progress counts the bytes sent and tells of them ten times a second.
type progress struct {
	mu    sync.Mutex
	emit  func(runner.Body) // nil: only counts
	total int64
	done  int64
	last  time.Time
	notes []runner.Body // said while nobody was shown anything
}

// expect adds bytes to what there is to send.
func (p *progress) expect(n int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.total += n
}

// show tells emit from now on.
func (p *progress) show(emit func(runner.Body)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.emit = emit
	if emit == nil {
		return
	}
	for _, n := range p.notes {
		emit(n)
	}
	p.notes = nil
}

// note tells a sentence, as soon as there is anybody to tell.
func (p *progress) note(text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.emit == nil {
		p.notes = append(p.notes, runner.Note{Text: text})
		return
	}
	p.emit(runner.Note{Text: text})
}

func (p *progress) add(n int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if n == 0 {
		return
	}
	p.done += n
	if p.emit == nil || p.done < p.total && time.Since(p.last) < 100*time.Millisecond {
		return
	}
	p.last = time.Now()
	p.emit(runner.Progress{What: "push", Unit: "bytes", Done: p.done, Total: p.total})
}

// counted is what there is of one blob. Each request begins where its bytes
// do: what a failed one sent counts no more.
type counted struct {
	p    *progress
	mu   sync.Mutex
	body *countedReader // the one that counts
	n    int64
}

// reader counts what is read from a byte of the blob on. An earlier reader
// counts no more: the transport may go on with it for a while after its answer
// came.
func (c *counted) reader(from int64, r io.ReadCloser) io.ReadCloser {
	c.set(from)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.body = &countedReader{r, c}
	return c.body
}

// set says how much of the blob is there.
func (c *counted) set(n int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.p.add(n - c.n)
	c.n, c.body = n, nil
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
