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

// fixed makes the tables of RFC 1951, 3.2.6.
func (d *Decoder) fixed() {
	lengths := d.lengths[:fixedSymbols]
	for i := range lengths {
		switch {
		case i < 144:
			lengths[i] = 8
		case i < 256:
			lengths[i] = 9
		case i < 280:
			lengths[i] = 7
		default:
			lengths[i] = 8
		}
	}
	d.build(d.fixedLiterals[:], literalBits, lengths, d.literalEntries[:])
	lengths = d.lengths[:fixedDistances]
	for i := range lengths {
		lengths[i] = 5
	}
	d.build(d.fixedDistances[:], distanceBits, lengths, d.distanceBases[:])
}

// build makes the table, and second ones, of the code whose lengths are given
// by symbol (RFC 1951, 3.2.2). It is false for a code that has too many or too
// few; one of a single bit and none at all are allowed.
func (d *Decoder) build(table []entry, tableBits uint, lengths []uint8, entries []entry) bool {
	var count [maxCode + 1]uint16
	for _, n := range lengths {
		count[n&maxCode]++
	}
	longest := maxCode
	for longest > 0 && count[longest] == 0 {
		longest--
	}
	// Where the symbols of each length begin, and how many codes are left.
	var start [maxCode + 2]uint16
	left := 1
	for n := 1; n <= longest; n++ {
		left = left<<1 - int(count[n])
		if left < 0 {
			return false
		}
		start[n+1] = start[n] + count[n]
	}
	used := int(start[longest+1])
	if left > 0 {
		if used > 1 || longest > 1 {
			return false
		}
		for i := range table[:1<<tableBits] {
			table[i] = invalid
		}
		for i, n := range lengths {
			if n == 1 {
				for at := 0; at < 1<<tableBits; at += 2 {
					table[at] = coded(entries[i], 1)
				}
			}
		}
		return true
	}
	for symbol, n := range lengths {
		if n != 0 {
			at := &start[n&maxCode]
			d.symbols[*at] = uint16(symbol)
			*at++
		}
	}
	d.assign(table, tableBits, &count, d.symbols[:used], entries)
	return true
}

// coded adds the bits of the code, or of its part in this table.
func coded(e entry, n uint) entry { return e + entry(n)<<8 + entry(n) }

// assign gives a complete code's codes to symbols, which are sorted by length.
// Codes are counted up; in the stream their bits come highest first, so here
// they stand mirrored. A table of n bits is one of n+1 bits when it is written
// twice, so it grows with the codes.
func (d *Decoder) assign(table []entry, tableBits uint, count *[maxCode + 1]uint16, symbols []uint16, entries []entry) {
	code, n := uint(0), uint(1) // the mirrored code and its bits
	for ; n <= tableBits; n++ {
		for _, symbol := range symbols[:count[n]] {
			table[code] = coded(entries[symbol], n)
			code = next(code, n)
		}
		symbols = symbols[count[n]:]
		if n < tableBits {
			copy(table[1<<n:2<<n], table[:1<<n])
		}
	}
	at, second, prefix := uint(1)<<tableBits, uint(0), ^uint(0) // the second table: where, of how many bits, for which first ones
	for ; len(symbols) > 0; n++ {
		for left := uint(count[n]); left > 0; left-- {
			if p := code & (1<<tableBits - 1); p != prefix {
				if prefix != ^uint(0) {
					at += 1 << second
				}
				prefix, second = p, n-tableBits
				for fit := left; fit < 1<<second; fit = fit<<1 + uint(count[tableBits+second]) {
					second++
				}
				table[p] = special | link | entry(at)<<16 | entry(second)<<8 | entry(tableBits)
			}
			e := coded(entries[symbols[0]], n-tableBits)
			symbols = symbols[1:]
			for i := at + code>>tableBits; i < at+1<<second; i += 1 << (n - tableBits) {
				table[i] = e
			}
			code = next(code, n)
		}
	}
}

// next counts a mirrored code of n bits up.
func next(code, n uint) uint {
	zeros := ^code & (1<<n - 1)
	if zeros == 0 {
		return 0 // it was the last one
	}
	highest := uint(1) << (bits.Len(zeros) - 1)
	return code&(highest-1) | highest
}
