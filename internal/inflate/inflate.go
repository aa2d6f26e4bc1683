// Package inflate decodes deflated data (RFC 1951) that is in memory as a
// whole, into memory of a known size: an archive's entries. Without a window
// and a reader's byte at a time it is several times as fast as a stream's
// decoder, above all for the few kilobytes that a class file has: the tables
// are small, cheap to make, and made anew in the same place.
package inflate

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// Slack is how many bytes of capacity beyond its length a destination should
// have: with fewer of them its last bytes are decoded with care, and slowly.
const Slack = 288

// ErrLarger tells that the data inflate to more than there is room for.
var ErrLarger = errors.New("inflates to more than its size")

// Damaged is no deflate stream at or shortly before that offset, in bytes.
type Damaged int

func (d Damaged) Error() string { return fmt.Sprintf("no deflate stream at byte %d", int(d)) }

var le = binary.LittleEndian

// Decoder decodes one buffer after the other, and allocates for none. It is
// made by NewDecoder and is used by one goroutine at a time.
type Decoder struct {
	src  []byte
	pos  int    // of the next byte of src
	bits uint64 // the next bits, lowest first: what is above the first n is also to come
	n    uint   // bits that src before pos has given and nobody has taken
	dst  []byte
	room []byte // dst with its capacity
	out  int    // bytes of dst that are there

	literals  [literalTable]entry // of the current block
	distances [distanceTable]entry
	precode   [precodeTable]entry

	literalCode  code // scratch
	distanceCode code

	fixedLiterals  [literalTable]entry
	fixedDistances [distanceTable]entry
	literalEntries [fixedSymbols]entry
	distanceBases  [fixedDistances]entry
	precodeEntries [precodeSymbols]entry
}

// NewDecoder makes a decoder: some 40 KB.
func NewDecoder() *Decoder {
	d := new(Decoder)
	d.alphabets()
	d.fixed()
	return d
}

// Decode inflates src into dst and returns how many bytes it gave: less than
// len(dst) when the stream ends before. What follows the stream in src is
// ignored. Bytes of dst behind the count, up to its capacity, are of no
// meaning. Errors are Damaged, io.ErrUnexpectedEOF where src ends before the
// stream does, and ErrLarger. The decoder keeps neither slice.
func (d *Decoder) Decode(dst, src []byte) (int, error) {
	d.src, d.pos, d.bits, d.n = src, 0, 0, 0
	d.dst, d.room, d.out = dst, dst[:cap(dst)], 0
	err := d.blocks()
	n := min(d.out, len(dst))
	d.src, d.dst, d.room = nil, nil, nil
	return n, err
}

// Kinds of blocks: RFC 1951, 3.2.3.
const (
	blockStored = iota
	blockFixed
	blockDynamic
)

func (d *Decoder) blocks() error {
	for {
		head, err := d.take(3)
		if err != nil {
			return err
		}
		switch head >> 1 {
		case blockStored:
			err = d.stored()
		case blockFixed:
			err = d.block(&d.fixedLiterals, &d.fixedDistances)
		case blockDynamic:
			if err = d.codes(); err == nil {
				err = d.block(&d.literals, &d.distances)
			}
		default:
			err = d.damaged()
		}
		if err != nil || head&1 != 0 {
			return err
		}
	}
}

// block decodes the symbols of a block.
func (d *Decoder) block(literals *[literalTable]entry, distances *[distanceTable]entry) error {
	done, err := d.fast(literals, distances)
	if err == nil && d.out > len(d.dst) {
		return ErrLarger
	}
	if done || err != nil {
		return err
	}
	return d.careful(literals, distances)
}

// stored copies a block that is not compressed.
func (d *Decoder) stored() error {
	d.pos -= int(d.n / 8) // whole bytes were taken ahead; the rest of one is void
	d.bits, d.n = 0, 0
	rest := d.src[d.pos:]
	if len(rest) < 4 {
		return io.ErrUnexpectedEOF
	}
	size := int(le.Uint16(rest))
	if le.Uint16(rest) != ^le.Uint16(rest[2:]) {
		return d.damaged()
	}
	rest = rest[4:]
	n := copy(d.dst[d.out:], rest[:min(size, len(rest))])
	d.out += n
	d.pos += 4 + n
	switch {
	case n == size:
		return nil
	case d.out == len(d.dst):
		return ErrLarger
	}
	return io.ErrUnexpectedEOF
}

// fill gets at least 56 bits, or what is left.
func (d *Decoder) fill() {
	if len(d.src)-d.pos >= 8 {
		d.bits |= le.Uint64(d.src[d.pos:]) << d.n
		d.pos += int((63 - d.n) / 8)
		d.n |= 56
		return
	}
	for d.n <= 56 && d.pos < len(d.src) {
		d.bits |= uint64(d.src[d.pos]) << d.n
		d.pos++
		d.n += 8
	}
}

// take reads a number of at most 16 bits.
func (d *Decoder) take(n uint) (uint, error) {
	if d.n < n {
		if d.fill(); d.n < n {
			return 0, io.ErrUnexpectedEOF
		}
	}
	v := uint(d.bits) & (1<<n - 1)
	d.drop(n)
	return v, nil
}

func (d *Decoder) drop(n uint) {
	d.bits >>= n
	d.n -= n
}

func (d *Decoder) damaged() error { return Damaged(d.pos - int(d.n/8)) }
