package s3

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
)

// transport is what the client sends by: the SDK's, which knows proxies and
// AWS_CA_BUNDLE, with a limit on silence and on the time that is lost.
func (c Config) transport(cfg *aws.Config) *patience {
	base := c.Transport
	if base == nil {
		client := awshttp.NewBuildableClient()
		if cfg != nil {
			if b, ok := cfg.HTTPClient.(*awshttp.BuildableClient); ok {
				client = b
			}
		}
		tr := client.GetTransport() // a copy
		tr.MaxIdleConnsPerHost = cmp.Or(c.Concurrency, defaultConcurrency)
		tr.MaxIdleConns = max(tr.MaxIdleConns, tr.MaxIdleConnsPerHost)
		tr.DisableCompression = true // ranges and digests are of the stored bytes
		base = tr
	}
	return &patience{base: base, limit: cmp.Or(c.RequestTimeout, defaultTimeout), health: &health{bucket: c.Bucket, budget: cmp.Or(c.Budget, defaultBudget)}}
}

// errStalled is a request that passed no byte either way for its limit.
var errStalled = errors.New("no byte came or went")

// patience cuts requests and answers that stand still, and sends none to a
// bucket that is left alone.
type patience struct {
	base   http.RoundTripper
	limit  time.Duration
	health *health
}

// RoundTrip implements http.RoundTripper.
func (p *patience) RoundTrip(req *http.Request) (*http.Response, error) {
	if err := p.health.check(); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancelCause(req.Context())
	e := &exchange{p: p, caller: req.Context(), ctx: ctx, start: time.Now(), limit: p.limit}
	e.watch = time.AfterFunc(p.limit, func() { cancel(fmt.Errorf("%w for %v", errStalled, e.silence())) })
	e.end = sync.OnceFunc(func() { e.watch.Stop(); cancel(nil) })
	req = req.Clone(ctx)
	if req.ContentLength == 0 {
		req.Body = http.NoBody // an empty body of unknown length goes in chunks, which S3 refuses
	}
	if req.Body != nil && req.Body != http.NoBody {
		// What was read lies in the socket's buffer, perhaps for some time.
		e.limit = 2 * p.limit
		req.Body = &watched{ReadCloser: req.Body, exchange: e, sent: true}
	}
	resp, err := p.base.RoundTrip(req)
	if err != nil {
		err = e.failed(err)
		e.end()
		return nil, err
	}
	if now := time.Now(); retried(resp.StatusCode) {
		p.health.failed(e.start, now, fmt.Errorf("S3 answers %s", resp.Status))
	} else {
		p.health.answered(e.start, now, reads(req))
	}
	e.moving()
	resp.Body = &watched{ReadCloser: resp.Body, exchange: e}
	return resp, nil
}

// retried tells the answers after which the client tries again.
func retried(status int) bool {
	return status >= 500 || status == http.StatusRequestTimeout || status == http.StatusTooManyRequests
}

// reads tells the requests whose answers a run waits for: not listings, which
// are work for S3 too.
func reads(req *http.Request) bool {
	return req.Method == http.MethodHead || req.Method == http.MethodGet && !req.URL.Query().Has("list-type")
}

// exchange is one attempt at a request and its answer. The contexts are its
// own and end with it.
type exchange struct {
	p           *patience
	caller, ctx context.Context
	start       time.Time
	limit       time.Duration
	watch       *time.Timer
	end         func()
}

func (e *exchange) silence() time.Duration { return e.limit }

func (e *exchange) moving() { e.watch.Reset(e.limit) }

// failed counts what an attempt cost unless its caller ended it, and names
// silence as such. Of an answer that was cut its last part is what was lost.
func (e *exchange) failed(err error) error {
	if e.caller.Err() != nil {
		return err
	}
	if cause := context.Cause(e.ctx); errors.Is(cause, errStalled) {
		err = cause
	}
	end := time.Now()
	start := e.start
	if earliest := end.Add(-e.limit); start.Before(earliest) {
		start = earliest
	}
	e.p.health.failed(start, end, err)
	return err
}

// watched is a body whose progress is seen.
type watched struct {
	io.ReadCloser
	*exchange
	sent bool // of a request: its errors are its source's
}

// Read implements io.Reader.
func (w *watched) Read(p []byte) (int, error) {
	if w.sent {
		n, err := w.ReadCloser.Read(p)
		if n > 0 {
			w.moving()
		}
		return n, err
	}
	w.p.health.reading()
	n, err := w.ReadCloser.Read(p)
	away := w.p.health.read(n)
	switch {
	case err == io.EOF:
	case err != nil:
		err = w.failed(err)
	case away != nil:
		return n, away
	}
	if n > 0 {
		w.moving()
	}
	return n, err
}

// Close implements io.Closer.
func (w *watched) Close() error {
	err := w.ReadCloser.Close()
	if !w.sent {
		w.end()
	}
	return err
}
