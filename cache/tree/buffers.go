package tree

import (
	"math/bits"
	"sync"
)

// buffers keeps byte slices for reuse: fresh ones cost page faults and the
// collector's attention, which is most of what copying costs. The zero value
// is ready.
type buffers struct {
	mu    sync.Mutex
	free  [40][][]byte // by the power of two that is their capacity
	bytes int
}

// maxSpare bounds the bytes that are kept for reuse.
const maxSpare = 8 << 20

// get returns a slice of n bytes, with any content.
func (p *buffers) get(n int) []byte {
	class := bits.Len(uint(max(n, 4096) - 1))
	p.mu.Lock()
	defer p.mu.Unlock()
	if f := p.free[class]; len(f) > 0 {
		b := f[len(f)-1]
		p.free[class] = f[:len(f)-1]
		p.bytes -= cap(b)
		return b[:n]
	}
	return make([]byte, n, 1<<class)
}

// put takes back a slice that get returned.
func (p *buffers) put(b []byte) {
	class := bits.Len(uint(cap(b)) - 1)
	p.mu.Lock()
	defer p.mu.Unlock()
	if cap(b) != 1<<class || p.bytes+cap(b) > maxSpare {
		return
	}
	p.free[class] = append(p.free[class], b)
	p.bytes += cap(b)
}
