// Package gcpace lets the garbage collector of a short process rest while its
// heap is small.
package gcpace

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
)

// The collector's usual pace is one collection whenever the heap has doubled,
// from 4 MB on: a run that does nothing else than find nothing to do collects
// six times, and spends a sixth of its time on it.
const (
	usual   = 100 // GOGC's default, percent
	smaller = 200 // below twice the small heap
	small   = 400
)

// smallHeap is what survives a collection and still counts as little, bytes.
// Five times as much is less than what a run with a large jar takes anyhow.
const smallHeap = 10 << 20

// limit is what Go's memory may grow to, in bytes, before the collector runs
// more often than it would: what is promised is 150 MB for the whole process,
// of which the program itself takes some 20.
const limit = 100 << 20

// Relax sets a pace that depends on the size of the heap: rare collections as
// long as it is small, the usual ones when it has grown, and as many as it takes
// near the limit. GOGC and GOMEMLIMIT in the environment stay.
func Relax() {
	if _, set := os.LookupEnv("GOMEMLIMIT"); !set {
		debug.SetMemoryLimit(limit)
	}
	if _, set := os.LookupEnv("GOGC"); set {
		return
	}
	debug.SetGCPercent(small)
	watch(small)
}

// sentinel is garbage from the beginning: that its finalizer runs tells that a
// collection has ended. It has a pointer, so that it is not one of many in a
// block for tiny objects.
type sentinel struct{ _ *byte }

func watch(pace int) {
	runtime.SetFinalizer(&sentinel{}, func(*sentinel) {
		live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
		metrics.Read(live)
		next := paceOf(live[0].Value.Uint64())
		if next != pace {
			debug.SetGCPercent(next)
		}
		watch(next)
	})
}

// paceOf is GOGC for a heap of that many bytes.
func paceOf(heap uint64) int {
	switch {
	case heap < smallHeap:
		return small
	case heap < 2*smallHeap:
		return smaller
	}
	return usual
}
