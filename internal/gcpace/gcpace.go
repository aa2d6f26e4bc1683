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
// long as it is small, the usual ones when it has grown, and as many as it
// takes near the limit. A GOGC or GOMEMLIMIT in the environment stays.
func Relax() {
	_, pace := os.LookupEnv("GOGC")
	_, bound := os.LookupEnv("GOMEMLIMIT")
	settings{pace: !pace, limit: !bound}.follow(0)
}

// settings are which of the collector's nobody else has made, and what they
// are: to set one stops the program for a moment.
type settings struct {
	pace, limit bool
	percent     int
	bytes       int64
}

// sentinel is garbage from the beginning: that its finalizer runs tells that a
// collection has ended. It has a pointer, so that it is not one of many in a
// block for tiny objects.
type sentinel struct{ _ *byte }

// follow sets what fits that heap, and does so again after each collection.
func (s settings) follow(heap uint64) {
	if percent := paceOf(heap); s.pace && percent != s.percent {
		s.percent = percent
		debug.SetGCPercent(percent)
	}
	if bytes := limitOf(heap); s.limit && bytes != s.bytes {
		s.bytes = bytes
		debug.SetMemoryLimit(bytes)
	}
	if s.pace || s.limit {
		runtime.SetFinalizer(&sentinel{}, func(*sentinel) {
			live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
			metrics.Read(live)
			s.follow(live[0].Value.Uint64())
		})
	}
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

// limitOf is the limit for a heap of that many bytes. One that does not fit
// below the usual limit is in use: to collect without a pause would not make
// it smaller.
func limitOf(heap uint64) int64 {
	if heap < limit/100*97 {
		return limit
	}
	return int64(heap + heap/4)
}
