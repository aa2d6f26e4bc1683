package push

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/v1/validate"

	"github.com/fastship/fastship/cache"
	"github.com/fastship/fastship/runner"
)

// keepUploads makes a server keep what it has of uploads, as the distribution
// registry does: a cut request's bytes, too, unless it forgets those, as 2.8
// does. honest is whether it tells how many there are.
func keepUploads(s *server, honest, forgets bool) {
	var mu sync.Mutex
	sessions := map[string]*bytes.Buffer{}
	s.misbehave(func(w http.ResponseWriter, r *http.Request) bool {
		name, id, ok := strings.Cut(r.URL.Path, "/blobs/uploads/")
		if !ok || r.Method == http.MethodPost && r.URL.Query().Get("digest") != "" {
			return false
		}
		mu.Lock()
		defer mu.Unlock()
		if r.Method == http.MethodPost {
			id = strconv.Itoa(len(sessions))
			sessions[id] = &bytes.Buffer{}
		}
		have := sessions[id]
		if have == nil {
			w.WriteHeader(http.StatusNotFound)
			return true
		}
		if from, _, ok := strings.Cut(r.Header.Get("Content-Range"), "-"); ok && from != strconv.Itoa(have.Len()) {
			w.WriteHeader(http.StatusRequestedRangeNotSatisfiable)
			return true
		}
		before := have.Len()
		if _, err := io.Copy(have, r.Body); err != nil {
			if forgets {
				have.Truncate(before)
			}
			return true
		}
		if r.Method == http.MethodPut { // the inner registry takes it in one
			delete(sessions, id)
			r.Body, r.ContentLength, r.Method = io.NopCloser(have), int64(have.Len()), http.MethodPost
			r.URL.Path = name + "/blobs/uploads/"
			return false
		}
		tells := have.Len()
		if !honest {
			tells += 7
		}
		w.Header().Set("Location", name+"/blobs/uploads/"+id)
		w.Header().Set("Range", fmt.Sprintf("0-%d", max(tells-1, 0)))
		if r.Method == http.MethodGet {
			w.WriteHeader(http.StatusNoContent)
		} else {
			w.WriteHeader(http.StatusAccepted)
		}
		return true
	})
}

// cutter is a proxy that cuts a request's body after some bytes, and counts
// those of bodies.
type cutter struct {
	at   atomic.Int64 // cut here, once; 0 for no cut
	sent atomic.Int64
	cut  chan struct{}
}

func (c *cutter) transport() http.RoundTripper {
	return roundTrip(func(r *http.Request) (*http.Response, error) {
		if r.Body == nil || r.Body == http.NoBody {
			return http.DefaultTransport.RoundTrip(r)
		}
		clone := r.Clone(r.Context())
		clone.Body = &cutBody{ReadCloser: r.Body, c: c}
		clone.GetBody = nil
		return http.DefaultTransport.RoundTrip(clone)
	})
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

type cutBody struct {
	io.ReadCloser
	c *cutter
	n int64
}

func (b *cutBody) Read(p []byte) (int, error) {
	if at := b.c.at.Load(); at > 0 && b.n >= at && b.c.at.CompareAndSwap(at, 0) {
		if b.c.cut != nil {
			close(b.c.cut)
		}
		return 0, io.ErrUnexpectedEOF
	}
	n, err := b.ReadCloser.Read(p)
	b.n += int64(n)
	b.c.sent.Add(int64(n))
	return n, err
}

// TestResume: a blob that was cut goes on where the registry says it stopped,
// in the same run and in the next one; what a registry says wrongly costs
// another start, and nothing else.
func TestResume(t *testing.T) {
	const size = 12 << 20
	for name, c := range map[string]struct{ honest, killed bool }{
		"cut": {true, false}, "killed": {true, true}, "cut, and a lie": {false, false}, "killed, and a lie": {false, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t)
			keepUploads(s, c.honest, false)
			wire := &cutter{}
			wire.at.Store(8 << 20)
			deps := anonymous()
			deps.Transport, deps.State = wire.transport(), t.TempDir()
			in := makeImage(t, t.TempDir(), random(size))
			ctx, stop := context.WithCancelCause(t.Context())
			defer stop(nil)
			killed := errors.New("killed")
			if c.killed {
				wire.cut = make(chan struct{})
				go func() { <-wire.cut; stop(killed) }()
			}
			var e events
			r, err := New(Config{Repository: s.host() + "/x"}, deps).Run(ctx, e.env(), in)
			if c.killed {
				if !errors.Is(err, killed) {
					t.Fatal(err)
				}
				r, err = New(Config{Repository: s.host() + "/x"}, deps).Run(t.Context(), e.env(), in)
			}
			if err != nil {
				t.Fatal(err)
			}
			if e.last.Done != r.Out.Bytes {
				t.Errorf("progress %+v of %d", e.last, r.Out.Bytes)
			}
			again := wire.sent.Load() - size
			if c.honest && again > 1<<20 || !c.honest && again < 4<<20 {
				t.Errorf("sent %d bytes again", again)
			}
			if err := validate.Image(pull(t, s.host()+"/x:"+r.Out.Tags[0])); err != nil {
				t.Error(err)
			}
			if left, err := filepath.Glob(filepath.Join(deps.State, "upload-*")); err != nil || len(left) > 0 {
				t.Errorf("%v, %v", left, err)
			}
		})
	}
}

// TestSessionIsOneProcess: who finds a blob's upload in use begins another.
func TestSessionIsOneProcess(t *testing.T) {
	dir, d := t.TempDir(), cache.Sum([]byte("x"))
	first := openSession(dir, "r", d)
	first.keep("http://127.0.0.1/upload", 7)
	if second := openSession(dir, "r", d); second != nil {
		t.Error("taken twice")
	}
	first.leave()
	again := openSession(dir, "r", d)
	if again == nil || again.Location != "http://127.0.0.1/upload" || again.Sent != 7 {
		t.Fatalf("%+v", again)
	}
	again.done()
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Error(left, err)
	}
	if none := openSession("", "r", d); none != nil {
		t.Error("without a folder")
	}
	var none *session
	none.keep("x", 1)
	none.leave()
	none.done()
}

// TestEveryLongRequestIsCut: a blob arrives on a way that lets no request of
// more than some bytes through, however many those are together, and none of
// them goes much more than once where the registry keeps what it gets.
func TestEveryLongRequestIsCut(t *testing.T) {
	const size, most = 36 << 20, part + part/4
	for name, c := range map[string]struct {
		forgets bool
		sent    int64
	}{"kept": {false, size + 4<<20}, "forgotten": {true, size + most + 4<<20}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t)
			keepUploads(s, true, c.forgets)
			var sent atomic.Int64
			deps := anonymous()
			deps.State = t.TempDir()
			deps.Transport = roundTrip(func(r *http.Request) (*http.Response, error) {
				if r.Body != nil && r.Body != http.NoBody {
					wire := &cutter{}
					wire.at.Store(most)
					r = r.Clone(r.Context())
					r.Body, r.GetBody = &cutBody{ReadCloser: r.Body, c: wire}, nil
					defer func() { sent.Add(wire.sent.Load()) }()
				}
				return http.DefaultTransport.RoundTrip(r)
			})
			var e events
			r, err := New(Config{Repository: s.host() + "/x"}, deps).Run(t.Context(), e.env(), makeImage(t, t.TempDir(), random(size)))
			if err != nil {
				t.Fatal(err)
			}
			if e.last.Done != r.Out.Bytes || sent.Load() > c.sent {
				t.Errorf("progress %+v of %d, sent %d", e.last, r.Out.Bytes, sent.Load())
			}
			if err := validate.Image(pull(t, s.host()+"/x:"+r.Out.Tags[0])); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestStalled: a connection over which nothing goes any more is cut, and the
// blob goes over another one.
func TestStalled(t *testing.T) {
	s := newServer(t)
	var stalled atomic.Bool
	free := make(chan struct{})
	t.Cleanup(func() { close(free) })
	s.misbehave(func(_ http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodPut || kind(r.URL.Path) != "blobs/uploads" || !stalled.CompareAndSwap(false, true) {
			return false
		}
		io.CopyN(io.Discard, r.Body, 1<<20)
		<-free // reads no more, and keeps the connection open
		return true
	})
	deps := anonymous()
	deps.patience = 500 * time.Millisecond
	var e events
	r, err := New(Config{Repository: s.host() + "/x"}, deps).Run(t.Context(), e.env(), makeImage(t, t.TempDir(), random(12<<20)))
	if err != nil {
		t.Fatal(err)
	}
	if e.last.Done != r.Out.Bytes {
		t.Errorf("progress %+v of %d", e.last, r.Out.Bytes)
	}
	if err := validate.Image(pull(t, s.host()+"/x:"+r.Out.Tags[0])); err != nil {
		t.Error(err)
	}
}

// TestNotesWait: what is found while layers are sent before there is an image
// is told once somebody is told anything.
func TestNotesWait(t *testing.T) {
	p, e := &progress{}, &events{}
	p.note("one")
	p.show(e.env().Emit)
	p.note("two")
	if len(e.all) != 2 || e.all[0] != (runner.Note{Text: "one"}) || e.all[1] != (runner.Note{Text: "two"}) {
		t.Errorf("%v", e.all)
	}
}
