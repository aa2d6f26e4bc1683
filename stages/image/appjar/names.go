package appjar

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/fastship/fastship/internal/zipfs"
)

// maxClass bounds a class file that is searched; the largest that compilers
// make are some hundred kilobytes.
const maxClass = 16 << 20

// Names lists the files of app.jar, without its manifest.
func (a *App) Names() []string {
	names := make([]string, 0, len(a.entries))
	for _, e := range a.entries {
		if e.file != nil {
			names = append(names, e.name)
		}
	}
	return names
}

// Attribute is a main attribute of app.jar's manifest, or the empty string.
func (a *App) Attribute(name string) string {
	m, err := parseManifest(a.manifest)
	if err != nil {
		return "" // it was read once, when the jar was opened
	}
	return m.get(name)
}

// Mentions names the first of app.jar's own classes that has a text as one of
// its constants, whole or in part; empty when none has.
func (a *App) Mentions(text string) (class string, err error) {
	for _, e := range a.entries {
		if e.file == nil || !strings.HasSuffix(e.name, ".class") {
			continue
		}
		content, err := zipfs.Read(e.file, maxClass)
		if err != nil {
			return "", fmt.Errorf("%s: %w", e.name, err)
		}
		if bytes.Contains(content, []byte(text)) {
			return e.name, nil
		}
	}
	return "", nil
}
