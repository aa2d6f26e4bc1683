package gcpace

import (
	"os"
	"runtime"
	"runtime/debug"
	"testing"
	"time"
)

// percent is the collector's pace now.
func percent() int {
	now := debug.SetGCPercent(100)
	debug.SetGCPercent(now)
	return now
}

// waitFor collects until the pace is that: finalizers run a little later.
func waitFor(t *testing.T, want int) {
	t.Helper()
	for range 100 {
		runtime.GC()
		time.Sleep(5 * time.Millisecond)
		if percent() == want {
			return
		}
	}
	t.Errorf("the pace is %d, want %d", percent(), want)
}

func TestRelax(t *testing.T) {
	t.Setenv("GOGC", "")
	os.Unsetenv("GOGC")
	defer debug.SetGCPercent(debug.SetGCPercent(100))
	defer debug.SetMemoryLimit(memoryLimit())
	Relax()
	if percent() != small {
		t.Errorf("begins with %d", percent())
	}
	held := make([]byte, 30<<20)
	waitFor(t, usual)
	runtime.KeepAlive(held)
	held = make([]byte, 12<<20)
	waitFor(t, smaller)
	runtime.KeepAlive(held)
	waitFor(t, small)
}

// memoryLimit is what the collector holds Go's memory to now, in bytes.
func memoryLimit() int64 { return debug.SetMemoryLimit(-1) }

func TestLimit(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(100))
	defer debug.SetMemoryLimit(memoryLimit())
	t.Setenv("GOMEMLIMIT", "1GiB")
	before := memoryLimit()
	if Relax(); memoryLimit() != before {
		t.Errorf("the user's limit went from %d to %d", before, memoryLimit())
	}
	os.Unsetenv("GOMEMLIMIT")
	if Relax(); memoryLimit() != limit {
		t.Errorf("the limit is %d", memoryLimit())
	}
	for heap, want := range map[uint64]int64{0: limit, limit - 4<<20: limit, limit: limit * 5 / 4, 400 << 20: 500 << 20} {
		if got := limitOf(heap); got != want {
			t.Errorf("a heap of %d bytes has a limit of %d", heap, got)
		}
	}
}

func TestTheUserDecides(t *testing.T) {
	t.Setenv("GOGC", "150")
	defer debug.SetMemoryLimit(memoryLimit())
	before := percent()
	Relax()
	if percent() != before {
		t.Errorf("the pace went from %d to %d", before, percent())
	}
}
