package oci

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/klauspost/compress/zstd"
)

// settled fails unless everything was given back.
func (b *Budget) settled(t *testing.T) {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.idle) > 0 || len(b.spare) > 0 || b.layers != 0 || len(b.running) != 0 {
		t.Errorf("%d layers and %d compressors at work, %d and %d kinds of memory kept", b.layers, len(b.running), len(b.idle), len(b.spare))
	}
	if !b.room.TryAcquire(b.bytes) {
		t.Fatal("some of the budget was not given back")
	}
	b.room.Release(b.bytes)
}

// Layers of several codecs take their memory out of one budget, which has room
// for a few of them, and give all of it back: also those that fail.
func TestOneBudget(t *testing.T) {
	budget := NewBudget(50 << 20)
	all := sample()
	alone := map[string]Layer{}
	for _, codec := range codecs() {
		l, err := WriteLayer(t.Context(), newMemory(), "x", all, codec)
		if err != nil {
			t.Fatal(err)
		}
		alone[codec.Name] = l
	}
	stop := errors.New("stop")
	var group sync.WaitGroup
	for n := range 4 * len(codecs()) {
		group.Go(func() {
			codec, store, files := codecs()[n%4].Within(budget), newMemory(), all
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			var want error
			switch n / 4 {
			case 0:
				store.fail, want = 9, errDisk
			case 1:
				files, want = append(files[:len(files):len(files)], File{Path: "z", Size: 1, Open: func() (io.ReadCloser, error) {
					cancel(stop)
					return nil, stop
				}}), stop
			}
			if l, err := WriteLayer(ctx, store, "x", files, codec); !errors.Is(err, want) || want == nil && l != alone[codec.Name] {
				t.Errorf("%s: %+v, %v; alone %+v", codec.Name, l, err, alone[codec.Name])
			}
		})
	}
	group.Wait()
	budget.settled(t)
}

// held counts the most blocks that a codec has at once.
type held struct {
	mu        sync.Mutex
	now, most int
}

func (h *held) block(dst, src []byte) ([]byte, error) {
	h.mu.Lock()
	h.now++
	h.most = max(h.most, h.now)
	h.mu.Unlock()
	dst = append(dst, src...)
	h.mu.Lock()
	h.now--
	h.mu.Unlock()
	return dst, nil
}

// A budget has room for two blocks: four layers have no more between them,
// and all are written.
func TestBudgetBounds(t *testing.T) {
	budget, h := NewBudget(64<<20), &held{}
	codec := Gzip(1).Within(budget)
	codec.memory = 32 << 20
	codec.newBlock = func() (block, error) { return h.block, nil }
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			if _, err := WriteLayer(t.Context(), newMemory(), "x", sample(), codec); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	if h.most == 0 || h.most > 2 {
		t.Errorf("%d blocks at once", h.most)
	}
	budget.settled(t)
}

// What is set aside is not there for layers, but for the half that is theirs.
func TestReserve(t *testing.T) {
	budget := NewBudget(10)
	release, err := budget.Reserve(t.Context(), 1<<40)
	if err != nil || budget.room.TryAcquire(6) || !budget.room.TryAcquire(5) {
		t.Errorf("of 10 bytes, 5 are to be left: %v", err)
	}
	budget.room.Release(5)
	release()
	budget.settled(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	stop := errors.New("stop")
	cancel(stop)
	if _, err := budget.Reserve(ctx, 1); !errors.Is(err, stop) {
		t.Errorf("cancelled: %v", err)
	}
}

// One that asks for more than there is gets all of it, and does not wait for
// ever.
func TestSmallBudget(t *testing.T) {
	for _, codec := range codecs() {
		want, err := WriteLayer(t.Context(), newMemory(), "x", sample(), codec)
		if err != nil {
			t.Fatal(err)
		}
		budget := NewBudget(1 << 20)
		if l, err := WriteLayer(t.Context(), newMemory(), "x", sample(), codec.Within(budget)); err != nil || l != want {
			t.Errorf("%s: %+v, %v; want %+v", codec.Name, l, err, want)
		}
		budget.settled(t)
	}
}

// patchwork has what a frame's blocks may be: text, noise, noise with a few
// matches that do not pay, and runs of zeros, in pieces of all sizes.
func patchwork(seed byte, size int) []byte {
	source := rand.NewChaCha8([32]byte{seed})
	r := rand.New(source)
	all := []byte(strings.Repeat("The quick brown fox jumps over the lazy dog. ", 100))
	for len(all) < size {
		piece := make([]byte, r.IntN(300<<10)+100)
		switch r.IntN(4) {
		case 0:
			source.Read(piece)
		case 1:
			source.Read(piece)
			for range r.IntN(40) {
				copy(piece[r.IntN(len(piece)-20):], all[r.IntN(len(all)-20):][:6+r.IntN(14)])
			}
		case 2:
			for at := 0; at < len(piece); {
				at += copy(piece[at:], all[r.IntN(len(all)-20):][:8+r.IntN(12)])
			}
		}
		all = append(all, piece...)
	}
	return all[:size]
}

// TestStreamedFrames: whatever the blocks of a frame are, and wherever the
// layer ends in one, any decoder reads what was written.
func TestStreamedFrames(t *testing.T) {
	const frame = 2 * zstdWindow
	for seed, size := range []int{0, 1, 128 << 10, 3 << 20, frame - 1536} {
		data, store := patchwork(byte(seed), size), newMemory()
		l, err := WriteLayer(t.Context(), store, "x", []File{{Path: "f", Size: int64(size), Open: content(data)}}, Zstd(zstd.SpeedBestCompression))
		if err != nil {
			t.Fatal(err)
		}
		checkZstd(t, fmt.Sprintf("a file of %d bytes", size), store.blobs[l.Descriptor.Digest], l)
	}
}

// Nothing of a streamed layer stays on the disk, and a disk that cannot be
// written is named.
func TestSpool(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	inside := File{Path: "z", Size: 1, Open: func() (io.ReadCloser, error) {
		if entries, err := os.ReadDir(dir); err != nil || len(entries) > 0 {
			t.Errorf("while it is written: %v, %v", entries, err)
		}
		return content([]byte("z"))()
	}}
	if _, err := WriteLayer(t.Context(), newMemory(), "x", append(sample(), inside), Zstd(zstd.SpeedBestCompression)); err != nil {
		t.Error(err)
	}
	t.Setenv("TMPDIR", filepath.Join(dir, "absent"))
	_, err := WriteLayer(t.Context(), newMemory(), "x", sample(), Zstd(zstd.SpeedBestCompression))
	if err == nil || !strings.HasPrefix(err.Error(), "layer x: make a temporary file: ") {
		t.Errorf("got %v", err)
	}
}

// Blocks that wait when a layer is given up are not compressed: whoever
// interrupts a run waits for those that have begun.
func TestGivenUpBlocks(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var begun atomic.Int32
	codec := Gzip(1)
	codec.newBlock = func() (block, error) {
		begun.Add(1)
		return func(dst, src []byte) ([]byte, error) { return append(dst, src...), nil }, nil
	}
	for range 20 { // submit's select picks either
		c, err := newCompressor(ctx, codec, io.Discard, 1)
		if err != nil {
			t.Fatal(err)
		}
		b, err := codec.budget.buffer(t.Context(), codec)
		if err != nil {
			t.Fatal(err)
		}
		b.src = append(b.src, 1)
		c.buf = &b
		if err := errors.Join(c.submit(), c.abandon()); !errors.Is(err, context.Canceled) {
			t.Errorf("it ended with %v", err)
		}
	}
	if n := begun.Load(); n > 0 {
		t.Errorf("%d of 20 blocks were compressed", n)
	}
}
