package registry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/textproto"
	"net/url"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"github.com/fastship/fastship/internal/fault"
)

func TestRetry(t *testing.T) {
	response := func(status int, after string) error {
		resp := &http.Response{StatusCode: status, Header: http.Header{}, Body: http.NoBody}
		resp.Header.Set("Retry-After", after)
		return CheckResponse(resp, 200)
	}
	for name, c := range map[string]struct {
		err   error
		tries int
		most  time.Duration // and half of it at least
	}{
		"busy":      {response(503, ""), Attempts, 8 * time.Second},
		"throttled": {response(429, ""), Throttled, 32 * time.Second},
		"slow down": {response(429, "2"), Throttled, 40 * time.Second},
		"too long":  {response(503, "3600"), Attempts, 4 * 30 * time.Second},
		"cut":       {io.ErrUnexpectedEOF, Attempts, 8 * time.Second},
		"reset":     {&net.OpError{Op: "read", Err: syscall.ECONNRESET}, Attempts, 8 * time.Second},
		"half":      {&url.Error{Err: fmt.Errorf("net/http: HTTP/1.x transport connection broken: %w", textproto.ProtocolError("malformed MIME header: missing colon: \"Docker-Up\""))}, Attempts, 8 * time.Second},
		"stalled":   {fmt.Errorf("x: %w", ErrStalled), Attempts, 8 * time.Second},
		"nobody":    {&net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}, 1, 0},
		"no name":   {&net.OpError{Op: "dial", Err: &net.DNSError{IsNotFound: true}}, 1, 0},
		"refused":   {response(403, ""), 1, 0},
		"full":      {response(507, ""), 1, 0},
		"cancelled": {context.Canceled, 1, 0},
	} {
		synctest.Test(t, func(t *testing.T) {
			start, tries := time.Now(), 0
			err := Retry(t.Context(), func() error { tries++; return c.err })
			took := time.Since(start)
			if !errors.Is(err, c.err) || tries != c.tries || took > c.most || took < c.most/2 {
				t.Errorf("%s: %v after %d tries and %s", name, err, tries, took)
			}
		})
	}
}

func TestAskedWait(t *testing.T) {
	for after, want := range map[string]time.Duration{
		"": 0, "nonsense": 0, "-3": 0, "7": 7 * time.Second, "999999999999": maxWait,
		time.Now().Add(time.Hour).UTC().Format(http.TimeFormat): time.Hour,
	} {
		if got := askedWait(after); got > want || got < want-2*time.Second {
			t.Errorf("%q: %s, want %s", after, got, want)
		}
	}
}

func TestRetryEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start, tries := time.Now(), 0
		_ = Retry(ctx, func() error { tries++; return io.ErrUnexpectedEOF })
		if tries < 3 || tries > 4 || time.Since(start) != time.Second {
			t.Errorf("%d tries in %s", tries, time.Since(start))
		}
	})
}

func TestNames(t *testing.T) {
	for in, want := range map[string]string{
		"example.com/team/orders":      "example.com/team/orders",
		"localhost:5000/orders":        "localhost:5000/orders",
		"orders":                       "index.docker.io/library/orders",
		"example.com/Team/orders":      "write k: example.com/team/orders",
		"example.com/orders:v1":        "write k: example.com/orders, and the tag in image.tags",
		"example.com/orders@sha256:00": "write k: example.com/orders, and the tag in image.tags",
		"example.com:5000":             "", // a host is no repository; the name library reads it as name and tag
		"":                             "a name looks like registry.example.com/team/orders",
	} {
		repo, err := ParseRepository("k", in, Options{})
		got := fault.HintOf(err)
		if err == nil {
			got = repo.Name()
		} else if fault.ClassOf(err) != fault.BadInput {
			t.Errorf("%q: %v", in, err)
		}
		if got != want && want != "" {
			t.Errorf("%q: %q", in, got)
		}
		if want == "" && err == nil {
			t.Errorf("%q passes as %s", in, repo)
		}
	}
}

func TestExplainKeepsWhatIsClear(t *testing.T) {
	repo, err := ParseRepository("k", "example.com/x", Options{})
	if err != nil {
		t.Fatal(err)
	}
	classed := fault.New(fault.Missing, "do this", "that")
	for _, err := range []error{nil, classed, context.Canceled} {
		if got := Explain(fault.ImageFailed, "push to", repo, repo.Registry, err); got != err {
			t.Errorf("%v became %v", err, got)
		}
	}
	err = Explain(fault.ImageFailed, "push to", repo, repo.Registry, &transport.Error{StatusCode: 401})
	if fault.ClassOf(err) != fault.ImageFailed || fault.HintOf(err) != "run docker login example.com" {
		t.Errorf("%v", err)
	}
}

// TestReadable: an HTTP client's URL may have a signature in it.
func TestReadable(t *testing.T) {
	inner := &net.OpError{Op: "write", Err: syscall.ECONNRESET}
	err := Readable(fmt.Errorf("send: %w", &url.Error{Op: "Put", URL: "https://example.com/v2/x?_state=abc&X-Amz-Signature=def", Err: inner}))
	if text := err.Error(); text != `send: Put "https://example.com/v2/x": write: connection reset by peer` || !errors.Is(err, inner) {
		t.Error(text)
	}
	if err := errors.New("as it is"); Readable(err) != err || Readable(nil) != nil {
		t.Error(Readable(err))
	}
}

// TestExplain: what a person reads is one line and names the remedy, whatever
// stands between here and the registry.
func TestExplain(t *testing.T) {
	repo, err := ParseRepository("k", "example.com/x", Options{})
	if err != nil {
		t.Fatal(err)
	}
	const nginx = "<html>\r\n<head><title>%d %s</title></head>\r\n<body>\r\n<center><h1>oh</h1></center>\r\n</body>\r\n</html>\r\n"
	for name, c := range map[string]struct {
		status           int
		body, want, hint string
	}{
		"proxy's limit": {413, fmt.Sprintf(nginx, 413, "Request Entity Too Large"), "413 Request Entity Too Large", "client_max_body_size"},
		"proxy alone":   {502, fmt.Sprintf(nginx, 502, "Bad Gateway"), "example.com is out of order", "try again later"},
		"login page":    {200, "<!DOCTYPE html><title>\nSign in </title>", "a page titled “Sign in”", "login page"},
		"squid":         {503, "<html><head><title>ERROR: not\n now</title><body>" + strings.Repeat("x\n", 5000), "a page titled “ERROR: not now”", "try again"},
		"text":          {500, strings.Repeat("stack trace\n", 1000), "stack trace stack", "log of the registry"},
		"read-only":     {405, `{"errors":[{"code":"UNSUPPORTED","message":"The operation is unsupported."}]}`, "UNSUPPORTED", "read-only"},
		"quota":         {403, `{"errors":[{"code":"DENIED","message":"adding 1 MiB of storage resource, which when updated to current usage of 9 MiB will exceed the configured upper limit of 9 MiB"}]}`, "no room left", "raise its quota"},
		"disk":          {500, `{"errors":[{"code":"UNKNOWN","message":"unknown error","detail":{"DriverName":"filesystem","Enclosed":{"Op":"write","Path":"/x","Err":28}}}]}`, "no room left", "free space"},
		"rate":          {429, `{"errors":[{"code":"TOOMANYREQUESTS","message":"Quota exceeded"}]}`, "too many requests", "try again later"},
		"denied":        {403, `{"errors":[{"code":"DENIED","message":"quote"}]}`, "refused", "docker login"},
	} {
		resp := &http.Response{StatusCode: c.status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(c.body)), Request: httptest.NewRequest(http.MethodPost, "https://example.com/v2/x/blobs/uploads/", nil)}
		err := Explain(fault.ImageFailed, "push to", repo, repo.Registry, CheckResponse(resp, 202))
		text := fmt.Sprint(err)
		if !strings.Contains(text, c.want) || !strings.Contains(fault.HintOf(err), c.hint) || strings.ContainsAny(text, "<\n") || len(text) > maxBody+200 {
			t.Errorf("%s: %s\nhint: %s", name, text, fault.HintOf(err))
		}
		if StatusOf(err) != c.status {
			t.Errorf("%s: status %d", name, StatusOf(err))
		}
	}
}
