// Package javahome finds the Java runtime in the layers of an image that
// somebody else made, without unpacking them.
package javahome

import (
	"context"
	"io"
	"path"
	"strconv"
	"strings"

	"github.com/fastship/fastship/internal/unpack"
)

// Version changes when the same layers would give another answer.
const Version = "1"

// Java is the runtime that a command starts.
type Java struct {
	Command string `json:"command,omitempty"` // its absolute path, links followed; empty: there is none
	Home    string `json:"home,omitempty"`    // the folder of its release file; empty: it has none
	Release int    `json:"release,omitempty"` // 17; 0 when unknown
	// Modules are those that the release file lists, which jlink writes for
	// every runtime since Java 9; nil when unknown.
	Modules []string `json:"modules,omitempty"`
}

// Layer opens a layer's blob, compressed or not.
type Layer func(ctx context.Context) (io.ReadCloser, error)

// Find looks for command in the image of layers, bottom first: an absolute
// path, or a name in the folders of search, the image's PATH (empty: the
// engines' default).
func Find(ctx context.Context, layers []Layer, command, search string) (Java, error) {
	t := newTree()
	for _, open := range layers {
		if err := t.addLayer(ctx, open); err != nil {
			return Java{}, err
		}
	}
	var j Java
	for _, candidate := range candidates(command, search) {
		if at, ok := t.resolve(candidate); ok && t.isFile(at) {
			j.Command = at
			break
		}
	}
	if j.Command == "" {
		return j, nil
	}
	// bin/java, and jre/bin/java of a JDK 8.
	for home, i := path.Dir(path.Dir(j.Command)), 0; i < 2; home, i = path.Dir(home), i+1 {
		if at, ok := t.resolve(path.Join(home, "release")); ok && t.texts[at] != "" {
			j.Home = home
			j.read(t.texts[at])
			break
		}
	}
	return j, nil
}

// defaultPath is what container engines set for an image without any.
const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

func candidates(command, search string) []string {
	if path.IsAbs(command) {
		return []string{command}
	}
	if search == "" {
		search = defaultPath
	}
	var all []string
	for dir := range strings.SplitSeq(search, ":") {
		if path.IsAbs(dir) {
			all = append(all, path.Join(dir, command))
		}
	}
	return all
}

// read takes what a JDK's release file says: NAME="VALUE", a line each.
func (j *Java) read(text string) {
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		value = strings.Trim(value, `"`)
		switch name {
		case "JAVA_VERSION":
			number := strings.TrimPrefix(value, "1.") // 1.8.0_412, 17.0.15, 26-ea
			end := strings.IndexFunc(number, func(r rune) bool { return r < '0' || r > '9' })
			if end < 0 {
				end = len(number)
			}
			j.Release, _ = strconv.Atoi(number[:end]) // 0: unknown
		case "MODULES":
			j.Modules = strings.Fields(value)
		}
	}
}

func (t *tree) addLayer(ctx context.Context, open Layer) error {
	blob, err := open(ctx)
	if err != nil {
		return err
	}
	defer blob.Close()
	stop := context.AfterFunc(ctx, func() { blob.Close() }) // ends a read that hangs
	defer stop()
	plain, done, err := unpack.Decompress(blob)
	if err != nil {
		return err
	}
	defer done()
	if err := t.add(plain); ctx.Err() != nil {
		return context.Cause(ctx)
	} else if err != nil {
		return err
	}
	return nil
}
