package cachetest

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fastship/fastship/cache"
)

// The suite's other processes are this test binary, with these set.
const (
	roleVariable    = "CACHETEST_ROLE"
	addressVariable = "CACHETEST_ADDRESS"
)

const (
	roleShare  = "share"  // a few rounds of everything, then the end
	roleEndure = "endure" // rounds until killed
)

func process(t *testing.T, role, address string) *exec.Cmd {
	top, _, _ := strings.Cut(t.Name(), "/")
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+top+"$", "-test.v=false")
	cmd.Env = append(os.Environ(), roleVariable+"="+role, addressVariable+"="+address)
	return cmd
}

func playRole(t *testing.T, target Target, role string) {
	for round := 0; role == roleEndure || round < 4; round++ {
		// A store of its own for each round: each begins by clearing away
		// what dead processes left.
		s := target.Open(t, os.Getenv(addressVariable))
		if err := work(t, s, round); err != nil {
			t.Fatal(err)
		}
		fmt.Println("round", round)
	}
}

// work does one piece of work as a stage does: blobs, then the action that
// refers to them, and a tree.
func work(t *testing.T, s Stores, round int) error {
	var blobs []cache.Descriptor
	for i := range 4 {
		b := content(uint64(1000*round+i), 30_000*(i+1))
		d := cache.Descriptor{Digest: cache.Sum(b), Size: int64(len(b))}
		if err := s.Blobs.Put(t.Context(), d.Digest, d.Size, bytes.NewReader(b)); err != nil {
			return err
		}
		blobs = append(blobs, d)
	}
	out, err := json.Marshal(round)
	if err != nil {
		return err
	}
	if err := s.Actions.PutAction(t.Context(), roundKey(round), cache.Action{Outputs: out, Blobs: blobs}); err != nil {
		return err
	}
	if local, ok := s.Blobs.(cache.LocalStore); ok {
		dir, release, err := local.Expanded(t.Context(), blobs[0].Digest, fillTree)
		if err != nil {
			return err
		}
		defer release()
		if err := treeIs(dir); err != nil {
			return err
		}
	}
	_, err = check(t, s, round)
	return err
}

func roundKey(round int) cache.Key { return cache.NewKey("round", "1").Add("n", round).Key() }

// check reads what a round leaves, if it is there: an action that is there
// has all its blobs, and all of them are right.
func check(t *testing.T, s Stores, round int) (there bool, err error) {
	a, err := s.Actions.GetAction(t.Context(), roundKey(round))
	if errors.Is(err, cache.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if string(a.Outputs) != fmt.Sprint(round) || len(a.Blobs) != 4 {
		return false, fmt.Errorf("round %d has the action %+v", round, a)
	}
	for _, d := range a.Blobs {
		b, err := get(t.Context(), s.Blobs, d.Digest, 0, -1)
		if err != nil {
			return false, fmt.Errorf("a blob of round %d: %w", round, err)
		}
		if int64(len(b)) != d.Size {
			return false, fmt.Errorf("a blob of round %d has %d bytes of %d", round, len(b), d.Size)
		}
	}
	return true, nil
}

// testProcesses has three processes do the same work at once.
func testProcesses(t *testing.T, target Target) {
	address := target.Make(t)
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			if out, err := process(t, roleShare, address).CombinedOutput(); err != nil {
				t.Errorf("%v: %s", err, out)
			}
		})
	}
	wg.Wait()
	s := target.Open(t, address)
	for round := range 4 {
		if there, err := check(t, s, round); err != nil || !there {
			t.Errorf("round %d: there %v, %v", round, there, err)
		}
	}
}

// testKill kills a process in the middle of its work, a few times, and looks
// at what it leaves.
func testKill(t *testing.T, target Target) {
	address := target.Make(t)
	for attempt := range 6 {
		cmd := process(t, roleEndure, address)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewReader(out)
		for range attempt + 1 {
			if line, err := lines.ReadString('\n'); err != nil || !strings.HasPrefix(line, "round") {
				t.Fatalf("%q, %v", line, err)
			}
		}
		time.Sleep(time.Duration(attempt) * 3 * time.Millisecond) // somewhere in a round
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait()
		s := target.Open(t, address)
		for round := range 50 {
			there, err := check(t, s, round)
			if err != nil {
				t.Errorf("attempt %d: %v", attempt, err)
			}
			if round <= attempt && !there {
				t.Errorf("attempt %d: round %d was done and is gone", attempt, round)
			}
		}
		for info, err := range s.Blobs.List(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			if _, err := get(t.Context(), s.Blobs, info.Digest, 0, -1); err != nil {
				t.Errorf("attempt %d: %v", attempt, err)
			}
		}
	}
}
