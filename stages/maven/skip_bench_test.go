package maven

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/fastship/fastship/runner"
)

// BenchmarkSkip is the stage on an unchanged project of 20,000 files, once the
// source is known.
func BenchmarkSkip(b *testing.B) {
	w := newWorkshop(b)
	for i := range 400 {
		folder := filepath.Join(w.dir, "src", "main", "java", fmt.Sprint("p", i))
		if err := os.MkdirAll(folder, 0o755); err != nil {
			b.Fatal(err)
		}
		for n := range 50 {
			if err := os.WriteFile(filepath.Join(folder, fmt.Sprintf("C%d.java", n)), fmt.Appendf(nil, "class C%d {}", n), 0o644); err != nil {
				b.Fatal(err)
			}
		}
	}
	w.builds(b, "first", Config{})
	w.skips(b, "again", Config{})
	in := w.in
	in.Dir, in.Read, in.Files = w.dir, time.Now(), list(b, w.dir)
	for b.Loop() {
		s := w.step(Config{})
		s.deps.Explain = false
		r, err := s.Run(b.Context(), runner.Env{Emit: func(runner.Body) {}, Background: inline}, in)
		if err != nil || r.Status != runner.Cached {
			b.Fatal(r.Status, err)
		}
	}
}
