package tree

import (
	"context"
	"io"
)

const (
	rangesFrom = 8 << 20 // bytes of a blob that is read by several requests at once
	ahead      = 6       // ranges of all such blobs that are held in memory: 24 MiB
)

// ranges reads a large blob in order by several requests at once: one
// connection to S3 gives less than 100 MB a second, and less yet over a long
// way. The context is that of the one fetch whose body it is.
type ranges struct {
	f      *fetch
	ctx    context.Context
	cancel context.CancelFunc
	span   *span
	source int
	next   int64 // where the next request begins
	queue  []chan piece
	now    piece
	left   []byte // of now
}

// piece is what one request gave. Its slot is taken until it is read.
type piece struct {
	b   []byte
	err error
}

func (f *fetch) ranges(ctx context.Context, s *span, n int) *ranges {
	ctx, cancel := context.WithCancel(ctx)
	return &ranges{f: f, ctx: ctx, cancel: cancel, span: s, source: n, next: s.off}
}

// Read implements io.Reader.
func (r *ranges) Read(p []byte) (int, error) {
	if len(r.left) == 0 {
		if err := r.advance(); err != nil {
			return 0, err
		}
	}
	n := copy(p, r.left)
	r.left = r.left[n:]
	return n, nil
}

// advance waits for the next piece, and asks for as many after it as there
// are slots.
func (r *ranges) advance() error {
	if r.now.err != nil {
		return r.now.err
	}
	r.release(r.now)
	r.now = piece{}
	if len(r.queue) == 0 {
		if r.next == r.span.end {
			return io.EOF
		}
		select {
		case r.f.ahead <- struct{}{}:
			r.ask()
		case <-r.ctx.Done():
			return r.ctx.Err()
		}
	}
	for r.next < r.span.end {
		select {
		case r.f.ahead <- struct{}{}:
			r.ask()
			continue
		default:
		}
		break
	}
	r.now = <-r.queue[0]
	r.queue = r.queue[1:]
	r.left = r.now.b
	return r.now.err
}

// ask sends the next request. The caller has taken its slot.
func (r *ranges) ask() {
	s := &span{blob: r.span.blob, off: r.next, end: min(r.next+rangeSize, r.span.end)}
	r.next = s.end
	got := make(chan piece, 1)
	r.queue = append(r.queue, got)
	go func() {
		b := r.f.buffers.get(int(s.end - s.off))
		body, err := r.f.open(r.ctx, s, r.source)
		if err == nil {
			_, err = io.ReadFull(body, b)
			err = short(err)
			body.Close()
		}
		if err != nil {
			r.f.buffers.put(b)
			b = nil
			<-r.f.ahead
		}
		got <- piece{b, err}
	}()
}

// release gives a piece's buffer and slot back.
func (r *ranges) release(p piece) {
	if p.b != nil {
		r.f.buffers.put(p.b)
		<-r.f.ahead
	}
}

// Close implements io.Closer. It waits for the requests under way.
func (r *ranges) Close() error {
	r.cancel()
	r.release(r.now)
	r.now, r.left = piece{err: context.Canceled}, nil
	for _, c := range r.queue {
		r.release(<-c)
	}
	r.queue = nil
	return nil
}
