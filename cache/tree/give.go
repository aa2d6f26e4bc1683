package tree

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"hash"
	"io"

	"github.com/fastship/fastship/cache"
)

// give verifies a file in memory and hands it to the sink, as one of a few
// writers: more of them than processors slow each other down.
func (f *fetch) give(ctx context.Context, e Entry, b []byte) error {
	if int64(len(b)) != e.Size || digestOf(sha256.Sum256(b)) != e.Digest {
		return f.aside(ctx, []Entry{e}, fmt.Errorf("%s: %w", e.Path, cache.ErrCorrupt))
	}
	select {
	case f.writers <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-f.writers }()
	return f.sink(ctx, e, bytes.NewReader(b))
}

// stream hands a large file to the sink while its bytes arrive.
func (f *fetch) stream(ctx context.Context, e Entry, r io.Reader) error {
	v := &verifier{r: r, left: e.Size, want: e.Digest, h: sha256.New()}
	err := f.sink(ctx, e, v)
	if v.err == nil && err == nil { // the sink stopped before the end
		_, err = io.Copy(io.Discard, v)
	}
	if v.err != nil && v.err != io.EOF {
		return f.aside(ctx, []Entry{e}, v.err)
	}
	return err
}

// verifier ends with io.EOF only when size and digest are right.
type verifier struct {
	r    io.Reader
	left int64
	want cache.Digest
	h    hash.Hash
	err  error
}

func (v *verifier) Read(p []byte) (int, error) {
	if v.err != nil {
		return 0, v.err
	}
	if v.left == 0 {
		v.err = io.EOF
		if cache.FromSum(v.h.Sum(nil)) != v.want {
			v.err = fmt.Errorf("blob %s: %w", v.want, cache.ErrCorrupt)
		}
		return 0, v.err
	}
	n, err := v.r.Read(p[:min(int64(len(p)), v.left)])
	v.h.Write(p[:n])
	v.left -= int64(n)
	if err != nil && (err != io.EOF || v.left > 0) {
		v.err = short(err)
		return n, v.err
	}
	return n, nil
}
