package inflate

import "io"

// maxRepeat is how far one repetition can write beyond the last length.
const maxRepeat = 138

// order is that of the precode's lengths: RFC 1951, 3.2.7.
var order = [precodeSymbols]uint8{16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15}

// codes reads the codes of a dynamic block and makes their tables.
func (d *Decoder) codes() error {
	counts, err := d.take(14)
	if err != nil {
		return err
	}
	literals, distances, precodes := counts&31+257, counts>>5&31+1, counts>>10+4
	if literals > maxLiterals || distances > maxDistances {
		return d.damaged()
	}
	var precode [precodeSymbols]uint8
	for _, symbol := range order[:precodes] {
		n, err := d.take(3)
		if err != nil {
			return err
		}
		precode[symbol] = uint8(n)
	}
	if !d.build(d.precode[:], precodeBits, precode[:], d.precodeEntries[:]) {
		return d.damaged()
	}
	if err := d.codeLengths(int(literals + distances)); err != nil {
		return err
	}
	if !d.build(d.literals[:], literalBits, d.lengths[:literals], d.literalEntries[:]) ||
		!d.build(d.distances[:], distanceBits, d.lengths[literals:][:distances], d.distanceBases[:]) {
		return d.damaged()
	}
	return nil
}

// codeLengths reads that many lengths: those of both codes in one row.
func (d *Decoder) codeLengths(count int) error {
	for i := 0; i < count; {
		if d.n < precodeBits+7 { // a code and its number
			d.fill()
		}
		e := d.precode[d.bits&(precodeTable-1)]
		taken := uint(e & 255)
		switch {
		case taken > d.n:
			return io.ErrUnexpectedEOF
		case e&literal != 0:
			d.lengths[i] = uint8(e >> 16)
			i++
			d.drop(taken)
			continue
		case e&special != 0 || e&last != 0 && i == 0:
			return d.damaged()
		}
		var length uint8
		if e&last != 0 {
			length = d.lengths[i-1]
		}
		n := int(e>>16) + int(d.bits&(1<<taken-1)>>(e>>8&15))
		row := d.lengths[i:][:n] // there is room for one too long
		for j := range row {
			row[j] = length
		}
		if i += n; i > count {
			return d.damaged()
		}
		d.drop(taken)
	}
	return nil
}
