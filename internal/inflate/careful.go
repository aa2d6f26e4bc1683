package inflate

import "io"

// careful decodes symbols to the end of the block, where src or dst are near
// their own ends: it looks before each step.
func (d *Decoder) careful(literals *[literalTable]entry, distances *[distanceTable]entry) error {
	for {
		e, extra, err := d.symbol(literals[:], literalBits)
		switch {
		case err != nil:
			return err
		case e&end != 0 && e&literal == 0:
			return nil
		case d.out == len(d.dst):
			return ErrLarger
		case e&literal != 0:
			d.dst[d.out] = byte(e >> 16)
			d.out++
			continue
		}
		length := int(e>>16) + extra
		if e, extra, err = d.symbol(distances[:], distanceBits); err != nil {
			return err
		}
		distance := int(e>>16) + extra
		if distance > d.out {
			return d.damaged()
		}
		stop := min(d.out+length, len(d.dst))
		for i := d.out; i < stop; i++ {
			d.dst[i] = d.dst[i-distance]
		}
		if length > stop-d.out {
			d.out = stop
			return ErrLarger
		}
		d.out = stop
	}
}

// symbol takes one code and its extra bits.
func (d *Decoder) symbol(table []entry, tableBits uint) (entry, int, error) {
	d.fill()
	e := table[d.bits&(1<<tableBits-1)]
	if e&(literal|special) == special && e&link != 0 {
		if d.n < tableBits {
			return 0, 0, io.ErrUnexpectedEOF
		}
		d.drop(tableBits)
		e = table[uint64(e>>16)+d.bits&(1<<(e>>8&15)-1)]
	}
	n := uint(e & 255)
	switch {
	case n > d.n:
		return 0, 0, io.ErrUnexpectedEOF
	case e&(literal|special|end) == special:
		return 0, 0, d.damaged()
	}
	extra := int(d.bits & (1<<n - 1) >> (e >> 8 & 15))
	d.drop(n)
	return e, extra, nil
}
