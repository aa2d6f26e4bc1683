package push

import (
	"context"
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

	"github.com/google/go-containerregistry/pkg/v1/validate"

	"github.com/fastship/fastship/internal/fault"
)

// mischief is what happens to a request on a bad day.
var mischief = map[string]func(w http.ResponseWriter, r *http.Request){
	"throttled": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTooManyRequests) },
	"later": func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", time.Now().Add(time.Second).UTC().Format(http.TimeFormat))
		w.WriteHeader(http.StatusServiceUnavailable)
	},
	"proxy": func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusBadGateway)
		io.WriteString(w, "<html><head><title>502 Bad Gateway</title></head>\n<body>nobody is\nthere</body></html>")
	},
	"timeout": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusGatewayTimeout) },
	"cut early": func(w http.ResponseWriter, r *http.Request) {
		io.CopyN(io.Discard, r.Body, 10)
		hijack(w)
	},
	"cut late": func(w http.ResponseWriter, r *http.Request) {
		io.CopyN(io.Discard, r.Body, 3<<20)
		hijack(w)
	},
	"half an answer": func(w http.ResponseWriter, _ *http.Request) {
		if conn, _, err := http.NewResponseController(w).Hijack(); err == nil {
			io.WriteString(conn, "HTTP/1.1 201 Created\r\nDocker-Con")
			conn.Close()
		}
	},
	"forgotten": func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusNotFound)
		io.WriteString(w, `{"errors":[{"code":"BLOB_UPLOAD_UNKNOWN","message":"blob upload unknown to registry"}]}`)
	},
	"login page": func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, "<!doctype html><title>Sign in</title>")
	},
	"denied": func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusForbidden)
		io.WriteString(w, `{"errors":[{"code":"DENIED","message":"requested access to the resource is denied"}]}`)
	},
}

// TestBadDays pushes two images, one after the other, on days on which requests
// fail by chance and runs are killed, and holds what must be so on any day: a
// push that says it is done has brought the whole image, and one that does not
// says why in one line, with a remedy. A good day mends all of it.
// FASTSHIP_PUSH_DAYS is how many days there are (5); every fifth is the worst.
func TestBadDays(t *testing.T) {
	days := 5
	if n, err := strconv.Atoi(os.Getenv("FASTSHIP_PUSH_DAYS")); err == nil {
		days = n
	}
	base := random(5 << 20)
	for seed := range days {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			badDay(t, uint64(seed), base)
		})
	}
}

func badDay(t *testing.T, seed uint64, base []byte) {
	chance := rand.New(rand.NewPCG(seed, 7))
	s := newServer(t)
	keepUploads(s, true, seed%2 == 0)
	sound := s.before
	var mu sync.Mutex
	quiet := false
	s.misbehave(func(w http.ResponseWriter, r *http.Request) bool {
		mu.Lock()
		bad := !quiet && chance.IntN(100) < 5+10*int(seed%5)
		kinds := []string{"throttled", "later", "proxy", "timeout", "cut early", "cut late", "half an answer", "forgotten", "login page", "denied"}
		if chance.IntN(4) > 0 {
			kinds = kinds[:7] // what passes is more usual
		}
		kind := kinds[chance.IntN(len(kinds))]
		mu.Unlock()
		if !bad {
			return sound(w, r)
		}
		mischief[kind](w, r)
		return true
	})
	deps := anonymous()
	deps.State = t.TempDir()
	push := func(ctx context.Context, in In, tag string) error {
		step := New(Config{Repository: s.host() + "/x", Tags: []string{tag}}, deps)
		if err := step.Check(ctx); err != nil {
			return err
		}
		_, err := step.Run(ctx, (&events{}).env(), in)
		return err
	}
	for n, tag := range []string{"one", "two"} {
		in := makeImage(t, t.TempDir(), base, random(300_000+n), random(100+n))
		for range 3 {
			mu.Lock()
			ctx, kill := context.WithTimeout(t.Context(), time.Duration(chance.IntN(2000))*time.Millisecond)
			mu.Unlock()
			err := push(ctx, in, tag)
			killed := ctx.Err() != nil
			kill()
			switch {
			case err == nil:
				mu.Lock()
				quiet = true // validate does not try again
				mu.Unlock()
				arrived(t, s, in, tag)
				mu.Lock()
				quiet = false
				mu.Unlock()
			case killed:
			case fault.ClassOf(err) != fault.Missing && fault.ClassOf(err) != fault.ImageFailed, fault.HintOf(err) == "", strings.ContainsAny(err.Error(), "\n<"):
				t.Errorf("day %d: class %d: %v\nhint: %s", seed, fault.ClassOf(err), err, fault.HintOf(err))
			}
		}
		mu.Lock()
		quiet = true
		mu.Unlock()
		if err := push(t.Context(), in, tag); err != nil {
			t.Errorf("day %d: a good day after it: %v", seed, err)
		}
		arrived(t, s, in, tag)
		mu.Lock()
		quiet = false
		mu.Unlock()
	}
}

// arrived pulls an image and looks at each of its bytes.
func arrived(t *testing.T, s *server, in In, tag string) {
	t.Helper()
	image := pull(t, s.host()+"/x:"+tag)
	if d, err := image.Digest(); err != nil || d.String() != in.Digest {
		t.Errorf("%s is %s, %v", tag, d, err)
	}
	if err := validate.Image(image); err != nil {
		t.Errorf("%s: %v", tag, err)
	}
}
