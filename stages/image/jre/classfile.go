package jre

import (
	"bytes"
	"encoding/binary"
	"errors"
	"slices"
)

// Tags of the constant pool: JVMS 25, table 4.4-A.
const (
	tagUtf8               = 1
	tagInteger            = 3
	tagFloat              = 4
	tagLong               = 5
	tagDouble             = 6
	tagClass              = 7
	tagString             = 8
	tagFieldref           = 9
	tagMethodref          = 10
	tagInterfaceMethodref = 11
	tagNameAndType        = 12
	tagMethodHandle       = 15
	tagMethodType         = 16
	tagDynamic            = 17
	tagInvokeDynamic      = 18
	tagModule             = 19
	tagPackage            = 20
)

// sizes are the bytes of a constant behind its tag; 0 where it is none, or
// says itself.
var sizes = [...]uint8{
	tagInteger: 4, tagFloat: 4, tagLong: 8, tagDouble: 8, tagClass: 2, tagString: 2, tagFieldref: 4, tagMethodref: 4, tagInterfaceMethodref: 4,
	tagNameAndType: 4, tagMethodHandle: 3, tagMethodType: 2, tagDynamic: 4, tagInvokeDynamic: 4, tagModule: 2, tagPackage: 2,
}

var errNotClass = errors.New("not a class file")

// constant is one of the pool: the bytes of a Utf8 constant begin at first and
// are second long; of others these are the two indexes, as far as they have
// them.
type constant struct {
	first  uint32
	second uint16
	tag    uint8
}

// pool is a class file's constant pool.
type pool struct {
	class     []byte
	constants []constant // by index
	rest      []byte     // what follows the pool
	end       int        // of the pool in class
	locale    bool       // some constant has the name of a class that makes locales
}

// parsePool reads the constant pool at the head of a class file.
func parsePool(class []byte) (pool, error) {
	var p pool
	return p, p.parse(class)
}

// parse does that where another pool was: classes come by the thousands.
func (p *pool) parse(class []byte) error {
	if len(class) < 10 || binary.BigEndian.Uint32(class) != 0xCAFEBABE {
		return errNotClass
	}
	count := int(binary.BigEndian.Uint16(class[8:]))
	all := slices.Grow(p.constants[:0], count+1)[:count+1] // the last one may take two entries
	all[0] = constant{}
	*p = pool{class: class, constants: all[:1]}
	at, i := 10, 1
	for ; i < count; i++ {
		if len(class)-at < 3 {
			return errNotClass
		}
		b := class[at:]
		c := constant{tag: b[0], first: uint32(binary.BigEndian.Uint16(b[1:]))}
		if c.tag == tagUtf8 {
			c.first, c.second = uint32(at+3), uint16(c.first)
			if at += 3 + int(c.second); at > len(class) {
				return errNotClass
			}
			all[i] = c
			p.locale = p.locale || isLocale(class[c.first:at])
			continue
		}
		if int(c.tag) >= len(sizes) || sizes[c.tag] == 0 || at+1+int(sizes[c.tag]) > len(class) {
			return errNotClass
		}
		if len(b) >= 5 {
			c.second = binary.BigEndian.Uint16(b[3:]) // whether it has one or not
		}
		all[i] = c
		at += 1 + int(sizes[c.tag])
		if c.tag == tagLong || c.tag == tagDouble {
			i++
			all[i] = constant{} // JVMS 4.4.5: they take two entries
		}
	}
	p.constants = all[:i]
	p.rest, p.end = class[at:], at
	return nil
}

// of is the constant at index if it has that tag, else an empty one.
func (p *pool) of(index int, tag uint8) constant {
	if index >= len(p.constants) || p.constants[index].tag != tag {
		return constant{}
	}
	return p.constants[index]
}

// text is the Utf8 constant at index.
func (p *pool) text(index int) []byte {
	c := p.of(index, tagUtf8)
	return p.class[c.first:][:c.second]
}

// name is the text that the Class or Module constant at index names.
func (p *pool) name(index int, tag uint8) []byte { return p.text(int(p.of(index, tag).first)) }

// packages tells add the package, with slashes, of every class the file
// names: Class constants, and the descriptors and signatures of fields,
// methods and annotations. These are Utf8 constants without a mark, so a
// string that looks like one counts too: jdeps' answer is always included.
func (p *pool) packages(add func(pkg []byte)) {
	text := p.class[:p.end]
	semicolon := 0 // the next one in text: most constants have none, and need not be searched
	for _, c := range p.constants {
		switch c.tag {
		case tagClass:
			name := p.text(int(c.first))
			if slash := bytes.LastIndexByte(name, '/'); slash > 0 && name[0] != '[' { // arrays are read as descriptors
				add(name[:slash])
			}
		case tagUtf8:
			first, end := int(c.first), int(c.first)+int(c.second)
			if semicolon < first {
				next := bytes.IndexByte(text[first:], ';')
				if next < 0 {
					next = len(text)
				}
				semicolon = first + next
			}
			if first < semicolon && semicolon < end {
				descriptors(text[first:end], add)
			}
		}
	}
}

// What a byte is behind the L of a descriptor.
const (
	ofName     = iota
	slash      // between packages
	endsName   // of a class
	endsNoName // what begins with that L is no class
)

var inDescriptor = [256]uint8{
	'/': slash, ';': endsName, '<': endsName, '.': endsName, ':': endsNoName, '(': endsNoName, ')': endsNoName, '[': endsNoName, ' ': endsNoName,
}

// descriptors finds the class names in a descriptor or signature: an L, the
// name, and one of ; < . behind it (JVMS 4.3, 4.7.9.1).
func descriptors(s []byte, add func(pkg []byte)) {
	for {
		start := bytes.IndexByte(s, 'L')
		if start < 0 {
			return
		}
		s = s[start+1:]
		last, end := 0, 0
		for end < len(s) && inDescriptor[s[end]] <= slash {
			if s[end] == '/' {
				last = end
			}
			end++
		}
		if end == len(s) {
			return // no L within ends either
		}
		if last > 0 && inDescriptor[s[end]] == endsName {
			add(s[:last])
			if bytes.IndexByte(s[:last], 'L') >= 0 {
				continue // from there it looks like another one
			}
		}
		s = s[end:]
	}
}

const staticPhase = 0x0040 // ACC_STATIC_PHASE: needed to compile only

// requires lists the modules that a module-info needs at run time.
func (p *pool) requires() []string {
	b := reader{p.rest}
	b.skip(2 + 2 + 2 + 2 + 2 + 2) // flags, this, super, no interfaces, fields, methods
	for range b.u2() {
		name, size := p.text(int(b.u2())), b.u4()
		if string(name) != "Module" {
			b.skip(size)
			continue
		}
		b.skip(2 + 2 + 2) // name, flags, version
		var modules []string
		for range b.u2() {
			module, flags := b.u2(), b.u2()
			b.skip(2) // version
			if flags&staticPhase == 0 && int(module) < len(p.constants) {
				modules = append(modules, string(p.name(int(module), tagModule)))
			}
		}
		return modules
	}
	return nil
}

// reader reads big-endian numbers; past the end it gives zeros.
type reader struct{ b []byte }

func (r *reader) skip(n int) { r.b = r.b[min(max(n, 0), len(r.b)):] }

func (r *reader) u2() uint16 {
	if len(r.b) < 2 {
		r.b = nil
		return 0
	}
	n := binary.BigEndian.Uint16(r.b)
	r.b = r.b[2:]
	return n
}

func (r *reader) u4() int { return int(r.u2())<<16 | int(r.u2()) }
