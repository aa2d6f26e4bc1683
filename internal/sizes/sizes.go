// Package sizes writes counts of bytes as people read them.
package sizes

import (
	"fmt"
	"io"
)

// Text is n bytes in kB (1,000 bytes) below a megabyte, in MB (1,000,000)
// from there on, with one decimal.
func Text(n int64) string {
	if n < 1_000_000 {
		return fmt.Sprintf("%.1f kB", float64(n)/1e3)
	}
	return fmt.Sprintf("%.1f MB", float64(n)/1e6)
}

// Writer counts what W took.
type Writer struct {
	W io.Writer
	N int64 // bytes so far
}

// Write implements io.Writer.
func (w *Writer) Write(p []byte) (int, error) {
	n, err := w.W.Write(p)
	w.N += int64(n)
	return n, err
}
