package containerruntime

import (
	"os"
	"sync"
)

// keptLines is how much of a container's output is remembered.
const keptLines = 200

// record is the output of one container: its last lines in memory, all of it
// in a file while the task lives.
type record struct {
	mu    sync.Mutex
	lines []string // a ring once it is full
	next  int
	file  *os.File // nil: none, or none any more
}

func (r *record) add(line string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.lines) < keptLines {
		r.lines = append(r.lines, line)
	} else {
		r.lines[r.next] = line
		r.next = (r.next + 1) % keptLines
	}
	if r.file != nil {
		_, _ = r.file.WriteString(line + "\n") // a full disk must not stop the application
	}
}

// last returns the remembered lines in their order.
func (r *record) last() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append(append([]string{}, r.lines[r.next:]...), r.lines[:r.next]...)
}

func (r *record) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.file != nil {
		r.file.Close()
		r.file = nil
	}
}
