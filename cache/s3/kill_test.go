package s3

import (
	"bufio"
	"bytes"
	"context"
	crand "crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/url"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fastship/fastship/cache"
	"github.com/fastship/fastship/cache/dir"
	"github.com/fastship/fastship/cache/s3/s3test"
	"github.com/fastship/fastship/cache/tree"
)

const (
	killedVariable = "FASTSHIP_TEST_KILLED" // the killed process's store
	killsVariable  = "FASTSHIP_KILLS"       // rounds
)

// TestKilledSaves kills processes that save trees with SIGKILL at random
// times. After each, every byte that a reader is given is right, everything
// that was said to be saved is there, and the next save works.
func TestKilledSaves(t *testing.T) {
	if address := os.Getenv(killedVariable); address != "" {
		saveForEver(t, storeAt(t, address))
		return
	}
	if os.Getenv("FASTSHIP_INTEGRATION") == "" {
		t.Skip("set FASTSHIP_INTEGRATION=1 to run real servers")
	}
	rounds := 2
	if n, err := strconv.Atoi(os.Getenv(killsVariable)); err == nil {
		rounds = n
	}
	for kind, address := range map[string]string{
		"dir":   t.TempDir(),
		"minio": "s3://" + s3test.Bucket + "/" + crand.Text() + "?path-style=true&region=us-east-1&endpoint=" + url.QueryEscape(servers.Start(t, s3test.MinIO)),
	} {
		t.Run(kind, func(t *testing.T) {
			s := storeAt(t, address)
			acknowledged := map[string]bool{}
			files := 0
			for round := range rounds {
				for _, path := range killOne(t, address) {
					acknowledged[path] = true
				}
				files = readAll(t, s, acknowledged)
				mine := fmt.Sprintf("parent/%d", round)
				saveFiles(t, s, mine)
				acknowledged[mine] = true
			}
			t.Logf("%d processes killed, %d files said to be saved, %d at the end, none lost or wrong", rounds, len(acknowledged), files+1)
		})
	}
}

func storeAt(t *testing.T, address string) cache.Store {
	t.Helper()
	if strings.HasPrefix(address, "s3://") {
		return openAt(t, address, nil)
	}
	s, err := dir.Open(address, dir.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// content is what a path always holds: up to 700 kB, so that some are blobs
// of their own.
func content(path string) []byte {
	sum := cache.Sum([]byte(path)).Hex()
	n, err := strconv.ParseUint(sum[:8], 16, 64)
	if err != nil {
		panic(err)
	}
	b := make([]byte, 1+n%30_000)
	if n%5 == 0 {
		b = make([]byte, 520_000+n%180_000)
	}
	_, _ = rand.NewChaCha8([32]byte(binary.LittleEndian.AppendUint64(make([]byte, 24), n))).Read(b)
	return b
}

func saveFiles(t *testing.T, s cache.Store, paths ...string) {
	t.Helper()
	c := tree.New(tree.Config{Own: s})
	from, _, err := c.Find(t.Context(), "main")
	if err != nil && !errors.Is(err, cache.ErrNotFound) {
		t.Fatal(err)
	}
	ch := tree.Change{Pointer: "main", From: from}
	for _, path := range paths {
		b := content(path)
		ch.Add = append(ch.Add, tree.File{Path: path, Size: int64(len(b)), Mode: 0o644, Open: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b)), nil }})
	}
	if _, err := c.Save(t.Context(), ch); err != nil {
		t.Fatal(err)
	}
}

// saveForEver says what it saved after it was saved.
func saveForEver(t *testing.T, s cache.Store) {
	fmt.Println("ready")
	for n := 0; ; n++ {
		var paths []string
		for i := range 12 {
			paths = append(paths, fmt.Sprintf("%d/%d/%d", os.Getpid(), n, i))
		}
		saveFiles(t, s, paths...)
		fmt.Println("saved", strings.Join(paths, " "))
	}
}

// killOne starts a process, kills it, and returns what it said it had saved.
func killOne(t *testing.T, address string) (saved []string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestKilledSaves$")
	cmd.Env = append(os.Environ(), killedVariable+"="+address)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for lines := bufio.NewScanner(out); lines.Scan(); {
		switch word, rest, _ := strings.Cut(lines.Text(), " "); word {
		case "ready":
			time.AfterFunc(time.Duration(rand.IntN(500))*time.Millisecond, func() { _ = cmd.Process.Kill() })
		case "saved":
			saved = append(saved, strings.Fields(rest)...)
		default:
			t.Errorf("the process says %s", lines.Text())
		}
	}
	if err := cmd.Wait(); err == nil || !strings.Contains(err.Error(), "killed") {
		t.Errorf("the process ended by itself: %v", err)
	}
	return saved
}

// readAll reads the tree as another host does and returns how many files it
// has.
func readAll(t *testing.T, s cache.Store, acknowledged map[string]bool) int {
	t.Helper()
	c := tree.New(tree.Config{Own: s, Warn: func(err error) { t.Errorf("warning: %v", err) }})
	found, _, err := c.Find(t.Context(), "main")
	if errors.Is(err, cache.ErrNotFound) && len(acknowledged) == 0 {
		return 0
	}
	if err != nil {
		t.Fatal(err)
	}
	for path := range acknowledged {
		if _, ok := found.Get(path); !ok {
			t.Errorf("%s is lost", path)
		}
	}
	var want []tree.Entry
	for e := range found.All() {
		want = append(want, e)
	}
	var read atomic.Int64
	missing, err := c.Fetch(t.Context(), found, want, func(_ context.Context, e tree.Entry, r io.Reader) error {
		b, err := io.ReadAll(r)
		if err == nil && !bytes.Equal(b, content(e.Path)) {
			t.Errorf("%s holds wrong bytes", e.Path)
		}
		read.Add(1)
		return err
	})
	if err != nil || len(missing) > 0 || int(read.Load()) != found.Len() {
		t.Errorf("%d of %d files read, %d missing, %v", read.Load(), found.Len(), len(missing), err)
	}
	return found.Len()
}
