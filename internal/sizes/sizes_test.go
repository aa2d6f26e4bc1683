package sizes

import (
	"io"
	"testing"
)

func TestText(t *testing.T) {
	for n, want := range map[int64]string{0: "0.0 kB", 1234: "1.2 kB", 999_900: "999.9 kB", 1_000_000: "1.0 MB", 65_600_000: "65.6 MB", 5_000_000_000: "5000.0 MB"} {
		if got := Text(n); got != want {
			t.Errorf("%d bytes: %s, want %s", n, got, want)
		}
	}
}

// short takes two bytes of each write.
type short struct{}

func (short) Write(p []byte) (int, error) { return min(len(p), 2), io.ErrShortWrite }

func TestWriter(t *testing.T) {
	w := Writer{W: io.Discard}
	_, _ = io.WriteString(&w, "one")
	_, _ = io.WriteString(&w, "two")
	if w.W = (short{}); w.N != 6 {
		t.Errorf("%d bytes of six", w.N)
	}
	if n, err := io.WriteString(&w, "three"); n != 2 || err != io.ErrShortWrite || w.N != 8 {
		t.Errorf("%d, %v, %d in all", n, err, w.N)
	}
}
