package tree

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/klauspost/compress/zstd"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"

	"github.com/fastship/fastship/cache"
)

const (
	ownBlob   = 512 << 10 // files from here on are blobs of their own
	packSize  = 8 << 20   // bytes of a full pack
	frameSize = 1 << 20   // bytes of a full frame, decoded
	smallSave = 16 << 20  // bytes of small files up to which one packer makes the fewest packs
	tinySave  = frameSize // bytes of small files up to which they share one pack, of whatever kind
	maxPacker = 4         // packers, and with their buffers the memory
	underWay  = 32 << 20  // bytes that are being sent
	streamed  = 1 << 20   // bytes that sending a larger one takes: a store reads it from its file
	manyFiles = 30_000    // more than these leave less memory to buffers
	inMemory  = 8 << 20   // smaller files are read once, hashed and sent from memory
)

// upload stores files whose content is not known yet.
type upload struct {
	c       *Cache
	m       *meter
	lost    func(cache.Digest) bool
	tiny    bool
	enc     *zstd.Encoder
	sends   *errgroup.Group
	full    int                 // bytes of a pack
	way     int64               // bytes that may be under way
	budget  *semaphore.Weighted // of them
	buffers buffers

	mu    sync.Mutex
	known map[cache.Digest]location
	done  []Entry
}

// run stores the files and returns their entries, sorted. A file that cannot
// be read, or changes meanwhile, is left out with a warning.
func (u *upload) run(ctx context.Context, files []File, today Day) ([]Entry, error) {
	var small int64
	for _, f := range files {
		if f.Size < ownBlob {
			small += f.Size
		}
	}
	packers := 1
	u.full, u.way = packSize, underWay
	if small > smallSave {
		packers = min(maxPacker, runtime.GOMAXPROCS(0))
	}
	if len(files) > manyFiles { // whose entries take the memory that buffers have otherwise
		packers, u.full, u.way = 1, packSize/2, underWay/4
	}
	u.tiny = small <= tinySave
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(packers), zstd.WithWindowSize(frameSize), zstd.WithLowerEncoderMem(true))
	if err != nil {
		return nil, err
	}
	defer enc.Close()
	u.enc, u.budget = enc, semaphore.NewWeighted(u.way)
	// Large files first: they take longest, and packs fill the gaps.
	order := make([]int32, len(files))
	for i := range order {
		order[i] = int32(i)
	}
	slices.SortStableFunc(order, func(a, b int32) int {
		return int(max(files[b].Size, ownBlob-1) - max(files[a].Size, ownBlob-1))
	})
	u.done = make([]Entry, 0, len(files))
	var next atomic.Int64
	// One context for both: a group's own ends with its Wait, and what is
	// being sent must outlive the packers.
	var g errgroup.Group
	u.sends, ctx = errgroup.WithContext(ctx)
	u.sends.SetLimit(u.c.cfg.Requests)
	for range packers {
		g.Go(func() error {
			p := &packer{u: u}
			for i := int(next.Add(1)) - 1; i < len(order); i = int(next.Add(1)) - 1 {
				if err := p.file(ctx, files[order[i]], today); err != nil {
					return err
				}
			}
			return p.flush(ctx)
		})
	}
	packed := g.Wait()
	if err := u.sends.Wait(); err != nil { // the cause, where packers only saw the end
		return nil, err
	}
	if packed != nil {
		return nil, packed
	}
	return tidy(u.done), nil
}

func (u *upload) warn(path string, err error) {
	u.c.cfg.Warn(fmt.Errorf("save %s: %w", path, err))
}

// place adds an entry whose content is known. False when it is not.
func (u *upload) place(e Entry) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	at, ok := u.known[e.Digest]
	if !ok {
		return false
	}
	e.at = at
	u.done = append(u.done, e)
	return true
}

// stored adds entries whose content is in the store now.
func (u *upload) stored(entries ...Entry) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, e := range entries {
		u.known[e.Digest] = e.at
		u.done = append(u.done, e)
	}
}

// send runs f beside the packers once n bytes more may be under way. f calls
// release when its bytes are no longer needed.
func (u *upload) send(ctx context.Context, n int64, f func() error) error {
	n = min(n, u.way)
	if err := u.budget.Acquire(ctx, n); err != nil {
		return err
	}
	u.sends.Go(func() error {
		defer u.budget.Release(n)
		return f()
	})
	return nil
}

// pack stores a full pack and then gives its buffer back.
func (u *upload) pack(ctx context.Context, b []byte, in []Entry, o blob) error {
	if len(in) == 0 {
		return nil
	}
	return u.send(ctx, int64(len(b)), func() error {
		c := cache.NewContent(b)
		err := u.dropBad(ctx, c.Digest())
		if err == nil {
			err = u.m.putContent(ctx, u.c.cfg.Own, c)
		}
		if err != nil {
			return fmt.Errorf("save a pack: %w", err)
		}
		u.buffers.put(b) // not after a fault: a client may still be reading it
		o.digest, o.size = c.Digest(), int64(len(b))
		for i := range in {
			in[i].at.blob = &o
		}
		u.stored(in...)
		return nil
	})
}

// large stores a file as a blob of its own.
func (u *upload) large(ctx context.Context, f File, e Entry) error {
	if f.Size < inMemory {
		return u.fromMemory(ctx, f, e)
	}
	if e.Digest == "" {
		d, err := hashFile(f, &u.buffers)
		if err != nil {
			u.warn(f.Path, err)
			return nil
		}
		if e.Digest = d; u.place(e) {
			return nil
		}
	}
	return u.send(ctx, streamed, func() error {
		return u.blob(ctx, e, func() error {
			r, err := f.Open()
			if err != nil {
				return fmt.Errorf("%w: %w", errUnread, err)
			}
			defer r.Close()
			return u.m.put(ctx, u.c.cfg.Own, e.Digest, e.Size, r)
		})
	})
}

// fromMemory reads and hashes a file once.
func (u *upload) fromMemory(ctx context.Context, f File, e Entry) error {
	b, err := readFile(f, u.buffers.get(int(f.Size)+1))
	if err != nil {
		u.warn(f.Path, err)
		return nil
	}
	c := cache.NewContent(b)
	if e.Digest != "" && e.Digest != c.Digest() {
		u.warn(f.Path, cache.ErrCorrupt)
		return nil
	}
	if e.Digest = c.Digest(); u.place(e) {
		u.buffers.put(b)
		return nil
	}
	return u.send(ctx, e.Size, func() error {
		err := u.blob(ctx, e, func() error { return u.m.putContent(ctx, u.c.cfg.Own, c) })
		if err == nil {
			u.buffers.put(b)
		}
		return err
	})
}

var errUnread = errors.New("it cannot be read")

// blob stores a large file by put, unless the base has it.
func (u *upload) blob(ctx context.Context, e Entry, put func() error) error {
	e.at = location{blob: &blob{digest: e.Digest, size: e.Size, kind: whole}}
	if u.inBase(ctx, e) {
		u.stored(e)
		return nil
	}
	if err := u.dropBad(ctx, e.Digest); err != nil {
		return fmt.Errorf("save %s: %w", e.Path, err)
	}
	switch err := put(); {
	case errors.Is(err, cache.ErrCorrupt), errors.Is(err, errUnread):
		u.warn(e.Path, err)
		return nil
	case err != nil:
		return fmt.Errorf("save %s: %w", e.Path, err)
	}
	u.m.files.Add(1)
	u.stored(e)
	return nil
}

func (u *upload) inBase(ctx context.Context, e Entry) bool {
	if u.c.cfg.Base == nil || u.lost(e.Digest) {
		return false
	}
	u.m.requests.Add(1)
	info, err := u.c.cfg.Base.Stat(ctx, e.Digest)
	return err == nil && info.Size == e.Size
}

// dropBad removes a blob that Fetch found bad: Put would leave it alone.
func (u *upload) dropBad(ctx context.Context, d cache.Digest) error {
	if !u.lost(d) {
		return nil
	}
	u.m.requests.Add(1)
	return u.c.cfg.Own.Delete(ctx, d)
}

// readFile reads a file into b, which has room for one byte more than the
// file should have, and returns what it holds.
func readFile(f File, b []byte) ([]byte, error) {
	r, err := f.Open()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	n, err := io.ReadFull(r, b)
	if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
		return nil, err
	}
	if int64(n) != f.Size {
		return nil, errResized(f.Size)
	}
	return b[:n], nil
}

func errResized(size int64) error {
	return fmt.Errorf("it has another size than its %d bytes: it changed meanwhile", size)
}
