package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	minio "github.com/minio/minio-go/v7"

	"github.com/fastship/fastship/cache/s3/s3test"
)

// longestLoss is what a sick bucket may cost a run: see docs/cache.md.
const longestLoss = 15 * time.Second

func refuse(status int, code string, methods ...string) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, r *http.Request) bool {
		if len(methods) > 0 && !strings.Contains(strings.Join(methods, " "), r.Method) {
			return false
		}
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/xml")
		w.WriteHeader(status)
		fmt.Fprintf(w, `<Error><Code>%s</Code><Message>%s</Message></Error>`, code, code)
		return true
	}
}

func hang(_ http.ResponseWriter, r *http.Request) bool {
	_, _ = io.Copy(io.Discard, r.Body) // lets the server see the client go
	<-r.Context().Done()
	panic(http.ErrAbortHandler)
}

// blobs bends the answers that carry blobs.
func blobs(bend func(b []byte) io.Reader) func(*http.Response) error {
	return func(r *http.Response) error {
		if r.Request.Method != http.MethodGet || !strings.Contains(r.Request.URL.Path, "/blobs/") || r.StatusCode/100 != 2 {
			return nil
		}
		b, err := io.ReadAll(r.Body)
		r.Body.Close()
		r.Body = io.NopCloser(bend(b))
		return err
	}
}

type cut struct{}

func (cut) Read([]byte) (int, error) { return 0, errors.New("cut") }

// drip delivers 50 KB a second.
type drip struct{ io.Reader }

func (d drip) Read(p []byte) (int, error) {
	time.Sleep(100 * time.Millisecond)
	return d.Reader.Read(p[:min(len(p), 5_000)])
}

// TestBadDaysOfABucket: whatever the bucket does, a host without anything
// builds, with one warning and within bounded time; a host that built before
// needs no downloads; and neither is the worse for it when the bucket is well
// again.
func TestBadDaysOfABucket(t *testing.T) {
	integration(t)
	t.Parallel()
	whole := func(b []byte) io.Reader { return bytes.NewReader(b) }
	readOnly := []string{"nothing is sent to the remote cache: the cache may only be read"}
	bad := []string{"content does not match its digest"}
	type day struct {
		fault      func(http.ResponseWriter, *http.Request) bool
		bend       func(*http.Response) error
		downloads  int      // of the empty host, of 6
		some       bool     // so many as it happens
		warm, cold []string // warnings
	}
	all := func(fault func(http.ResponseWriter, *http.Request) bool, warned string) day {
		return day{fault: fault, downloads: 6, warm: []string{warned}, cold: []string{warned}}
	}
	for name, c := range map[string]day{
		"unreachable":     all(func(http.ResponseWriter, *http.Request) bool { panic(http.ErrAbortHandler) }, "look up Maven's repository in the cache: "),
		"a black hole":    all(hang, "the remote cache is left alone in this run: bucket "),
		"503 for ever":    all(refuse(503, "SlowDown"), "SlowDown"),
		"403 for all":     all(refuse(403, "AccessDenied"), "AccessDenied"),
		"a wrong clock":   all(refuse(403, "RequestTimeTooSkewed"), "the remote cache is left alone in this run: bucket "),
		"another region":  all(refuse(301, "PermanentRedirect"), "the remote cache is left alone in this run: bucket "),
		"no bucket":       all(refuse(404, "NoSuchBucket"), "the remote cache is left alone in this run: bucket "),
		"403 on write":    {fault: refuse(403, "AccessDenied", "PUT", "POST", "DELETE"), warm: readOnly, cold: readOnly},
		"slow":            {bend: blobs(func(b []byte) io.Reader { return drip{whole(b)} }), some: true, cold: []string{"the remote cache is left alone in this run: bucket "}},
		"cut in the body": {bend: blobs(func(b []byte) io.Reader { return io.MultiReader(whole(b[:len(b)/2]), cut{}) }), some: true, warm: []string{""}, cold: []string{""}},
		"swapped bytes":   {bend: blobs(func(b []byte) io.Reader { return whole(bytes.Repeat([]byte("x"), len(b))) }), downloads: 6, warm: bad, cold: bad},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, p := newBucket(t), newProject(t, 5)
			warm, cold := b.newPlaying(t, p), b.newPlaying(t, p.Copy(t))
			first := warm.build(t)
			first.wants(t, 6)
			b.sick(c.fault, c.bend)
			runs := map[*playing]chan played{warm: make(chan played, 1), cold: make(chan played, 1)}
			for h, done := range runs {
				go func() { done <- h.start(t) }()
			}
			for h, done := range runs {
				r := <-done
				if r.took > first.took+longestLoss {
					t.Errorf("the bucket cost the run %v\n%s", r.took-first.took, r.said)
				}
				switch {
				case h == warm:
					r.wants(t, 0, c.warm...)
				case c.some:
					r.wants(t, len(r.downloads), c.cold...)
				default:
					r.wants(t, c.downloads, c.cold...)
				}
				t.Logf("it cost %v", r.took-first.took)
			}
			b.heal()
			warm.build(t).wants(t, 0)
			cold.build(t).wants(t, 0)
			b.newPlaying(t, p.Copy(t)).build(t).wants(t, 0)
		})
	}
}

// TestLostBlobs: a pointer whose tree is gone.
func TestLostBlobs(t *testing.T) {
	integration(t)
	t.Parallel()
	b, p := newBucket(t), newProject(t, 3)
	b.newPlaying(t, p).build(t).wants(t, 4)
	client := s3test.Client(t, b.own)
	for key := range b.objects(t) {
		if strings.Contains(key, "/blobs/") {
			if err := client.RemoveObject(t.Context(), s3test.Bucket, key, minio.RemoveObjectOptions{}); err != nil {
				t.Fatal(err)
			}
		}
	}
	b.newPlaying(t, p.Copy(t)).build(t).wants(t, 4, "read segment sha256:")
	b.newPlaying(t, p.Copy(t)).build(t).wants(t, 0)
}

// TestNoRoomForTheCache has a cache folder on a disk that is full, that may
// not be written, or whose folder of repositories may not.
func TestNoRoomForTheCache(t *testing.T) {
	integration(t)
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("mounting needs root")
	}
	need(t, "unshare")
	for name, c := range map[string]struct {
		inside, warned string
		saved          bool // to the bucket, by the first build
	}{
		"nearly full":                {`mkdir -p "$FASTSHIP_CACHE_DIR" && mount -t tmpfs -o size=600k tmpfs "$FASTSHIP_CACHE_DIR"`, "0.6 MB free; this run uses a temporary one", true},
		"full":                       {`mkdir -p "$FASTSHIP_CACHE_DIR" && mount -t tmpfs -o size=8k tmpfs "$FASTSHIP_CACHE_DIR" && ! head -c 64k /dev/zero > "$FASTSHIP_CACHE_DIR/x" 2>/dev/null`, "no space left on device; this run uses a temporary one", true},
		"read-only":                  {`mkdir -p "$FASTSHIP_CACHE_DIR" && mount -t tmpfs -o ro tmpfs "$FASTSHIP_CACHE_DIR"`, "read-only file system; this run uses a temporary one", true},
		"read-only for repositories": {`mkdir -p "$FASTSHIP_CACHE_DIR/leases" && mount -t tmpfs -o ro tmpfs "$FASTSHIP_CACHE_DIR/leases"`, "Maven uses its own repository", false},
		"a file for repositories":    {`mkdir -p "$FASTSHIP_CACHE_DIR" && touch "$FASTSHIP_CACHE_DIR/leases"`, "leases is not a directory; Maven uses the user's own repository", false},
	} {
		t.Run(name, func(t *testing.T) {
			b, p := newBucket(t), newProject(t, 3)
			h := b.newPlaying(t, p)
			h.inside = c.inside
			h.build(t).wants(t, 4, c.warned)
			h.build(t).wants(t, 0, c.warned)
			other := 4
			if c.saved {
				other = 0
			}
			b.newPlaying(t, p.Copy(t)).build(t).wants(t, other)
		})
	}
}

// TestADryRunOfASharedCacheWritesNothing has a bucket that knows the project,
// and refuses every write, and a host whose file system may only be read.
func TestADryRunOfASharedCacheWritesNothing(t *testing.T) {
	integration(t)
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("a read-only mount namespace needs root")
	}
	need(t, "unshare")
	b, p := newBucket(t), newProject(t, 3)
	plan := func(want string) {
		t.Helper()
		h := b.newPlaying(t, p)
		h.inside = "mount -o remount,bind,ro / && ! touch " + h.Dir + "/probe 2>/dev/null"
		var writes atomic.Int32
		b.sick(func(w http.ResponseWriter, r *http.Request) bool {
			if r.Method == http.MethodGet || r.Method == http.MethodHead {
				return false
			}
			writes.Add(1)
			return refuse(403, "AccessDenied")(w, r)
		}, nil)
		out, err := h.command(t, t.Context(), "--force", "--dry-run").CombinedOutput()
		b.heal()
		if err != nil || !strings.Contains(string(out), "in a repository of its own: the cache is shared with other hosts") || !strings.Contains(string(out), want) {
			t.Errorf("%v; want %q in\n%s", err, want, out)
		}
		if n := writes.Load(); n > 0 {
			t.Errorf("%d writes to the bucket", n)
		}
	}
	plan("restore nothing: no build has saved one yet")
	b.newPlaying(t, p).build(t)
	plan("restore 8 files, 0.7 MB, of an unnamed branch")
}

// TestTerminatedWhileRestoring ends a run that waits for the bucket: at once,
// and the next one has the repository.
func TestTerminatedWhileRestoring(t *testing.T) {
	integration(t)
	t.Parallel()
	b, p := newBucket(t), newProject(t, 3)
	b.newPlaying(t, p).build(t)
	h := b.newPlaying(t, p)
	waiting := make(chan struct{}, 100)
	b.sick(func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.Contains(r.URL.Path, "/blobs/") {
			return false
		}
		waiting <- struct{}{}
		return hang(w, r)
	}, nil)
	cmd := h.command(t, t.Context(), "--force")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	<-waiting
	start := time.Now()
	_ = cmd.Process.Signal(syscall.SIGTERM) // Wait tells
	_ = cmd.Wait()
	if code, took := cmd.ProcessState.ExitCode(), time.Since(start); code != 143 || took > 3*time.Second {
		t.Errorf("exit code %d after %v\n%s", code, took, out.String())
	}
	if n := len(h.Repositories(t)); n > 0 {
		t.Error("Maven was started")
	}
	b.heal()
	h.build(t).wants(t, 0)
}

// TestNoCredentials: they are absent, or who should hand them out is silent.
func TestNoCredentials(t *testing.T) {
	integration(t)
	t.Parallel()
	silent := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { hang(w, r) }))
	t.Cleanup(silent.Close)
	for name, environ := range map[string][]string{
		"absent":                nil,
		"a silent metadata":     {"AWS_EC2_METADATA_DISABLED=false", "AWS_EC2_METADATA_SERVICE_ENDPOINT=" + silent.URL},
		"a silent task's role":  {"AWS_CONTAINER_CREDENTIALS_FULL_URI=" + silent.URL},
		"a profile that is not": {"AWS_PROFILE=nobody"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, p := newBucket(t), newProject(t, 1)
			h := b.newPlaying(t, p)
			h.environ = append([]string{"AWS_ACCESS_KEY_ID=", "AWS_SECRET_ACCESS_KEY="}, environ...)
			r := h.build(t)
			r.wants(t, 2, "AWS_") // in the remedy
			if r.took > longestLoss {
				t.Errorf("it cost %v", r.took)
			}
		})
	}
}
