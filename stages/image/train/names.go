package train

import (
	"archive/zip"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"path"
	"slices"
	"strings"
)

// Names is a set of entries of jars, by hashes of their names: what a library
// could hide from the application when it comes first in the class path. Two
// names of one hash would at worst leave an application untrained.
type Names []uint64

// NamesOf collects the entries that matter of a jar.
func NamesOf(jar *zip.Reader) Names {
	set := make(Names, 0, len(jar.File))
	for _, f := range jar.File {
		if matters(f.Name) {
			set = append(set, sum(f.Name))
		}
	}
	return set
}

// Join makes one sorted set of several.
func Join(sets []Names) Names {
	all := slices.Concat(sets...)
	slices.Sort(all)
	return slices.Compact(all)
}

// Bytes is the set as Parse reads it.
func (n Names) Bytes() []byte {
	b := make([]byte, 0, 8*len(n))
	for _, h := range n {
		b = binary.LittleEndian.AppendUint64(b, h)
	}
	return b
}

// Parse reads what Bytes wrote.
func Parse(b []byte) (Names, error) {
	if len(b)%8 != 0 {
		return nil, errors.New("read a set of names: it ends in the middle of one")
	}
	n := make(Names, 0, len(b)/8)
	for ; len(b) > 0; b = b[8:] {
		n = append(n, binary.LittleEndian.Uint64(b))
	}
	if !slices.IsSorted(n) {
		return nil, fmt.Errorf("read a set of %d names: it is not sorted", len(n))
	}
	return n, nil
}

// Has tells whether an entry of another jar, at that name, would be hidden.
func (n Names) Has(name string) bool {
	if !matters(name) {
		return false
	}
	_, found := slices.BinarySearch(n, sum(name))
	return found
}

// matters leaves out what is looked up in every jar of the class path, and
// what nobody looks up by its name. Files of META-INF/services are read from
// all jars too, but in their order: the first provider often wins.
func matters(name string) bool {
	if strings.HasSuffix(name, "/") {
		return false
	}
	if name == "module-info.class" || strings.HasPrefix(name, "META-INF/versions/") && strings.HasSuffix(name, "/module-info.class") {
		return false // of no meaning on the class path
	}
	rest, inMeta := strings.CutPrefix(name, "META-INF/")
	if !inMeta {
		return !isLicence(name)
	}
	switch {
	case strings.HasPrefix(rest, "maven/"), strings.HasPrefix(rest, "licenses/"), strings.HasPrefix(rest, "license/"), strings.HasPrefix(rest, "LICENSES/"):
		return false
	case strings.HasPrefix(rest, "spring/") && slices.Contains([]string{".imports", ".replacements", ".factories"}, path.Ext(rest)),
		strings.HasPrefix(rest, "spring.") && !strings.Contains(rest, "/"):
		return false // spring.factories, spring.handlers, …: read from all jars, ordered by annotations
	case strings.Contains(rest, "/"):
		return true
	case rest == "MANIFEST.MF", rest == "INDEX.LIST", rest == "DEPENDENCIES",
		rest == "spring-configuration-metadata.json", rest == "additional-spring-configuration-metadata.json",
		rest == "spring-autoconfigure-metadata.properties":
		return false
	case strings.HasSuffix(rest, ".SF"), strings.HasSuffix(rest, ".RSA"), strings.HasSuffix(rest, ".DSA"), strings.HasSuffix(rest, ".EC"):
		return false
	case strings.HasSuffix(rest, ".kotlin_module"), isLicence(rest):
		return false
	}
	return true
}

// isLicence knows the texts that many jars have at one place.
func isLicence(name string) bool {
	if strings.Contains(name, "/") || !slices.Contains([]string{"", ".txt", ".md", ".html"}, strings.ToLower(path.Ext(name))) {
		return false
	}
	upper := strings.ToUpper(name)
	for _, prefix := range []string{"LICENSE", "LICENCE", "NOTICE", "README", "CHANGELOG", "THIRD-PARTY", "THIRD_PARTY", "ABOUT.HTML"} {
		if strings.HasPrefix(upper, prefix) {
			return true
		}
	}
	return false
}

func sum(name string) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(name)) // never fails
	return h.Sum64()
}
