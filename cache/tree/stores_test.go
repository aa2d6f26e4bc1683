package tree

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/credentials"

	"github.com/fastship/fastship/cache"
	"github.com/fastship/fastship/cache/dir"
	"github.com/fastship/fastship/cache/s3"
	"github.com/fastship/fastship/cache/s3/s3test"
)

// realStore opens one place anew each time, as another process does. For S3 the
// requests go through a transport.
type realStore func(t *testing.T, over http.RoundTripper) cache.Store

// onRealStores runs a test on each kind of store: a directory, S3 in process
// and, among the integration tests, minio.
func onRealStores(t *testing.T, f func(t *testing.T, open realStore)) {
	t.Run("dir", func(t *testing.T) {
		root := t.TempDir()
		f(t, func(t *testing.T, _ http.RoundTripper) cache.Store {
			s, err := dir.Open(root, dir.Options{})
			if err != nil {
				t.Fatal(err)
			}
			return s
		})
	})
	for _, kind := range []s3test.Kind{s3test.Fake, s3test.MinIO} {
		t.Run(string(kind), func(t *testing.T) {
			if kind != s3test.Fake && os.Getenv("FASTSHIP_INTEGRATION") == "" {
				t.Skip("set FASTSHIP_INTEGRATION=1 to run real servers")
			}
			f(t, bucket(s3test.Start(t, kind), "tree"))
		})
	}
}

func bucket(endpoint, prefix string) realStore {
	return func(t *testing.T, over http.RoundTripper) cache.Store {
		s, err := s3.Open(t.Context(), s3.Config{
			Bucket: s3test.Bucket, Prefix: prefix, Scope: "trusted", PathStyle: true, Region: s3test.Region, Endpoint: endpoint, Transport: over,
			Credentials: credentials.NewStaticCredentialsProvider(s3test.AccessKey, s3test.SecretKey, ""),
		})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
}

func TestRealStores(t *testing.T) {
	onRealStores(t, func(t *testing.T, open realStore) {
		warn := func(err error) { t.Errorf("warned: %v", err) }
		want := sample(60)
		first := keep(t, New(Config{Own: open(t, nil), Warn: warn}), Change{Pointer: "team/main", Add: files(want)})
		c := New(Config{Own: open(t, nil), Warn: warn})
		tr := find(t, c, "absent", "team/main")
		wantFiles(t, c, tr, want)
		if tr.Digest() != first.Tree.Digest() {
			t.Error("another tree was found")
		}
		want["new/n.jar"], want["new/n.pom"] = noise(500, 700<<10), []byte("<project/>")
		count := &s3test.Counter{}
		over := New(Config{Own: open(t, count), Warn: warn})
		from := find(t, over, "team/main")
		before := count.Requests()
		s := keep(t, over, Change{Pointer: "team/main", From: from, Used: paths(from), Add: []File{file("new/n.jar", want["new/n.jar"]), file("new/n.pom", want["new/n.pom"])}})
		if n := count.Requests() - before; n > 5 || s.Bytes > 700<<10*11/10+128<<10 {
			t.Errorf("one dependency: %d requests, %+v", n, s)
		}
		wantFiles(t, c, find(t, c, "team/main"), want)
		if got, err := c.Verify(t.Context(), false); err != nil || got.BadBlobs+got.BadPointers > 0 || got.Pointers != 1 {
			t.Errorf("verify: %+v, %v", got, err)
		}
		later := New(Config{Own: open(t, nil), Now: func() time.Time { return time.Now().Add(25 * time.Hour) }})
		orphan := []byte("an orphan")
		if err := open(t, nil).Put(t.Context(), cache.Sum(orphan), 9, bytes.NewReader(orphan)); err != nil {
			t.Fatal(err)
		}
		if got, err := later.GC(t.Context(), GCOptions{}); err != nil || got.Blobs != 1 || got.Pointers != 0 {
			t.Errorf("gc: %+v, %v", got, err)
		}
		wantFiles(t, c, find(t, c, "team/main"), want)
	})
}

func TestSixteenWritersOnRealStores(t *testing.T) {
	onRealStores(t, func(t *testing.T, open realStore) {
		want := map[string][]byte{}
		var wg sync.WaitGroup
		for i := range 16 {
			mine := map[string][]byte{fmt.Sprintf("w%d/pom", i): fmt.Append(nil, i), fmt.Sprintf("w%d/jar", i): noise(uint64(i), 900)}
			for p, b := range mine {
				want[p] = b
			}
			own := open(t, nil)
			wg.Go(func() {
				if _, err := New(Config{Own: own}).Save(t.Context(), Change{Pointer: "main", Add: files(mine)}); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		c := New(Config{Own: open(t, nil)})
		wantFiles(t, c, find(t, c, "main"), want)
	})
}

// stopping ends all requests after a number of those that write.
type stopping struct {
	mu   sync.Mutex
	left int
}

// refusal is an answer that no client tries again.
func refusal(r *http.Request) *http.Response {
	return &http.Response{StatusCode: 403, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Request: r, Header: http.Header{}, Body: io.NopCloser(strings.NewReader("<Error><Code>SignatureDoesNotMatch</Code></Error>"))}
}

func (s *stopping) RoundTrip(r *http.Request) (*http.Response, error) {
	s.mu.Lock()
	if r.Method == http.MethodPut || r.Method == http.MethodPost || r.Method == http.MethodDelete {
		s.left--
	}
	stopped := s.left < 0
	s.mu.Unlock()
	if stopped {
		return refusal(r), nil
	}
	return http.DefaultTransport.RoundTrip(r)
}

// TestStopAfterEveryWriteToABucket ends a save after its k-th request that writes.
func TestStopAfterEveryWriteToABucket(t *testing.T) {
	endpoint := s3test.Start(t, s3test.Fake)
	old := sample(4)
	added := map[string][]byte{"n/big": noise(7, 900<<10), "n/small": noise(8, 900), "n/text": []byte("text")}
	for k := 0; ; k++ {
		open := bucket(endpoint, fmt.Sprint(k))
		c := New(Config{Own: open(t, nil)})
		before := keep(t, c, Change{Pointer: "main", Add: files(old)}).Tree
		stopped := New(Config{Own: open(t, &stopping{left: k})})
		from := find(t, stopped, "main")
		s, err := stopped.Save(t.Context(), Change{Pointer: "main", From: from, Used: paths(from), Add: files(added)})
		after := find(t, c, "main")
		if _, missing := fetchAll(t, c, after); len(missing) > 0 {
			t.Fatalf("stopped after %d writes: %d files are missing", k, len(missing))
		}
		if err == nil {
			if after.Digest() != s.Tree.Digest() || after.Len() != len(old)+len(added) || k < 3 {
				t.Errorf("whole save after %d writes: %d files", k, after.Len())
			}
			return
		}
		if after.Digest() != before.Digest() {
			t.Fatalf("stopped after %d writes: neither the old tree nor the new", k)
		}
	}
}

// sick answers some requests wrongly. Its kinds are those of faultKinds.
type sick struct {
	kind  int
	mu    sync.Mutex
	rand  *rand.Rand
	hits  int
	other []byte
}

var faultKinds = []string{"refused", "broken off", "truncated", "swapped", "flipped"}

func (s *sick) RoundTrip(r *http.Request) (*http.Response, error) {
	s.mu.Lock()
	hit := s.rand.IntN(4) == 0
	at, bit := s.rand.IntN(1<<20), s.rand.IntN(8)
	if hit {
		s.hits++
	}
	s.mu.Unlock()
	if hit && s.kind == 0 {
		return refusal(r), nil
	}
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err != nil || !hit || r.Method != http.MethodGet {
		return resp, err
	}
	b, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	if err != nil || len(b) == 0 {
		return nil, err
	}
	at %= len(b)
	body := io.Reader(bytes.NewReader(b))
	switch s.kind {
	case 1:
		body = io.MultiReader(bytes.NewReader(b[:at]), failing{})
	case 2:
		body = bytes.NewReader(b[:at])
	case 3:
		body = bytes.NewReader(s.other[:len(b)])
	case 4:
		b[at] ^= 1 << bit
	}
	resp.Body = io.NopCloser(body)
	return resp, nil
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// faultRounds is how many rounds of random faults are run: FASTSHIP_FAULTS.
func faultRounds(t *testing.T, usual int) int {
	s := os.Getenv("FASTSHIP_FAULTS")
	if s == "" {
		return usual
	}
	n, err := strconv.Atoi(s)
	if err != nil {
		t.Fatalf("FASTSHIP_FAULTS: %v", err)
	}
	return n
}

// TestFaultsOfABucket bends the answers of an S3 server under finds, fetches
// and saves: no wrong byte ever reaches a sink, and without faults the tree is
// the one last saved.
func TestFaultsOfABucket(t *testing.T) {
	endpoint := s3test.Start(t, s3test.Fake)
	n := faultRounds(t, 20)
	want, other := sample(8), noise(1234, 4<<20)
	var lost, away int
	faults := make([]int, len(faultKinds))
	for seed := range n {
		open := bucket(endpoint, fmt.Sprint(seed%len(faultKinds))) // few: the server keeps all in memory
		sound := New(Config{Own: open(t, nil)})
		tr := keep(t, sound, Change{Pointer: "main", Add: files(want)}).Tree
		over := &sick{kind: seed % len(faultKinds), rand: rand.New(rand.NewPCG(uint64(seed), 2)), other: other}
		c := New(Config{Own: open(t, over)})
		for range 3 {
			found, _, err := c.Find(t.Context(), "main")
			if err != nil {
				away++
				continue
			}
			if found.Digest() != tr.Digest() {
				t.Fatalf("seed %d: another tree", seed)
			}
			got, missing := fetchAll(t, c, found)
			lost += len(missing)
			if len(got)+len(missing) != len(want) {
				t.Errorf("seed %d: %d files and %d missing of %d", seed, len(got), len(missing), len(want))
			}
			for p, b := range got {
				if !bytes.Equal(b, want[p]) {
					t.Fatalf("seed %d: wrong bytes in %s", seed, p)
				}
			}
			_, _ = c.Save(t.Context(), Change{Pointer: "main", From: found, Used: paths(found), Add: files(want)}) // may fail
		}
		faults[over.kind] += over.hits
		after := find(t, sound, "main")
		if after.Digest() != tr.Digest() {
			t.Fatalf("seed %d: another tree after the faults", seed)
		}
		wantFiles(t, sound, after, want)
	}
	total := 0
	var each []string
	for i, k := range faultKinds {
		total += faults[i]
		each = append(each, fmt.Sprintf("%s %d", k, faults[i]))
	}
	if total < n {
		t.Errorf("only %d faults in %d rounds", total, n)
	}
	t.Logf("%d rounds, %d faults (%s), %d files missing, %d trees not found, no wrong byte", n, total, strings.Join(each, ", "), lost, away)
}
