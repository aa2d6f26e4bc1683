package tree

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"

	"github.com/fastship/fastship/cache"
)

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
		return p.u.large(ctx, f, e)
	}
	if cap(p.read) == 0 {
		p.read = make([]byte, ownBlob)
	}
	b, err := readFile(f, p.read[:f.Size+1])
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
	if u.tiny || bytes.IndexByte(b[:min(len(b), 1024)], 0) < 0 {
		return p.addText(ctx, e, b)
	}
	if len(p.rawBuf)+len(b) > u.full {
		if err := p.flushRaw(ctx); err != nil {
			return err
		}
	}
	if p.rawBuf == nil {
		p.rawBuf = u.buffers.get(u.full)[:0]
	}
	e.at.off = int64(len(p.rawBuf))
	p.rawBuf, p.rawIn = append(p.rawBuf, b...), append(p.rawIn, e)
	return nil
}

func (p *packer) addText(ctx context.Context, e Entry, b []byte) error {
	e.at = location{nil, len(p.frames), int64(len(p.text))}
	p.text, p.textIn = append(p.text, b...), append(p.textIn, e)
	if len(p.text) >= frameSize {
		p.endFrame()
	}
	if len(p.packed) > p.u.full-2*frameSize {
		return p.flushText(ctx)
	}
	return nil
}

func (p *packer) endFrame() {
	if len(p.text) == 0 {
		return
	}
	if p.packed == nil {
		p.packed = p.u.buffers.get(p.u.full)[:0]
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
	return p.u.pack(ctx, b, in, blob{kind: raw})
}

func (p *packer) flushText(ctx context.Context) error {
	p.endFrame()
	b, in, frames := p.packed, p.textIn, p.frames
	p.packed, p.textIn, p.frames = nil, nil, nil
	return p.u.pack(ctx, b, in, blob{kind: framed, frames: frames})
}

// hashFile reads a file for its digest.
func hashFile(f File, spare *buffers) (cache.Digest, error) {
	r, err := f.Open()
	if err != nil {
		return "", err
	}
	defer r.Close()
	b := spare.get(256 << 10)
	defer spare.put(b)
	h := sha256.New()
	n, err := io.CopyBuffer(h, io.LimitReader(r, f.Size+1), b)
	if err == nil && n != f.Size {
		err = errResized(f.Size)
	}
	return cache.FromSum(h.Sum(nil)), err
}
