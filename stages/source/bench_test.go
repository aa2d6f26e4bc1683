package source

import (
	"context"
	"os"
	"testing"
)

// BenchmarkRead reads the tree in $FASTSHIP_BENCH_SOURCE, by default this
// package's own.
func BenchmarkRead(b *testing.B) {
	dir := os.Getenv("FASTSHIP_BENCH_SOURCE")
	if dir == "" {
		dir = "."
	}
	for b.Loop() {
		if _, _, err := New(Config{Dir: dir}).read(context.Background()); err != nil {
			b.Fatal(err)
		}
	}
}
