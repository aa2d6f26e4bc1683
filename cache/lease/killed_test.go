package lease

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/fastship/fastship/cache/tree"
)

// A fetch that stops after its k-th file, for every k, and one that gives half
// a file: nothing of it is trusted that is not whole.
func TestStopAfterEveryFile(t *testing.T) {
	c := repository(6)
	stopped := errors.New("stopped")
	for k := range len(c) {
		p := pool(t, t.TempDir(), Options{})
		l := take(t, p, c)
		n := 0
		_, err := l.apply(t.Context(), c.entries(), func(ctx context.Context, want []tree.Entry, sink tree.Sink) ([]tree.Entry, error) {
			for _, e := range want {
				b := io.Reader(strings.NewReader(c[e.Path]))
				if n == k {
					b = io.MultiReader(strings.NewReader(c[e.Path][:3]), errReader{stopped})
				}
				n++
				if err := sink(ctx, e, b); err != nil {
					return nil, err
				}
			}
			return nil, nil
		})
		if !errors.Is(err, stopped) {
			t.Fatalf("k=%d: %v", k, err)
		}
		if err := l.lock.Close(); err != nil { // as a killed process's
			t.Fatal(err)
		}
		l = take(t, p, c)
		if a := apply(t, l, c, c.fetch); a.Kept.Files+a.Copied.Files != k {
			t.Errorf("k=%d: %+v", k, a)
		}
	}
}

type errReader struct{ err error }

func (r errReader) Read([]byte) (int, error) { return 0, r.err }

// TestKill is also the process that is killed.
func TestKill(t *testing.T) {
	const rootVariable = "LEASE_KILL_ROOT"
	c, half := repository(60), repository(30)
	if root := os.Getenv(rootVariable); root != "" {
		p := pool(t, root, Options{})
		fmt.Println("begun")
		for {
			for _, want := range []content{c, half} {
				l := take(t, p, want)
				if _, err := l.apply(t.Context(), want.entries(), c.fetch); err != nil {
					t.Fatal(err)
				}
				closeLease(t, l)
			}
		}
	}
	kills := 4
	if n, err := strconv.Atoi(os.Getenv("FASTSHIP_KILLS")); err == nil {
		kills = n
	}
	root := t.TempDir()
	for i := range kills {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestKill$")
		cmd.Env = append(os.Environ(), rootVariable+"="+root)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if b := make([]byte, 5); true {
			if _, err := io.ReadFull(out, b); err != nil || !bytes.Equal(b, []byte("begun")) {
				t.Fatalf("%q, %v", b, err)
			}
		}
		time.Sleep(time.Duration(3+7*i%50) * time.Millisecond)
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait()
		p := pool(t, root, Options{})
		l := take(t, p, c)
		apply(t, l, c, c.fetch)
		closeLease(t, l)
	}
}
