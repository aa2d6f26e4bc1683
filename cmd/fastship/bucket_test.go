package main

import (
	"bytes"
	"context"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	minio "github.com/minio/minio-go/v7"

	"github.com/fastship/fastship/cache/s3/s3test"
	"github.com/fastship/fastship/internal/mvntest"
)

// bucket is an S3 server in this process, behind a wire that a test may cut.
type bucket struct {
	store string // cache.store
	own   string // the server's own endpoint
	wire  *httptest.Server

	mu    sync.Mutex
	fault func(w http.ResponseWriter, r *http.Request) bool // nil: the server answers
	bend  func(*http.Response) error
}

func newBucket(t *testing.T) *bucket {
	t.Helper()
	b := &bucket{own: s3test.Start(t, s3test.Fake)}
	to, err := url.Parse(b.own)
	if err != nil {
		t.Fatal(err)
	}
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(to) },
		ModifyResponse: func(r *http.Response) error {
			b.mu.Lock()
			bend := b.bend
			b.mu.Unlock()
			if bend == nil {
				return nil
			}
			return bend(r)
		},
		ErrorLog:     log.New(io.Discard, "", 0), // of bodies that are cut
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) { panic(http.ErrAbortHandler) },
	}
	b.wire = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b.mu.Lock()
		fault := b.fault
		b.mu.Unlock()
		if fault == nil || !fault(w, r) {
			proxy.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(b.wire.Close)
	b.store = "s3://" + s3test.Bucket + "/team?region=" + s3test.Region + "&path-style=true&endpoint=" + b.wire.URL
	return b
}

// sick makes the wire misbehave; heal ends that.
func (b *bucket) sick(fault func(http.ResponseWriter, *http.Request) bool, bend func(*http.Response) error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.fault, b.bend = fault, bend
}

func (b *bucket) heal() { b.sick(nil, nil) }

// objects are the bucket's keys with their sums.
func (b *bucket) objects(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	for o := range s3test.Client(t, b.own).ListObjects(t.Context(), s3test.Bucket, minio.ListObjectsOptions{Recursive: true}) {
		if o.Err != nil {
			t.Fatal(o.Err)
		}
		all[o.Key] = o.ETag
	}
	return all
}

// newProject is a played project that needs n small libraries and a large one.
func newProject(t *testing.T, n int) *mvntest.Project {
	t.Helper()
	p := mvntest.New(t, n)
	config(t, p.Dir, "maven: {args: [-DskipTests]}\n")
	return p
}

// playing is a host whose Maven is played and whose cache is shared through a
// bucket.
type playing struct {
	*mvntest.Host
	project *mvntest.Project
	bucket  *bucket
	local   string // FASTSHIP_CACHE_DIR
	environ []string
	inside  string // a shell line that prepares the place where fastship runs; empty: none
}

func (b *bucket) newPlaying(t *testing.T, p *mvntest.Project) *playing {
	t.Helper()
	sharedDir(t) // is no part of a run's time
	return &playing{Host: p.NewHost(t), project: p, bucket: b, local: filepath.Join(t.TempDir(), "cache")}
}

func (h *playing) env() []string {
	return slices.Concat(h.Environ(), []string{
		"FASTSHIP_CACHE_STORE=" + h.bucket.store, "FASTSHIP_CACHE_DIR=" + h.local, "AWS_EC2_METADATA_DISABLED=true",
		"AWS_ACCESS_KEY_ID=" + s3test.AccessKey, "AWS_SECRET_ACCESS_KEY=" + s3test.SecretKey,
	}, h.environ)
}

func (h *playing) command(t *testing.T, ctx context.Context, args ...string) *exec.Cmd {
	t.Helper()
	args = append([]string{filepath.Join(sharedDir(t), "fastship"), "run", "--until", "maven"}, args...)
	if h.inside != "" {
		args = append([]string{"unshare", "--mount", "sh", "-c", h.inside + ` && exec "$@"`, "sh"}, args...)
	}
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Dir, cmd.Env = h.project.Dir, h.env()
	return cmd
}

// played is one run of fastship.
type played struct {
	said      string
	downloads []string
	took      time.Duration
}

func (p played) warnings() []string {
	var all []string
	for line := range strings.Lines(p.said) {
		if strings.Contains(line, "warning: ") {
			all = append(all, strings.TrimSpace(line))
		}
	}
	return all
}

// run runs the Maven job, which must succeed.
func (h *playing) run(t *testing.T, args ...string) played {
	before := len(h.Downloads(t))
	start := time.Now()
	var out bytes.Buffer
	cmd := h.command(t, t.Context(), append([]string{"--force"}, args...)...)
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	p := played{said: out.String(), took: time.Since(start), downloads: h.Downloads(t)[before:]}
	if err != nil {
		t.Errorf("fastship: %v\n%s", err, p.said)
	}
	return p
}

// start is run of a job that must be given right bytes.
func (h *playing) start(t *testing.T, args ...string) played {
	p := h.run(t, args...)
	if wrong := h.Wrong(t); len(wrong) > 0 {
		t.Errorf("Maven was given wrong bytes in %q\n%s", wrong, p.said)
	}
	return p
}

// build is start of a job without which the test cannot go on.
func (h *playing) build(t *testing.T, args ...string) played {
	t.Helper()
	p := h.start(t, args...)
	if t.Failed() {
		t.FailNow()
	}
	return p
}

// wants checks a run's downloads and warnings.
func (p played) wants(t *testing.T, downloads int, warnings ...string) {
	t.Helper()
	if len(p.downloads) != downloads {
		t.Errorf("downloaded %q, want %d\n%s", p.downloads, downloads, p.said)
	}
	said := p.warnings()
	if len(said) != len(warnings) {
		t.Fatalf("warnings %q, want %q\n%s", said, warnings, p.said)
	}
	for i, w := range warnings {
		if !strings.Contains(said[i], w) {
			t.Errorf("warning %q, want %q", said[i], w)
		}
	}
}
