package jre

import (
	"bytes"
	"encoding/binary"
	"errors"
)

var errLoaderCache = errors.New("not an ld.so.cache in glibc's format")

// parseLoaderCache reads /etc/ld.so.cache: where the dynamic loader finds a
// library by its name, best first. Variants for certain processors are left
// out, since the image may run on another one. The format is glibc's
// sysdeps/generic/dl-cache.h, "glibc-ld.so.cache1.1", alone or behind the old
// one; numbers are in the machine's byte order, which is little-endian on
// every machine that fastship runs on.
func parseLoaderCache(b []byte) (map[string][]string, error) {
	const head, entry = 48, 24
	start := bytes.Index(b, []byte("glibc-ld.so.cache1.1"))
	if start < 0 || len(b)-start < head {
		return nil, errLoaderCache
	}
	b = b[start:] // offsets count from here
	count := int(binary.LittleEndian.Uint32(b[20:]))
	if count > (len(b)-head)/entry {
		return nil, errLoaderCache
	}
	paths := make(map[string][]string, count)
	for i := range count {
		e := b[head+i*entry:]
		name, ok1 := cString(b, binary.LittleEndian.Uint32(e[4:]))
		path, ok2 := cString(b, binary.LittleEndian.Uint32(e[8:]))
		if !ok1 || !ok2 {
			return nil, errLoaderCache
		}
		if hwcap := binary.LittleEndian.Uint64(e[16:]); hwcap == 0 {
			paths[name] = append(paths[name], path)
		}
	}
	return paths, nil
}

func cString(b []byte, offset uint32) (string, bool) {
	if int64(offset) >= int64(len(b)) {
		return "", false
	}
	text, _, ok := bytes.Cut(b[offset:], []byte{0})
	return string(text), ok
}
