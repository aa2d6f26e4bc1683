package jre

import (
	"bytes"
	"encoding/binary"
	"errors"
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

// member is a field or method that a class uses: indexes of a Class and of a
// NameAndType constant.
type member struct{ class, nameAndType uint16 }

var errNotClass = errors.New("not a class file")

// pool is a class file's constant pool. Entries that are not kept are nil.
type pool struct {
	utf8    [][]byte // by index
	names   []uint16 // by index: the name index of a Module, Class or NameAndType constant, else 0
	classes []uint16 // name indexes of the Class constants
	members []member // Fieldref and Methodref constants
	types   []uint16 // by index: the descriptor index of a NameAndType constant, whose name is in names
	rest    []byte   // what follows the pool
}

// parsePool reads the constant pool at the head of a class file.
func parsePool(class []byte) (pool, error) {
	if len(class) < 10 || binary.BigEndian.Uint32(class) != 0xCAFEBABE {
		return pool{}, errNotClass
	}
	count := int(binary.BigEndian.Uint16(class[8:]))
	p := pool{utf8: make([][]byte, count), names: make([]uint16, count), types: make([]uint16, count)}
	b := class[10:]
	for i := 1; i < count; i++ {
		if len(b) < 3 {
			return pool{}, errNotClass
		}
		tag, size := b[0], 0
		switch tag {
		case tagUtf8:
			size = 2 + int(binary.BigEndian.Uint16(b[1:]))
		case tagClass, tagString, tagMethodType, tagModule, tagPackage:
			size = 2
		case tagMethodHandle:
			size = 3
		case tagInteger, tagFloat, tagFieldref, tagMethodref, tagInterfaceMethodref, tagNameAndType, tagDynamic, tagInvokeDynamic:
			size = 4
		case tagLong, tagDouble:
			size = 8
		default:
			return pool{}, errNotClass
		}
		if len(b) < 1+size {
			return pool{}, errNotClass
		}
		switch tag {
		case tagUtf8:
			p.utf8[i] = b[3 : 1+size]
		case tagClass:
			p.classes = append(p.classes, binary.BigEndian.Uint16(b[1:]))
			p.names[i] = binary.BigEndian.Uint16(b[1:])
		case tagFieldref, tagMethodref:
			p.members = append(p.members, member{binary.BigEndian.Uint16(b[1:]), binary.BigEndian.Uint16(b[3:])})
		case tagNameAndType:
			p.names[i], p.types[i] = binary.BigEndian.Uint16(b[1:]), binary.BigEndian.Uint16(b[3:])
		case tagModule:
			p.names[i] = binary.BigEndian.Uint16(b[1:])
		case tagLong, tagDouble:
			i++ // JVMS 4.4.5: they take two entries
		}
		b = b[1+size:]
	}
	p.rest = b
	return p, nil
}

func (p pool) text(index uint16) []byte {
	if int(index) >= len(p.utf8) {
		return nil
	}
	return p.utf8[index]
}

// className is the name index of the Class constant at index.
func (p pool) className(index uint16) uint16 {
	if int(index) >= len(p.names) {
		return 0
	}
	return p.names[index]
}

// nameAndType gives the two texts of the NameAndType constant at index.
func (p pool) nameAndType(index uint16) (name, descriptor []byte) {
	if int(index) >= len(p.types) {
		return nil, nil
	}
	return p.text(p.names[index]), p.text(p.types[index])
}

// packages tells add the package, with slashes, of every class the file
// names: Class constants, and the descriptors and signatures of fields,
// methods and annotations. These are Utf8 constants without a mark, so a
// string that looks like one counts too: jdeps' answer is always included.
func (p pool) packages(add func(pkg []byte)) {
	for _, index := range p.classes {
		if name := p.text(index); len(name) > 0 && name[0] != '[' { // arrays are read as descriptors
			addPackage(name, add)
		}
	}
	for _, s := range p.utf8 {
		if len(s) > 2 && bytes.IndexByte(s, ';') > 0 {
			descriptors(s, add)
		}
	}
}

func addPackage(name []byte, add func(pkg []byte)) {
	if slash := bytes.LastIndexByte(name, '/'); slash > 0 {
		add(name[:slash])
	}
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
		if end := bytes.IndexAny(s, ";<.:()[ "); end > 0 && (s[end] == ';' || s[end] == '<' || s[end] == '.') {
			addPackage(s[:end], add)
		}
	}
}

const staticPhase = 0x0040 // ACC_STATIC_PHASE: needed to compile only

// requires lists the modules that a module-info needs at run time.
func (p pool) requires() []string {
	b := reader{p.rest}
	b.skip(2 + 2 + 2 + 2 + 2 + 2) // flags, this, super, no interfaces, fields, methods
	for range b.u2() {
		name, size := p.text(b.u2()), b.u4()
		if string(name) != "Module" {
			b.skip(size)
			continue
		}
		b.skip(2 + 2 + 2) // name, flags, version
		var modules []string
		for range b.u2() {
			module, flags := b.u2(), b.u2()
			b.skip(2) // version
			if flags&staticPhase == 0 && int(module) < len(p.names) {
				modules = append(modules, string(p.text(p.names[module])))
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
