package jre

import (
	"bytes"
	"debug/elf"
	"path"
	"slices"
	"strings"
)

// Native is a shared library inside a jar, which Java unpacks and loads at run
// time (JNI).
type Native struct {
	Name    string      `json:"name"` // of its entry: META-INF/native/libx.so
	Machine elf.Machine `json:"machine"`
	Needs   []string    `json:"needs,omitempty"` // by the names in its DT_NEEDED
}

// maxNative is the largest shared library that is read, in bytes. What a larger
// one needs is not known.
const maxNative = 64 << 20

// isNative tells a shared library by its name: libx.so, libx.so.1.
func isNative(name string) bool {
	base := path.Base(name)
	return strings.HasSuffix(base, ".so") || strings.Contains(base, ".so.") && !strings.HasSuffix(base, ".class")
}

// native reads what a shared library in a jar asks for. What is no library of
// Linux with glibc is left out: it does not run in this base anyhow.
func (s *scanner) native(name string, content []byte) {
	object, err := elf.NewFile(bytes.NewReader(content))
	if err != nil {
		return // not one in spite of its name
	}
	needs, err := object.ImportedLibraries()
	if err != nil || !slices.ContainsFunc(needs, func(n string) bool { return n == "libc.so.6" || strings.HasPrefix(n, "ld-linux") }) {
		return // for musl, Android, FreeBSD; or it needs nothing
	}
	slices.Sort(needs)
	s.natives = append(s.natives, Native{Name: name, Machine: object.Machine, Needs: needs})
}

// followNatives takes along what the shared libraries inside jars need. Those
// that lie beside each other in a jar bring each other.
func (r *resolver) followNatives(natives []Native, own map[string]bool) error {
	beside := map[string]bool{}
	for _, n := range natives {
		beside[path.Base(n.Name)] = true
	}
	for _, n := range natives {
		if n.Machine != r.machine {
			continue
		}
		for _, need := range n.Needs {
			if own[need] || beside[need] || need == path.Base(r.loader) {
				continue
			}
			found, ok := r.find(need, nil)
			if !ok {
				r.missing[need+", which "+n.Name+" in a jar needs"] = true
				continue
			}
			if err := r.take(need, found, own); err != nil {
				return err
			}
		}
	}
	return nil
}
