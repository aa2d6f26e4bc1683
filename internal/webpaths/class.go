package webpaths

import "encoding/binary"

// class is what a class file (JVMS chapter 4) says of its annotations.
type class struct {
	annotations []annotation
	methods     [][]annotation
}

// annotation is one annotation: its type's descriptor, and the strings and
// names of enum constants that its elements hold.
type annotation struct {
	kind   string
	values map[string][]string
}

// Tags of the constant pool and the length of what follows them, JVMS 4.4.
var constantLengths = map[byte]int{
	3: 4, 4: 4, 5: 8, 6: 8, 7: 2, 8: 2, 9: 4, 10: 4, 11: 4, 12: 4, 15: 3, 16: 2, 17: 4, 18: 4, 19: 2, 20: 2,
}

const visible = "RuntimeVisibleAnnotations"

// parse reads a class file; ok is false for bytes that are none.
func parse(b []byte) (c class, ok bool) {
	r := &reader{b: b}
	if r.u4() != 0xCAFEBABE {
		return c, false
	}
	r.skip(4) // versions
	if !r.constants() {
		return c, false
	}
	r.skip(6) // access, this, super
	r.skip(2 * r.u2())
	r.members(func([]annotation) {}) // fields
	r.members(func(a []annotation) { c.methods = append(c.methods, a) })
	c.annotations = r.attributes()
	return c, !r.short
}

// reader walks over a class file; past its end it gives zeros and says so.
type reader struct {
	b     []byte
	texts map[int]string // CONSTANT_Utf8 by index
	short bool
}

func (r *reader) skip(n int) []byte {
	if n < 0 || n > len(r.b) {
		r.short, r.b = true, nil
		return nil
	}
	head := r.b[:n]
	r.b = r.b[n:]
	return head
}

func (r *reader) u1() byte {
	if b := r.skip(1); b != nil {
		return b[0]
	}
	return 0
}

func (r *reader) u2() int {
	if b := r.skip(2); b != nil {
		return int(binary.BigEndian.Uint16(b))
	}
	return 0
}

func (r *reader) u4() uint32 {
	if b := r.skip(4); b != nil {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

func (r *reader) constants() bool {
	r.texts = map[int]string{}
	count := r.u2()
	for i := 1; i < count && !r.short; i++ {
		tag := r.u1()
		if tag == 1 {
			r.texts[i] = string(r.skip(r.u2()))
			continue
		}
		n, known := constantLengths[tag]
		if !known {
			return false
		}
		r.skip(n)
		if tag == 5 || tag == 6 { // long and double take two places
			i++
		}
	}
	return !r.short
}

// members reads fields or methods and hands over each one's annotations.
func (r *reader) members(each func([]annotation)) {
	for range r.u2() {
		if r.short {
			return
		}
		r.skip(6) // access, name, descriptor
		each(r.attributes())
	}
}

func (r *reader) attributes() []annotation {
	var found []annotation
	for range r.u2() {
		if r.short {
			break
		}
		name := r.texts[r.u2()]
		body := &reader{b: r.skip(int(r.u4())), texts: r.texts}
		if name != visible {
			continue
		}
		for range body.u2() {
			if body.short {
				break
			}
			found = append(found, body.annotation())
		}
	}
	return found
}

func (r *reader) annotation() annotation {
	a := annotation{kind: r.texts[r.u2()], values: map[string][]string{}}
	for range r.u2() {
		if r.short {
			break
		}
		name := r.texts[r.u2()]
		r.value(func(s string) { a.values[name] = append(a.values[name], s) }, 0)
	}
	return a
}

// deepest bounds the nesting of annotations in annotations, which the format
// itself does not.
const deepest = 20

// value reads an element_value, JVMS 4.7.16.1, and hands over what is a
// string or an enum constant in it.
func (r *reader) value(each func(string), depth int) {
	if depth > deepest {
		r.short = true
	}
	if r.short {
		return
	}
	switch r.u1() {
	case 's':
		each(r.texts[r.u2()])
	case 'e':
		r.skip(2) // the enum's type
		each(r.texts[r.u2()])
	case '[':
		for range r.u2() {
			r.value(each, depth+1)
		}
	case '@':
		r.skip(2) // the annotation's type
		for range r.u2() {
			r.skip(2) // the element's name
			r.value(func(string) {}, depth+1)
		}
	default: // a primitive or a class: one index
		r.skip(2)
	}
}
