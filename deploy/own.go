package deploy

import (
	"math"
	"slices"
	"time"
)

// Own is what fastship's own records tell of a service's rollouts.
type Own struct {
	Count     int // records of this service, the last 50 at most
	Succeeded int
	Medians   []Median // of those that succeeded: the whole first, then the phases in their order
	Trends    []Trend
}

// Median is the middle of what records say of a phase.
type Median struct {
	Name string // whole, or a phase's
	Took time.Duration
	Of   int // records that know it
}

// Trend is a phase that has taken longer since a revision.
type Trend struct {
	Phase         string
	Since         string        // the first revision that took longer
	From, To      time.Duration // medians, before it and since
	Before, After int           // records that they stand on
	// The medians of the image's size, compressed; 0 where not known.
	FromBytes, ToBytes int64
}

const (
	whole = "whole"
	// A trend is told when both its sides have that many records, and it takes
	// that much longer since.
	minSide = 3
	longer  = 1.25
)

// own sums records up, oldest first.
func own(all []Record) (o Own) {
	o.Count = len(all)
	good := filter(all, func(r Record) bool { return r.Outcome == Succeeded })
	o.Succeeded = len(good)
	for _, name := range append([]string{whole}, phaseNames()...) {
		known := filter(good, func(r Record) bool { _, ok := r.phase(name); return ok })
		if len(known) == 0 {
			continue
		}
		o.Medians = append(o.Medians, Median{name, seconds(median(times(known, name))), len(known)})
		switch name {
		case pulling, starting, health:
			if t, ok := trend(known, name); ok {
				o.Trends = append(o.Trends, t)
			}
		}
	}
	return o
}

// phase is what the record says of a phase, in seconds.
func (r Record) phase(name string) (float64, bool) {
	v, ok := r.Phases[name]
	if name == whole {
		v, ok = r.Seconds, r.Seconds > 0
	}
	return v, ok && v >= 0
}

func times(records []Record, name string) (all []float64) {
	for _, r := range records {
		v, _ := r.phase(name)
		all = append(all, v)
	}
	return all
}

// trend looks for the one revision since which a phase takes longer: the cut
// that leaves the least distance to the medians on its two sides, and at most
// half of what there is without one.
func trend(records []Record, name string) (t Trend, ok bool) {
	all := times(records, name)
	best, at := scatter(all)/2, 0
	for cut := minSide; cut <= len(all)-minSide; cut++ {
		if s := scatter(all[:cut]) + scatter(all[cut:]); s < best {
			best, at = s, cut
		}
	}
	if at == 0 {
		return t, false
	}
	from, to := median(all[:at]), median(all[at:])
	return Trend{
		Phase: name, Since: records[at].Revision, From: seconds(from), To: seconds(to), Before: at, After: len(all) - at,
		FromBytes: imageSize(records[:at]), ToBytes: imageSize(records[at:]),
	}, to >= from*longer && seconds(to-from) >= worthwhile
}

// imageSize is the median of the images' sizes.
func imageSize(records []Record) int64 {
	var all []float64
	for _, r := range records {
		if r.Bytes > 0 {
			all = append(all, float64(r.Bytes))
		}
	}
	return int64(median(all))
}

// scatter is the distance of values to their median, all together.
func scatter(all []float64) (sum float64) {
	m := median(all)
	for _, v := range all {
		sum += math.Abs(v - m)
	}
	return sum
}

// median is 0 without values.
func median(all []float64) float64 {
	if len(all) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(all))
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

// recall takes the phases from the record of the same rollout, when its tasks
// are gone: the revision's, with the same time from its creation to its end.
func (e Exam) recall(m measured) (measured, bool) {
	for _, r := range slices.Backward(e.Records) {
		took := m.record.Finished.Sub(m.record.Created)
		if r.Outcome != Succeeded || r.Revision != ShortName(m.record.TaskDefinition) || (seconds(r.Seconds)-took).Abs() > time.Millisecond {
			continue
		}
		if _, to := r.phase(draining); !to {
			continue // it was not seen whole
		}
		of := func(name string) time.Duration { return seconds(max(0, r.Phases[name])) }
		m.wait, m.provisioning, m.pull, m.start = of(scheduling), of(provisioning), of(pulling), of(starting)
		m.health, m.bake, m.drain = of(health), of(bakeTime), of(draining)
		m.first, m.whole, m.recalled = m.wait, true, true // of waves nothing is known
		return m, true
	}
	return m, false
}
