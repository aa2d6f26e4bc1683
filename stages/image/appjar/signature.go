package appjar

import (
	"bytes"
	"path"
	"slices"
	"strings"
)

// unsign leaves out the signature of a signed jar whose manifest or entries
// are others in the image: Java refuses to load a class of a jar whose
// signature contradicts it. packed is the manifest as it was signed. A jar
// that stays as it is keeps its signature.
func (a *App) unsign(packed []byte) {
	if a.Kind != SpringBoot && bytes.Equal(packed, a.manifest) {
		return
	}
	signed := false
	a.entries = slices.DeleteFunc(a.entries, func(e entry) bool {
		if e.file == nil || !isSignature(e.name) {
			return false
		}
		// Spring Boot writes a META-INF/BOOT.SF, which signs nothing, where a
		// library is signed.
		signed = signed || !strings.EqualFold(path.Ext(e.name), ".SF")
		return true
	})
	if signed {
		a.Warnings = append(a.Warnings, "the jar is signed, and its manifest is another in the image, which no signature of the build's can cover: it is left out. Sign the image instead")
	}
}

// isSignature tells a file that signs a jar (JAR File Specification, Signed
// JAR File).
func isSignature(name string) bool {
	file, ok := strings.CutPrefix(strings.ToUpper(name), "META-INF/")
	if !ok || strings.Contains(file, "/") {
		return false
	}
	return strings.HasPrefix(file, "SIG-") || slices.Contains([]string{".SF", ".RSA", ".DSA", ".EC"}, path.Ext(file))
}
