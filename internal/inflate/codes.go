package inflate

import "io"

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
	var lengths [precodeSymbols]uint8
	for _, symbol := range order[:precodes] {
		n, err := d.take(3)
		if err != nil {
			return err
		}
		lengths[symbol] = uint8(n)
	}
	d.literalCode.clear()
	for symbol, length := range lengths {
		d.literalCode.add(symbol, length)
	}
	if !d.literalCode.build(d.precode[:], precodeBits, d.precodeEntries[:]) {
		return d.damaged()
	}
	if err := d.codeLengths(int(literals), int(distances)); err != nil {
		return err
	}
	if !d.literalCode.build(d.literals[:], literalBits, d.literalEntries[:]) || !d.distanceCode.build(d.distances[:], distanceBits, d.distanceBases[:]) {
		return d.damaged()
	}
	return nil
}

// codeLengths reads the lengths of both codes, which are one row.
func (d *Decoder) codeLengths(literals, distances int) error {
	d.literalCode.clear()
	d.distanceCode.clear()
	length := -1 // the last one
	for i := 0; i < literals+distances; {
		if d.n < precodeBits+7 { // a code and its number
			d.fill()
		}
		e := d.precode[d.bits&(precodeTable-1)]
		taken := uint(e & 255)
		n := 1
		switch {
		case taken > d.n:
			return io.ErrUnexpectedEOF
		case e&literal != 0:
			length = int(e >> 16 & maxCode)
		case e&special != 0 || e&last != 0 && length < 0:
			return d.damaged()
		default:
			if e&last == 0 {
				length = 0
			}
			if n = int(e>>16) + int(d.bits&(1<<taken-1)>>(e>>8&15)); i+n > literals+distances {
				return d.damaged()
			}
		}
		d.drop(taken)
		if n > 1 && length == 0 {
			i += n
			continue
		}
		for ; n > 0; n-- {
			if i < literals {
				d.literalCode.add(i, uint8(length))
			} else {
				d.distanceCode.add(i-literals, uint8(length))
			}
			i++
		}
	}
	return nil
}
