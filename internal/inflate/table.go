package inflate

import "math/bits"

// entry is what a table says of the next bits:
//
//	bits  0–7  how many bits to take: the code's, or its part in this table, and the extra bits'
//	bits  8–11 how many of them are the code's; of a link, how many bits index the second table
//	bits 13–15 flags
//	bits 16–30 the literal, the base of a length or distance, or where the second table begins
//	bit  31    it is a literal
type entry uint32

const (
	literal entry = 1 << 31
	special entry = 1 << 15 // none of literal, length and distance
	link    entry = 1 << 14 // go on in a second table
	end     entry = 1 << 13 // of the block
	last    entry = 1 << 13 // of the precode: repeats the last length, not 0

	invalid = special // no code
)

// The first tables' bits are few, since for each few kilobytes they are made
// anew; longer codes, which are rare, go on in second tables behind the first
// one. The arrays have room for the most that a complete code of 15 bits can
// need (1334 and 402 entries by zlib's enough.c), rounded up to powers of two
// so that a mask proves an index.
const (
	literalBits  = 10
	distanceBits = 8
	precodeBits  = 7

	literalTable  = 2048
	distanceTable = 512
	precodeTable  = 1 << precodeBits

	maxCode = 15
)

// Alphabets: RFC 1951, 3.2.5 to 3.2.7. The fixed codes have symbols that must
// not occur.
const (
	endOfBlock     = 256
	maxLiterals    = 286
	maxDistances   = 30
	fixedSymbols   = 288
	fixedDistances = 32
	precodeSymbols = 19
	maxSymbols     = fixedSymbols
)

// alphabets makes what tables say of each symbol, without its code's bits.
func (d *Decoder) alphabets() {
	for i := range endOfBlock {
		d.literalEntries[i] = literal | entry(i)<<16
	}
	d.literalEntries[endOfBlock] = special | end
	base := entry(3)
	for i := range maxLiterals - 1 - endOfBlock - 1 { // all but the last length
		extra := entry(max(0, i/4-1))
		d.literalEntries[endOfBlock+1+i] = base<<16 | extra
		base += 1 << extra
	}
	d.literalEntries[maxLiterals-1] = 258 << 16 // out of the row: a code of its own, without extra bits
	d.literalEntries[maxLiterals], d.literalEntries[maxLiterals+1] = invalid, invalid
	base = 1
	for i := range maxDistances {
		extra := entry(max(0, i/2-1))
		d.distanceBases[i] = base<<16 | extra
		base += 1 << extra
	}
	d.distanceBases[maxDistances], d.distanceBases[maxDistances+1] = invalid, invalid
	for i := range maxCode + 1 {
		d.precodeEntries[i] = literal | entry(i)<<16
	}
	// The others repeat: how often, and by how many bits oftener.
	d.precodeEntries[16] = last | 3<<16 | 2
	d.precodeEntries[17] = 3<<16 | 3
	d.precodeEntries[18] = 11<<16 | 7
}

// code is a Huffman code: its symbols, in order, by the length of their codes
// in bits (RFC 1951, 3.2.2). Those of length 0 have none.
type code struct {
	count   [maxCode + 1]uint16
	symbols [maxCode + 1][maxSymbols]uint16
}

func (c *code) clear() { c.count = [maxCode + 1]uint16{} }

func (c *code) add(symbol int, length uint8) {
	row := &c.symbols[length&maxCode]
	at := &c.count[length&maxCode]
	row[*at] = uint16(symbol)
	*at++
}

// fixed makes the tables of RFC 1951, 3.2.6.
func (d *Decoder) fixed() {
	for i := range fixedSymbols {
		switch {
		case i < 144:
			d.literalCode.add(i, 8)
		case i < 256:
			d.literalCode.add(i, 9)
		case i < 280:
			d.literalCode.add(i, 7)
		default:
			d.literalCode.add(i, 8)
		}
	}
	for i := range fixedDistances {
		d.distanceCode.add(i, 5)
	}
	d.literalCode.build(d.fixedLiterals[:], literalBits, d.literalEntries[:])
	d.distanceCode.build(d.fixedDistances[:], distanceBits, d.distanceBases[:])
}

// build makes the code's table, and second ones. It is false for a code that
// has too many or too few; one of a single bit and none at all are allowed.
func (c *code) build(table []entry, tableBits int, entries []entry) bool {
	used, left := 0, 1
	for _, n := range c.count[1:] {
		left = left<<1 - int(n)
		if left < 0 {
			return false
		}
		used += int(n)
	}
	if left == 0 {
		c.assign(table, tableBits, entries)
		return true
	}
	if used > 1 || used != int(c.count[1]) {
		return false
	}
	for i := range table[:1<<tableBits] {
		table[i] = invalid
	}
	for _, symbol := range c.symbols[1][:used] {
		for i := 0; i < 1<<tableBits; i += 2 {
			table[i] = coded(entries[symbol], 1)
		}
	}
	return true
}

// coded adds the bits of the code, or of its part in this table.
func coded(e entry, n int) entry { return e + entry(n)<<8 + entry(n) }

// assign gives a complete code's codes to its symbols. Codes are counted up; in
// the stream their bits come highest first, so here they stand mirrored. A
// table of n bits is one of n+1 bits when it is written twice, so it grows
// with the codes.
func (c *code) assign(table []entry, tableBits int, entries []entry) {
	mirrored := uint(0)
	for n := 1; n <= tableBits; n++ {
		for _, symbol := range c.symbols[n][:c.count[n]] {
			table[mirrored] = coded(entries[symbol], n)
			mirrored = next(mirrored, n)
		}
		if n < tableBits {
			copy(table[1<<n:2<<n], table[:1<<n])
		}
	}
	at, second, prefix := uint(1)<<tableBits, 0, ^uint(0) // the second table: where, of how many bits, behind which ones
	for n := tableBits + 1; n <= maxCode; n++ {
		for i, symbol := range c.symbols[n][:c.count[n]] {
			if p := mirrored & (1<<tableBits - 1); p != prefix {
				if second > 0 {
					at += 1 << second
				}
				prefix, second = p, n-tableBits
				for fit := int(c.count[n]) - i; fit < 1<<second; fit = fit<<1 + int(c.count[tableBits+second]) {
					second++
				}
				table[p] = special | link | entry(at)<<16 | entry(second)<<8 | entry(tableBits)
			}
			e := coded(entries[symbol], n-tableBits)
			for i := at + mirrored>>tableBits; i < at+1<<second; i += 1 << (n - tableBits) {
				table[i] = e
			}
			mirrored = next(mirrored, n)
		}
	}
}

// next counts a mirrored code of n bits up.
func next(mirrored uint, n int) uint {
	zeros := ^mirrored & (1<<n - 1)
	if zeros == 0 {
		return 0 // it was the last one
	}
	highest := uint(1) << (bits.Len(zeros) - 1)
	return mirrored&(highest-1) | highest
}
