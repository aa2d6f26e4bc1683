package inflate

import (
	"bytes"
	"compress/flate"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
)

// judge inflates as the standard library does.
func judge(src []byte, limit int) ([]byte, error) {
	return io.ReadAll(io.LimitReader(flate.NewReader(bytes.NewReader(src)), int64(limit)))
}

// compare inflates into buffers with and without slack, larger than what
// comes, as large, and smaller; the standard library says what has to be.
func compare(t *testing.T, d *Decoder, src []byte) {
	t.Helper()
	const limit = 1 << 20
	want, wantErr := judge(src, limit)
	if len(want) == limit {
		return
	}
	for _, size := range []int{len(want), len(want) + 1, len(want) + 1000, len(want) - 1, len(want) / 2} {
		for _, slack := range []int{0, 8, Slack} {
			if size < 0 {
				continue
			}
			buf := bytes.Repeat([]byte{0xa5}, size+slack+1)
			n, err := d.Decode(buf[:size:size+slack], src)
			if buf[size+slack] != 0xa5 {
				t.Fatalf("%d bytes of %d, slack %d: wrote beyond the capacity", size, len(want), slack)
			}
			// Of a stream that is cut either may give a symbol more.
			if both := min(n, len(want)); !bytes.Equal(buf[:both], want[:both]) {
				t.Fatalf("%d bytes of %d, slack %d: other bytes", size, len(want), slack)
			}
			if size < len(want) {
				if err == nil { // damaged behind what fits: either may be seen
					t.Fatalf("%d bytes of %d, slack %d: %d fit, no error", size, len(want), slack, n)
				}
				if wantErr == nil && !errors.Is(err, ErrLarger) {
					t.Fatalf("%d bytes of %d, slack %d: %v", size, len(want), slack, err)
				}
				continue
			}
			if (err == nil) != (wantErr == nil) || err == nil && n != len(want) {
				t.Fatalf("%d bytes of %d, slack %d: %d, %v instead of %v", size, len(want), slack, n, err, wantErr)
			}
		}
	}
}

// deflated are streams of all kinds of blocks and contents.
func deflated(t testing.TB) map[string][]byte {
	random := rand.NewChaCha8([32]byte{1})
	noise := make([]byte, 100_000)
	random.Read(noise)
	contents := map[string][]byte{
		"empty": nil, "letter": []byte("a"), "text": []byte(strings.Repeat("The quick brown fox. ", 500)),
		"zeros": make([]byte, 70_000), "noise": noise, "skewed": skewed(50_000),
	}
	for _, period := range []int{1, 2, 3, 5, 7, 8, 9, 15, 16, 17} { // around a word, of which matches are made
		contents[fmt.Sprint("period ", period)] = bytes.Repeat(noise[:period], 3000/period)
	}
	var mixed []byte
	for i := range 300 {
		mixed = append(mixed, noise[i*10:][:i]...)
		mixed = append(mixed, mixed[len(mixed)/3:][:i*2/3]...)
	}
	contents["mixed"] = mixed
	streams := map[string][]byte{}
	for name, content := range contents {
		for _, level := range []int{flate.HuffmanOnly, flate.NoCompression, flate.BestSpeed, 6, flate.BestCompression} {
			var b bytes.Buffer
			w, err := flate.NewWriter(&b, level)
			if err != nil {
				t.Fatal(err)
			}
			for i, chunk := range [][]byte{content[:len(content)/2], content[len(content)/2:]} {
				w.Write(chunk)
				if i == 0 && level != 6 {
					w.Flush() // an empty block that is stored, for alignment
				}
			}
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
			streams[fmt.Sprint(name, ", level ", level)] = b.Bytes()
		}
	}
	return streams
}

// skewed is a content whose letters are so unequal that codes get long.
func skewed(size int) []byte {
	var b []byte
	r := rand.New(rand.NewPCG(1, 2))
	for len(b) < size {
		letter := 0
		for letter < 200 && r.IntN(3) > 0 {
			letter++
		}
		b = append(b, byte(letter*7))
	}
	return b
}

func TestDecode(t *testing.T) {
	d := NewDecoder()
	for name, src := range deflated(t) {
		t.Run(name, func(t *testing.T) {
			compare(t, d, src)
			compare(t, d, append(bytes.Clone(src), "what follows the stream is none of its business"...))
		})
	}
}

// TestDamaged cuts streams and turns bits of their heads.
func TestDamaged(t *testing.T) {
	d := NewDecoder()
	for name, src := range deflated(t) {
		t.Run(name, func(t *testing.T) {
			step := max(1, len(src)/15)
			for i := 0; i < len(src); i += step {
				compare(t, d, src[:i])
			}
			for i := 0; i < min(8*len(src), 8*80); i += 11 {
				bad := bytes.Clone(src[:min(len(src), 4000)])
				bad[i/8] ^= 1 << (i % 8)
				compare(t, d, bad)
			}
		})
	}
}

// bitWriter writes streams that no compressor makes.
type bitWriter struct {
	b []byte
	n int
}

func (w *bitWriter) write(value, bits int) *bitWriter {
	for i := range bits {
		if w.n%8 == 0 {
			w.b = append(w.b, 0)
		}
		w.b[w.n/8] |= byte(value>>i&1) << (w.n % 8)
		w.n++
	}
	return w
}

// dynamic begins a block of that many codes, with a precode for lengths 0 and
// 1 alone.
func dynamic(literals, distances int) *bitWriter {
	w := new(bitWriter).write(1, 1).write(2, 2).write(literals-257, 5).write(distances-1, 5).write(18-4, 4)
	for _, symbol := range order[:18] {
		bits := 0
		if symbol <= 1 {
			bits = 1
		}
		w.write(bits, 3)
	}
	return w
}

// lengths writes code lengths of 0 and 1.
func (w *bitWriter) lengths(count int, ones ...int) *bitWriter {
	row := make([]int, count)
	for _, i := range ones {
		row[i] = 1
	}
	for _, length := range row {
		w.write(length, 1)
	}
	return w
}

// TestOddCodes: what is allowed, and what is not, at the edges of the format.
func TestOddCodes(t *testing.T) {
	d := NewDecoder()
	for name, test := range map[string]struct {
		stream *bitWriter
		want   error
	}{
		"only an end":              {dynamic(257, 1).lengths(258, 256).write(0, 1), nil},
		"only an end, other bit":   {dynamic(257, 1).lengths(258, 256).write(1, 1), Damaged(0)},
		"one literal":              {dynamic(257, 1).lengths(258, 'a', 256).write(0, 2).write(1, 1), nil},
		"no end":                   {dynamic(257, 1).lengths(258, 'a', 'b').write(0, 9), io.ErrUnexpectedEOF},
		"no codes":                 {dynamic(257, 1).lengths(258).write(0, 9), Damaged(0)},
		"too many codes":           {dynamic(257, 1).lengths(258, 'a', 'b', 256).write(0, 9), Damaged(0)},
		"no distance":              {dynamic(258, 1).lengths(259, 256, 257).write(1, 9), Damaged(0)},
		"one distance, nothing":    {dynamic(258, 1).lengths(259, 256, 257, 258).write(1, 9), Damaged(0)},
		"287 literals":             {dynamic(287, 1).lengths(288, 'a', 256).write(1, 9), Damaged(0)},
		"31 distances":             {dynamic(257, 31).lengths(288, 'a', 256).write(1, 9), Damaged(0)},
		"30 distances":             {dynamic(257, 30).lengths(287, 'a', 256).write(1, 9), nil},
		"block type 3":             {new(bitWriter).write(7, 3), Damaged(0)},
		"fixed, symbol 286":        {new(bitWriter).write(3, 3).write(0b01100011, 8).write(0, 20), Damaged(0)},
		"fixed, distance 30":       {new(bitWriter).write(3, 3).write(0b00001100, 8).write(0b1000000, 7).write(0b01111, 5).write(0, 20), Damaged(0)},
		"fixed, far":               {new(bitWriter).write(3, 3).write(0b00001100, 8).write(0b1000000, 7).write(0b11000, 5).write(0, 20), Damaged(0)},
		"stored, lengths differ":   {new(bitWriter).write(1, 8).write(5, 16).write(5, 16), Damaged(0)},
		"stored, cut":              {new(bitWriter).write(1, 8).write(5, 16).write(^5, 16).write('a', 8), io.ErrUnexpectedEOF},
		"stored, nothing":          {new(bitWriter).write(1, 8).write(0, 16).write(0xffff, 16), nil},
		"nothing at all":           {new(bitWriter), io.ErrUnexpectedEOF},
		"repeats before any":       {new(bitWriter).write(5, 3).write(0, 14).write(0b001001, 6).write(0, 6).write(0, 40), Damaged(0)},
		"repeats over the end":     {new(bitWriter).write(5, 3).write(0, 14).write(0b001001000000, 12).write(0b111111110, 9).write(0xffff, 16).write(0xffff, 16), Damaged(0)},
		"a precode with two codes": {new(bitWriter).write(5, 3).write(0, 14).write(0b010010, 6).write(0, 6).write(0, 40), Damaged(0)},
	} {
		t.Run(name, func(t *testing.T) {
			for _, more := range []int{0, 30} { // with care alone, and fast
				src := append(bytes.Clone(test.stream.b), make([]byte, more)...)
				if more > 0 && errors.Is(test.want, io.ErrUnexpectedEOF) {
					continue
				}
				compare(t, d, src)
				_, err := d.Decode(make([]byte, 300, 300+Slack), src)
				_, damaged := errors.AsType[Damaged](err)
				if _, want := errors.AsType[Damaged](test.want); want != damaged || !want && !errors.Is(err, test.want) {
					t.Errorf("%d more bytes: %v instead of %v", more, err, test.want)
				}
			}
		})
	}
}

func TestAllocations(t *testing.T) {
	d := NewDecoder()
	src := deflated(t)["text, level 6"]
	dst := make([]byte, 20_000)
	if n := testing.AllocsPerRun(10, func() {
		if _, err := d.Decode(dst, src); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// FuzzDecode: the standard library accepts the same streams, and finds the
// same bytes in them.
func FuzzDecode(f *testing.F) {
	for _, src := range deflated(f) {
		if len(src) < 500 {
			f.Add(src)
		}
	}
	d := NewDecoder()
	f.Fuzz(func(t *testing.T, src []byte) {
		if len(src) < 2000 { // small ones hold all there is, and many of them can be tried
			compare(t, d, src)
		}
	})
}
