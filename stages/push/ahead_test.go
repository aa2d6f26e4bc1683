package push

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/v1/validate"

	"github.com/fastship/fastship/runner"
)

// wantsOpening makes a registry want an upload to be opened before a blob is
// sent, as distribution's does, and lets uploads be taken back. more may answer
// a request first.
func wantsOpening(s *server, more func(w http.ResponseWriter, r *http.Request) bool) {
	s.misbehave(func(w http.ResponseWriter, r *http.Request) bool {
		if more != nil && more(w, r) {
			return true
		}
		switch {
		case kind(r.URL.Path) != "blobs/uploads":
		case r.Method == http.MethodPost:
			r.URL.RawQuery = ""
		case r.Method == http.MethodDelete:
			w.WriteHeader(http.StatusNoContent)
			return true
		}
		return false
	})
}

// forgets makes a registry forget the first uploads.
func forgets(times int32) func(w http.ResponseWriter, r *http.Request) bool {
	var n atomic.Int32
	return func(w http.ResponseWriter, r *http.Request) bool {
		switch {
		case strings.HasSuffix(r.URL.Path, "/gone"):
			w.WriteHeader(http.StatusNotFound)
		case r.Method == http.MethodPost && n.Add(1) <= times:
			w.Header().Set("Location", r.URL.Path+"gone")
			w.WriteHeader(http.StatusAccepted)
		default:
			return false
		}
		return true
	}
}

func TestExpect(t *testing.T) {
	const open, put, tag, back = "POST blobs/uploads", "PUT blobs/uploads", "PUT manifests", "DELETE blobs/uploads"
	answer := func(times int32, status int, methodAndKind string) func(w http.ResponseWriter, r *http.Request) bool {
		var n atomic.Int32
		return func(w http.ResponseWriter, r *http.Request) bool {
			if r.Method+" "+kind(r.URL.Path) != methodAndKind || n.Add(1) > times {
				return false
			}
			w.WriteHeader(status)
			return true
		}
	}
	for name, c := range map[string]struct {
		first int // what it is told of before it is told of blobs
		blobs int
		more  func(w http.ResponseWriter, r *http.Request) bool
		same  bool // the image turns out to be the last one
		none  bool // there is no image
		want  []string
	}{
		"all of them":             {blobs: 2, want: []string{open, open, tag, put, put}},
		"one of them":             {blobs: 1, want: []string{open, open, tag, put, put}},
		"one too many":            {blobs: 3, want: []string{back, open, open, open, tag, put, put}},
		"told twice":              {first: 1, blobs: 1, want: []string{open, open, tag, put, put}},
		"told of nothing first":   {blobs: 2, want: []string{open, open, tag, put, put}},
		"told of too much twice":  {first: 3, blobs: 3, want: []string{back, back, open, open, open, open, tag, put, put}},
		"more than go at once":    {blobs: 40, want: []string{back, back, open, open, open, open, tag, put, put}},
		"the registry is busy":    {blobs: 2, more: answer(2, http.StatusServiceUnavailable, open), want: []string{open, open, open, open, tag, put, put}},
		"the registry forgot":     {blobs: 2, more: forgets(2), want: []string{open, open, open, open, tag, put, put, put, put}},
		"the same image":          {blobs: 2, same: true, want: []string{back, back, open, open}},
		"no image":                {blobs: 2, none: true, want: []string{back, back, open, open}},
		"no image, and they stay": {blobs: 2, none: true, more: answer(2, http.StatusMethodNotAllowed, back), want: []string{back, back, open, open}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, deps, base := newServer(t), anonymous(), random(400_000)
			deps.State = t.TempDir()
			wantsOpening(s, nil)
			last := makeImage(t, t.TempDir(), base, random(100))
			if _, err := New(Config{Repository: s.host() + "/x"}, deps).Run(t.Context(), (&events{}).env(), last); err != nil {
				t.Fatal(err)
			}
			wantsOpening(s, c.more)
			s.take()
			step := New(Config{Repository: s.host() + "/x"}, deps)
			if err := step.Check(t.Context()); err != nil {
				t.Fatal(err)
			}
			if got := s.take(); !slices.Equal(got, []string{"HEAD manifests"}) {
				t.Fatalf("Check asked %v", got)
			}
			in := makeImage(t, t.TempDir(), base, random(101))
			if c.same {
				in = last
			}
			step.Expect(t.Context(), c.first)
			_, withdraw := step.Expect(t.Context(), c.blobs)
			for a := step.remote.ahead; len(a.places) < a.opened; { // else its requests mix with the push's own
				time.Sleep(time.Millisecond)
			}
			if c.none {
				withdraw(t.Context())
			} else {
				var b background
				r, err := step.Run(t.Context(), b.env(), in)
				if err != nil {
					t.Fatal(err)
				}
				if err := b.join(t.Context()); err != nil {
					t.Error(err)
				}
				if sent := r.Out.Blobs; sent != 2 && !c.same || c.same && (sent != 0 || r.Status != runner.Cached) {
					t.Errorf("%+v", r)
				}
			}
			got := s.take()
			slices.Sort(c.want)
			if !slices.Equal(got, c.want) {
				t.Errorf("asked %q, want %q", got, c.want)
			}
			if !c.none {
				if err := validate.Image(pull(t, s.host()+"/x@"+in.Digest)); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// What needs no upload opened, or is not known to have the last image, is not
// asked.
func TestExpectAsksNobody(t *testing.T) {
	s, deps := newServer(t), anonymous()
	deps.State = t.TempDir()
	step := func() *Step { return New(Config{Repository: s.host() + "/x"}, deps) }
	expect := func(name string, step *Step, check bool) {
		t.Helper()
		if check {
			if err := step.Check(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		s.take()
		_, withdraw := step.Expect(t.Context(), 2)
		withdraw(t.Context())
		if got := s.take(); len(got) > 0 {
			t.Errorf("%s: asked %v", name, got)
		}
	}
	expect("never checked", step(), false)
	expect("nothing pushed before", step(), true)
	if _, err := step().Run(t.Context(), (&events{}).env(), makeImage(t, t.TempDir(), random(100))); err != nil {
		t.Fatal(err)
	}
	expect("blobs go with the first request", step(), true)
	wantsOpening(s, nil)
	if _, err := step().Run(t.Context(), (&events{}).env(), makeImage(t, t.TempDir(), random(101))); err != nil {
		t.Fatal(err)
	}
	other := makeImage(t, t.TempDir(), random(102)) // pushed under the same tag by another machine
	elsewhere := anonymous()
	elsewhere.State = t.TempDir()
	if _, err := New(Config{Repository: s.host() + "/x", Tags: []string{step().tagOfLast(t)}}, elsewhere).Run(t.Context(), (&events{}).env(), other); err != nil {
		t.Fatal(err)
	}
	expect("another image is there", step(), true)
}

func (s *Step) tagOfLast(t *testing.T) string {
	t.Helper()
	repo, err := s.parse()
	if err != nil {
		t.Fatal(err)
	}
	return openMemory(s.deps.State, repo.RegistryStr()).last(repo.RepositoryStr()).Tag
}

// A registry that does not answer holds up neither the end of a run nor, once
// it is cancelled, the push.
func TestExpectHangs(t *testing.T) {
	s, deps := newServer(t), anonymous()
	deps.State = t.TempDir()
	wantsOpening(s, nil)
	in := makeImage(t, t.TempDir(), random(100))
	if _, err := New(Config{Repository: s.host() + "/x"}, deps).Run(t.Context(), (&events{}).env(), in); err != nil {
		t.Fatal(err)
	}
	released := make(chan struct{})
	defer close(released)
	wantsOpening(s, func(_ http.ResponseWriter, r *http.Request) bool {
		if kind(r.URL.Path) == "blobs/uploads" {
			select {
			case <-r.Context().Done():
			case <-released:
			}
		}
		return false
	})
	step := New(Config{Repository: s.host() + "/x"}, deps)
	if err := step.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	_, withdraw := step.Expect(ctx, 2)
	time.AfterFunc(50*time.Millisecond, cancel)
	if _, err := step.Run(ctx, (&background{}).env(), makeImage(t, t.TempDir(), random(101))); err == nil || !strings.Contains(err.Error(), "cancel") {
		t.Errorf("got %v", err)
	}
	withdraw(t.Context())
}

// A build may take longer than a registry, or what is between, keeps a
// connection open: that costs no request and no error.
func TestStaleConnections(t *testing.T) {
	s, deps, base := newServer(t), anonymous(), random(400_000)
	deps.State = t.TempDir()
	for i, expect := range []bool{false, false, true} {
		wantsOpening(s, nil)
		step := New(Config{Repository: s.host() + "/x"}, deps)
		if err := step.Check(t.Context()); err != nil {
			t.Fatal(err)
		}
		s.take()
		s.CloseClientConnections()
		if expect {
			step.Expect(t.Context(), 2)
		}
		var b background
		if _, err := step.Run(t.Context(), b.env(), makeImage(t, t.TempDir(), base, random(100+i))); err != nil {
			t.Fatal(err)
		}
		want := []string{"POST blobs/uploads", "POST blobs/uploads", "PUT blobs/uploads", "PUT blobs/uploads", "PUT manifests"}
		if got := s.take(); i > 0 && !slices.Equal(got, []string{want[0], want[1], want[4], want[2], want[3]}) && !slices.Equal(got, want) {
			t.Errorf("run %d asked %q", i, got)
		}
	}
}
