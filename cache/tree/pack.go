package tree

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/klauspost/compress/zstd"
	"golang.org/x/sync/errgroup"

	"github.com/fastship/fastship/cache"
)

const (
	ownBlob   = 512 << 10 // files from here on are blobs of their own
	packSize  = 8 << 20   // bytes of a full pack
	frameSize = 1 << 20   // bytes of a full frame, decoded
	smallSave = 16 << 20  // bytes of small files up to which one packer makes the fewest packs
	maxPacker = 4         // packers, and with their buffers the memory
)

// meter counts what a save asks of its stores.
type meter struct {
	requests, files atomic.Int64
	bytes           atomic.Int64
}

type meteredReader struct {
	io.Reader
	n *atomic.Int64
}

func (m meteredReader) Read(p []byte) (int, error) {
	n, err := m.Reader.Read(p)
	m.n.Add(int64(n))
	return n, err
}

func (m *meter) put(ctx context.Context, s cache.BlobStore, d cache.Digest, size int64, r io.Reader) error {
	m.requests.Add(1)
	return s.Put(ctx, d, size, meteredReader{r, &m.bytes})
}

func (m *meter) putBytes(ctx context.Context, s cache.BlobStore, b []byte) (cache.Digest, error) {
	d := cache.Sum(b)
	return d, m.put(ctx, s, d, int64(len(b)), bytes.NewReader(b))
}

// upload stores files whose content is not known yet.
type upload struct {
	c     *Cache
	m     *meter
	lost  func(cache.Digest) bool
	enc   *zstd.Encoder
	sends *errgroup.Group
	slots chan struct{} // full packs and large files under way
	spare chan []byte   // buffers of packs that were sent

	mu    sync.Mutex
	known map[cache.Digest]location
	done  []Entry
}

// run stores the files and returns their entries, sorted. A file that cannot
// be read, or changes meanwhile, is left out with a warning.
func (u *upload) run(ctx context.Context, files []File, today Day) ([]Entry, error) {
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(maxPacker), zstd.WithWindowSize(frameSize), zstd.WithLowerEncoderMem(true))
	if err != nil {
		return nil, err
	}
	defer enc.Close()
	u.enc, u.slots, u.spare = enc, make(chan struct{}, maxPacker), make(chan []byte, maxPacker)
	var small int64
	for _, f := range files {
		if f.Size < ownBlob {
			small += f.Size
		}
	}
	packers := 1
	if small > smallSave {
		packers = min(maxPacker, runtime.GOMAXPROCS(0))
	}
	// Large files first: they take longest, and packs fill the gaps.
	order := slices.Clone(files)
	slices.SortStableFunc(order, func(a, b File) int { return int(max(b.Size, ownBlob-1) - max(a.Size, ownBlob-1)) })
	var next atomic.Int64
	// One context for both: a group's own ends with its Wait, and what is
	// being sent must outlive the packers.
	var g errgroup.Group
	u.sends, ctx = errgroup.WithContext(ctx)
	for range packers {
		g.Go(func() error {
			p := &packer{u: u}
			for i := int(next.Add(1)) - 1; i < len(order); i = int(next.Add(1)) - 1 {
				if err := p.file(ctx, order[i], today); err != nil {
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
	return union(u.done), nil
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

// packer fills one raw and one framed pack.
type packer struct {
	u      *upload
	rawBuf []byte
	rawIn  []Entry
	packed []byte
	frames []frame
	text   []byte
	textIn []Entry
	read   []byte
}

func (p *packer) file(ctx context.Context, f File, today Day) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := checkFile(f); err != nil {
		p.u.warn(f.Path, err)
		return nil
	}
	e := Entry{Path: f.Path, Size: f.Size, Mode: f.Mode.Perm(), Digest: f.Digest, Used: today, Note: f.Note}
	if f.Digest != "" && f.Size > 0 && p.u.place(e) {
		return nil
	}
	if f.Size >= ownBlob {
		return p.large(ctx, f, e)
	}
	b, err := p.slurp(f)
	if err != nil {
		p.u.warn(f.Path, err)
		return nil
	}
	e.Digest = digestOf(sha256.Sum256(b))
	if f.Digest != "" && f.Digest != e.Digest {
		p.u.warn(f.Path, cache.ErrCorrupt)
		return nil
	}
	return p.add(ctx, e, b)
}

func checkFile(f File) error {
	if err := CheckPath(f.Path); err != nil {
		return err
	}
	if len(f.Note) > maxNote || f.Size < 0 || f.Size > maxFile {
		return fmt.Errorf("a file of %d bytes with a note of %d bytes cannot be kept", f.Size, len(f.Note))
	}
	if f.Digest != "" {
		_, err := cache.ParseDigest(string(f.Digest))
		return err
	}
	return nil
}

// slurp reads a small file into the packer's buffer.
func (p *packer) slurp(f File) ([]byte, error) {
	r, err := f.Open()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	p.read = slices.Grow(p.read[:0], int(f.Size)+1)[:f.Size+1]
	n, err := io.ReadFull(r, p.read)
	if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
		return nil, err
	}
	if int64(n) != f.Size {
		return nil, fmt.Errorf("it has another size than its %d bytes: it changed meanwhile", f.Size)
	}
	return p.read[:n], nil
}

// add puts a small file into a pack, unless its content is known.
func (p *packer) add(ctx context.Context, e Entry, b []byte) error {
	u := p.u
	if e.Size == 0 {
		u.mu.Lock()
		defer u.mu.Unlock()
		u.done = append(u.done, e)
		return nil
	}
	if u.place(e) {
		return nil
	}
	u.m.files.Add(1)
	if bytes.IndexByte(b[:min(len(b), 1024)], 0) < 0 {
		e.at = location{nil, len(p.frames), int64(len(p.text))}
		p.text, p.textIn = append(p.text, b...), append(p.textIn, e)
		if len(p.text) >= frameSize {
			p.endFrame()
		}
		if len(p.packed) >= packSize {
			return p.flushText(ctx)
		}
		return nil
	}
	if p.rawBuf == nil {
		p.rawBuf = u.buffer()
	}
	e.at.off = int64(len(p.rawBuf))
	p.rawBuf, p.rawIn = append(p.rawBuf, b...), append(p.rawIn, e)
	if len(p.rawBuf) >= packSize {
		return p.flushRaw(ctx)
	}
	return nil
}

func (p *packer) endFrame() {
	if len(p.text) == 0 {
		return
	}
	off := len(p.packed)
	p.packed = p.u.enc.EncodeAll(p.text, p.packed)
	p.frames = append(p.frames, frame{int64(off), int64(len(p.packed) - off), int64(len(p.text))})
	p.text = p.text[:0]
}

func (p *packer) flush(ctx context.Context) error {
	return errors.Join(p.flushRaw(ctx), p.flushText(ctx))
}

func (p *packer) flushRaw(ctx context.Context) error {
	b, in := p.rawBuf, p.rawIn
	p.rawBuf, p.rawIn = nil, nil
	return p.u.send(ctx, b, in, blob{kind: raw})
}

func (p *packer) flushText(ctx context.Context) error {
	p.endFrame()
	b, in, frames := p.packed, p.textIn, p.frames
	p.packed, p.textIn, p.frames = nil, nil, nil
	return p.u.send(ctx, b, in, blob{kind: framed, frames: frames})
}

// send stores a full pack in the background.
func (u *upload) send(ctx context.Context, b []byte, in []Entry, o blob) error {
	if len(in) == 0 {
		return nil
	}
	select {
	case u.slots <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	u.sends.Go(func() error {
		defer func() { <-u.slots }()
		d := cache.Sum(b)
		err := u.dropBad(ctx, d)
		if err == nil {
			err = u.m.put(ctx, u.c.cfg.Own, d, int64(len(b)), bytes.NewReader(b))
		}
		if err != nil {
			return fmt.Errorf("save a pack: %w", err)
		}
		u.reuse(b) // not after a fault: a client may still be reading it
		o.digest, o.size = d, int64(len(b))
		u.mu.Lock()
		defer u.mu.Unlock()
		for _, e := range in {
			e.at.blob = &o
			u.known[e.Digest] = e.at
			u.done = append(u.done, e)
		}
		return nil
	})
	return nil
}

// buffer returns an empty buffer, a used one when there is.
func (u *upload) buffer() []byte {
	select {
	case b := <-u.spare:
		return b[:0]
	default:
		return nil
	}
}

func (u *upload) reuse(b []byte) {
	select {
	case u.spare <- b:
	default:
	}
}

// large hashes a file, unless that is done, and stores it as a blob.
func (p *packer) large(ctx context.Context, f File, e Entry) error {
	u := p.u
	if e.Digest == "" {
		d, err := hashFile(f)
		if err != nil {
			u.warn(f.Path, err)
			return nil
		}
		if e.Digest = d; u.place(e) {
			return nil
		}
	}
	e.at = location{blob: &blob{digest: e.Digest, size: e.Size, kind: whole}}
	select {
	case u.slots <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	u.sends.Go(func() error {
		defer func() { <-u.slots }()
		err := u.putFile(ctx, f, e)
		if errors.Is(err, cache.ErrCorrupt) || errors.Is(err, errUnread) {
			u.warn(f.Path, err)
			return nil
		}
		if err != nil {
			return fmt.Errorf("save %s: %w", f.Path, err)
		}
		u.mu.Lock()
		defer u.mu.Unlock()
		u.known[e.Digest] = e.at
		u.done = append(u.done, e)
		return nil
	})
	return nil
}

var errUnread = errors.New("it cannot be read")

func (u *upload) putFile(ctx context.Context, f File, e Entry) error {
	lost := u.lost(e.Digest)
	if u.c.cfg.Base != nil && !lost {
		u.m.requests.Add(1)
		if info, err := u.c.cfg.Base.Stat(ctx, e.Digest); err == nil && info.Size == e.Size {
			return nil
		}
	}
	r, err := f.Open()
	if err != nil {
		return fmt.Errorf("%w: %w", errUnread, err)
	}
	defer r.Close()
	if err := u.dropBad(ctx, e.Digest); err != nil {
		return err
	}
	u.m.files.Add(1)
	return u.m.put(ctx, u.c.cfg.Own, e.Digest, e.Size, r)
}

// dropBad removes a blob that Fetch found bad: Put would leave it alone.
func (u *upload) dropBad(ctx context.Context, d cache.Digest) error {
	if !u.lost(d) {
		return nil
	}
	u.m.requests.Add(1)
	return u.c.cfg.Own.Delete(ctx, d)
}

func hashFile(f File) (cache.Digest, error) {
	r, err := f.Open()
	if err != nil {
		return "", err
	}
	defer r.Close()
	h := sha256.New()
	n, err := io.CopyBuffer(h, io.LimitReader(r, f.Size+1), make([]byte, 256<<10))
	if err == nil && n != f.Size {
		err = fmt.Errorf("it has another size than its %d bytes: it changed meanwhile", f.Size)
	}
	return cache.FromSum(h.Sum(nil)), err
}
