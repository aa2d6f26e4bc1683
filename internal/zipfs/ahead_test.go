package zipfs

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"testing"
	"testing/iotest"
)

// counted counts the calls.
type counted struct {
	io.ReaderAt
	calls int
}

func (c *counted) ReadAt(p []byte, offset int64) (int, error) {
	c.calls++
	return c.ReaderAt.ReadAt(p, offset)
}

func TestAhead(t *testing.T) {
	content := make([]byte, 5*aheadSize+123)
	rand.NewChaCha8([32]byte{}).Read(content)
	source := &counted{ReaderAt: bytes.NewReader(content)}
	in := io.NewSectionReader(Ahead(source), 0, int64(len(content)))
	if err := iotest.TestReader(in, content); err != nil {
		t.Error(err)
	}
	ahead := Ahead(source)
	random := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		p := make([]byte, random.IntN(2*aheadSize)>>random.IntN(17))
		at := random.IntN(len(content) + 10)
		want := content[min(at, len(content)):][:min(len(p), max(0, len(content)-at))]
		n, err := ahead.ReadAt(p, int64(at))
		if !bytes.Equal(p[:n], want) || (err == nil) != (n == len(p)) && len(p) > 0 || err != nil && !errors.Is(err, io.EOF) {
			t.Fatalf("%d bytes at %d: %d, %v", len(p), at, n, err)
		}
	}
	source.calls = 0
	ahead = Ahead(source)
	for at := 0; at+700 < len(content); at += 700 {
		for _, part := range [][2]int{{at, 30}, {at + 50, 600}} {
			if _, err := ahead.ReadAt(make([]byte, part[1]), int64(part[0])); err != nil {
				t.Fatal(err)
			}
		}
	}
	if source.calls > 8 {
		t.Errorf("%d calls for %d bytes", source.calls, len(content))
	}
}

// TestAheadFaults: what is wrong is said to the one who asks for it, each time.
func TestAheadFaults(t *testing.T) {
	bad := errors.New("input/output error")
	ahead := Ahead(faulty{bytes.NewReader(make([]byte, 100)), bad})
	for range 2 {
		if n, err := ahead.ReadAt(make([]byte, 60), 0); n != 60 || err != nil {
			t.Errorf("%d, %v", n, err)
		}
		if n, err := ahead.ReadAt(make([]byte, 60), 50); n != 50 || !errors.Is(err, bad) {
			t.Errorf("%d, %v", n, err)
		}
	}
}

// faulty has a fault where r ends.
type faulty struct {
	r   io.ReaderAt
	err error
}

func (f faulty) ReadAt(p []byte, offset int64) (int, error) {
	n, err := f.r.ReadAt(p, offset)
	if err != nil {
		err = f.err
	}
	return n, err
}
