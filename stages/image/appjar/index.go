package appjar

import (
	"fmt"
	"strings"
)

// Spring Boot's two indexes look like YAML and are read line by line by its
// own loader (ClassPathIndexFile, IndexedLayers), as here.

// parseClasspathIndex reads classpath.idx: one `- "BOOT-INF/lib/x.jar"` a
// line, in the order of the class path.
func parseClasspathIndex(b []byte) ([]string, error) {
	var paths []string
	for number, line := range lines(b) {
		if strings.TrimSpace(line) == "" {
			continue
		}
		item, ok := strings.CutPrefix(line, "- ")
		if !ok {
			return nil, fmt.Errorf("line %d: want - \"PATH\", not %q", number+1, line)
		}
		paths = append(paths, unquote(item))
	}
	return paths, nil
}

// layer is one layer of layers.idx: paths of entries, or of directories when
// they end in a slash.
type layer struct {
	name  string
	paths []string
}

// parseLayersIndex reads layers.idx: `- "name":`, then `  - "path"` lines.
func parseLayersIndex(b []byte) ([]layer, error) {
	var layers []layer
	for number, line := range lines(b) {
		item, inner := strings.CutPrefix(line, "  - ")
		switch {
		case strings.TrimSpace(line) == "":
		case inner && len(layers) > 0:
			last := &layers[len(layers)-1]
			last.paths = append(last.paths, unquote(item))
		default:
			name, ok := strings.CutPrefix(line, "- ")
			if ok {
				name, ok = strings.CutSuffix(strings.TrimSpace(name), ":")
			}
			if name = unquote(name); !ok || name == "" {
				return nil, fmt.Errorf("line %d: want - \"LAYER\": or   - \"PATH\", not %q", number+1, line)
			}
			layers = append(layers, layer{name: name})
		}
	}
	return layers, nil
}

// layerOf finds the layer of an entry: a path of its own wins over the
// longest directory. Empty when no layer claims it.
func layerOf(layers []layer, entry string) string {
	best, name := -1, ""
	for _, l := range layers {
		for _, p := range l.paths {
			if p == entry {
				return l.name
			}
			if strings.HasSuffix(p, "/") && strings.HasPrefix(entry, p) && len(p) > best {
				best, name = len(p), l.name
			}
		}
	}
	return name
}

func lines(b []byte) []string {
	return strings.Split(strings.ReplaceAll(string(b), "\r\n", "\n"), "\n")
}

func unquote(s string) string {
	s = strings.TrimSpace(s)
	if len(s) >= 2 && s[0] == '"' && s[len(s)-1] == '"' {
		return s[1 : len(s)-1]
	}
	return s
}
