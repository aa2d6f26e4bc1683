package inflate

const (
	literalMask  = 1<<literalBits - 1
	distanceMask = 1<<distanceBits - 1

	reads = 16       // bytes of src that a round may take
	most  = 258      // the longest match
	over  = 2 * 8    // what a match's words may write too much
	round = most + 8 // bytes of dst that a round may give
)

// fast decodes symbols while no step can reach beyond src or dst, and tells
// whether that was the end of the block. It may run over dst's length into its
// capacity.
func (d *Decoder) fast(literals *[literalTable]entry, distances *[distanceTable]entry) (done bool, err error) {
	src, dst := d.src, d.room
	pos, out := d.pos, d.out
	bits, n := d.bits, uint64(d.n) // only the low six bits of n count
	lastPos, lastOut := len(src)-reads, min(len(dst)-round-over, len(d.dst)-1)
	for pos <= lastPos && out <= lastOut {
		bits |= le.Uint64(src[pos:]) << (n & 63)
		pos += int(^n >> 3 & 7)
		n |= 56
		e := literals[bits&literalMask]
		if e&literal != 0 { // of at most 10 bits, as are the next ones
			bits >>= e & 63
			n -= uint64(e)
			dst[out] = byte(e >> 16)
			out++
			e = literals[bits&literalMask]
			if e&literal != 0 {
				bits >>= e & 63
				n -= uint64(e)
				dst[out] = byte(e >> 16)
				out++
				e = literals[bits&literalMask]
				if e&literal != 0 {
					bits >>= e & 63
					n -= uint64(e)
					dst[out] = byte(e >> 16)
					out++
					continue
				}
			}
		}
		// At least 36 bits are left: enough for a length's 20.
		if e&special != 0 {
			if e&link != 0 {
				bits >>= literalBits
				n -= literalBits
				e = literals[(uint64(e>>16)+bits&(1<<(e>>8&15)-1))&(literalTable-1)]
			}
			if e&literal != 0 {
				bits >>= e & 63
				n -= uint64(e)
				dst[out] = byte(e >> 16)
				out++
				continue
			}
			if e&special != 0 {
				bits >>= e & 63
				n -= uint64(e)
				d.pos, d.out, d.bits, d.n = pos, out, bits, uint(n&63)
				if e&end == 0 {
					return false, d.damaged()
				}
				return true, nil
			}
		}
		length := int(uint64(e>>16) + bits&(1<<(e&63)-1)>>(e>>8&15))
		bits >>= e & 63
		n -= uint64(e)

		bits |= le.Uint64(src[pos:]) << (n & 63)
		pos += int(^n >> 3 & 7)
		n |= 56
		e = distances[bits&distanceMask]
		if e&special != 0 {
			if e&link != 0 {
				bits >>= distanceBits
				n -= distanceBits
				e = distances[(uint64(e>>16)+bits&(1<<(e>>8&15)-1))&(distanceTable-1)]
			}
			if e&special != 0 {
				d.pos, d.out, d.bits, d.n = pos, out, bits, uint(n&63)
				return false, d.damaged()
			}
		}
		distance := int(uint64(e>>16) + bits&(1<<(e&63)-1)>>(e>>8&15))
		bits >>= e & 63
		n -= uint64(e)

		if distance > out {
			d.pos, d.out, d.bits, d.n = pos, out, bits, uint(n&63)
			return false, d.damaged()
		}
		from, stop := out-distance, out+length
		// What is repeated within a word is written as often as makes a word:
		// the same bytes twice as far apart are the same bytes.
		for ; distance < 8; distance *= 2 {
			le.PutUint64(dst[out:], le.Uint64(dst[from:]))
			out += distance
		}
		for out < stop {
			le.PutUint64(dst[out:], le.Uint64(dst[from:]))
			out += 8
			from += 8
		}
		out = stop
	}
	d.pos, d.out, d.bits, d.n = pos, out, bits, uint(n&63)
	return false, nil
}
