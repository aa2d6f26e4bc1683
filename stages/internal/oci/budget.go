package oci

import (
	"context"
	"runtime"
	"sync"

	"golang.org/x/sync/semaphore"
)

// Budget bounds the memory of all layers that are compressed with it, also
// side by side and by several codecs. What they keep to use again is shared,
// and is let go when the last of them has ended.
type Budget struct {
	bytes   int64
	room    *semaphore.Weighted // bytes
	running chan struct{}       // one for each compressor at work

	mu     sync.Mutex
	layers int                 // being written
	idle   map[string][]block  // compressors by codec
	spare  map[string][]buffer // by codec
}

// usualBudget is that of a codec which was given none, in bytes: a process
// that writes layers then stays below 135 MB. Less would let processors wait.
const usualBudget = 88 << 20

// NewBudget makes a budget of that many bytes; zero means the usual ones.
func NewBudget(bytes int64) *Budget {
	if bytes == 0 {
		bytes = usualBudget
	}
	return &Budget{
		bytes: bytes, room: semaphore.NewWeighted(bytes),
		running: make(chan struct{}, min(runtime.GOMAXPROCS(0), mostRunning)),
		idle:    map[string][]block{}, spare: map[string][]buffer{},
	}
}

// mostRunning are the compressors at work at once, whatever the machine has.
const mostRunning = 8

// buffer holds a block of a tar and, later, what became of it.
type buffer struct{ src, packed []byte }

// weight is what n bytes count: no more of them at once than keep the
// processors busy, however small.
func (b *Budget) weight(n int64) int64 {
	most := int64(3 * min(cap(b.running), 4))
	return min(max(n, b.bytes/most), b.bytes)
}

// Reserve sets aside n bytes for something else than layers until release is
// called. Half of the budget stays theirs, whatever n is.
func (b *Budget) Reserve(ctx context.Context, n int64) (release func(), err error) {
	n = min(n, b.bytes/2)
	if err := b.room.Acquire(ctx, n); err != nil {
		return nil, context.Cause(ctx)
	}
	return func() { b.room.Release(n) }, nil
}

func (b *Budget) begin() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.layers++
}

func (b *Budget) end() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.layers--; b.layers == 0 {
		clear(b.idle)
		clear(b.spare)
	}
}

// buffer waits for room, and returns a buffer to fill.
func (b *Budget) buffer(ctx context.Context, c Codec) (buffer, error) {
	if err := b.room.Acquire(ctx, b.weight(c.memory)); err != nil {
		return buffer{}, context.Cause(ctx)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	last, _ := take(b.spare, c.Name)
	return buffer{last.src[:0], last.packed[:0]}, nil
}

// take takes one of what is kept for a codec. Where there is none, what is kept
// for others goes too: it counts no more.
func take[T any](kept map[string][]T, name string) (last T, ok bool) {
	all := kept[name]
	if len(all) == 0 {
		clear(kept)
		return last, false
	}
	kept[name] = all[:len(all)-1]
	return all[len(all)-1], true
}

func (b *Budget) recycle(c Codec, used buffer) {
	b.mu.Lock()
	b.spare[c.Name] = append(b.spare[c.Name], used)
	b.mu.Unlock()
	b.room.Release(b.weight(c.memory))
}

// compressor waits for a processor, and returns a compressor of the codec.
func (b *Budget) compressor(c Codec) (block, error) {
	b.running <- struct{}{}
	b.mu.Lock()
	last, ok := take(b.idle, c.Name)
	b.mu.Unlock()
	if ok {
		return last, nil
	}
	made, err := c.newBlock()
	if err != nil {
		<-b.running
	}
	return made, err
}

func (b *Budget) rest(c Codec, used block) {
	b.mu.Lock()
	b.idle[c.Name] = append(b.idle[c.Name], used)
	b.mu.Unlock()
	<-b.running
}

// forget lets go what is kept to use again.
func (b *Budget) forget() {
	b.mu.Lock()
	defer b.mu.Unlock()
	clear(b.idle)
	clear(b.spare)
}
