package main

import (
	"fmt"
	"math"
	"slices"
)

// sample is a list of measurements of one thing.
type sample []float64

func (s sample) sorted() sample { return slices.Sorted(slices.Values(s)) }

func (s sample) median() float64 {
	o := s.sorted()
	if len(o)%2 == 1 {
		return o[len(o)/2]
	}
	return (o[len(o)/2-1] + o[len(o)/2]) / 2
}

// interval is the 95 % confidence interval of the median by order statistics:
// no assumption on how the measurements are distributed. Of fewer than six it
// is the whole range.
func (s sample) interval() (low, high float64) {
	o := s.sorted()
	n := len(o)
	tail, k := math.Pow(0.5, float64(n)), 0
	probability := tail // of the median lying below o[0]
	for k+1 < n/2 {
		tail *= float64(n-k) / float64(k+1)
		if probability+tail > 0.025 {
			break
		}
		probability += tail
		k++
	}
	return o[k], o[n-1-k]
}

// ratios divides pair by pair.
func ratios(a, b sample) sample {
	r := make(sample, len(a))
	for i := range a {
		r[i] = a[i] / b[i]
	}
	return r
}

func (s sample) String() string {
	low, high := s.interval()
	return fmt.Sprintf("%.3f (%.3f–%.3f)", s.median(), low, high)
}

// bound is one promise: it is missed only when the whole interval lies beyond.
type bound struct {
	what string
	got  sample
	max  float64
	unit string
}

func (b bound) missed() bool {
	low, _ := b.got.interval()
	return low > b.max
}

func report(bounds []bound) error {
	missed := 0
	fmt.Printf("| what | median (95 %% interval) | bound | |\n|---|---|---|---|\n")
	for _, b := range bounds {
		verdict := "held"
		if b.missed() {
			verdict, missed = "MISSED", missed+1
		}
		fmt.Printf("| %s | %s %s | ≤ %.3g %s | %s |\n", b.what, b.got, b.unit, b.max, b.unit, verdict)
	}
	if missed > 0 {
		return fmt.Errorf("%d bounds missed", missed)
	}
	return nil
}
