package zipfs

import (
	"io"
	"sync"
)

// aheadSize is some twenty classes with their headers, in bytes.
const aheadSize = 32 << 10

// Ahead reads source in larger pieces, and keeps the last one: archives are
// read entry by entry, first a header of 30 bytes, then some hundreds of
// content, which would each be a system call. A source that changes may be
// seen as it was. It may be used by several goroutines at once.
func Ahead(source io.ReaderAt) io.ReaderAt { return &ahead{source: source} }

type ahead struct {
	source io.ReaderAt

	mu    sync.Mutex
	piece []byte
	start int64 // of piece in source
}

func (a *ahead) ReadAt(p []byte, offset int64) (int, error) {
	if len(p) > aheadSize {
		return a.source.ReadAt(p, offset)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if at := offset - a.start; at >= 0 && at+int64(len(p)) <= int64(len(a.piece)) {
		return copy(p, a.piece[at:]), nil
	}
	if a.piece == nil {
		a.piece = make([]byte, aheadSize)
	}
	n, err := a.source.ReadAt(a.piece[:aheadSize], offset)
	a.piece, a.start = a.piece[:n], offset
	if n = copy(p, a.piece); n == len(p) {
		return n, nil // what is wrong behind it is for those who ask for that
	}
	return n, err
}
