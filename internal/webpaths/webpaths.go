// Package webpaths reads from compiled classes which paths a Spring web
// application answers GET on, so that it can be asked something that it knows.
package webpaths

import (
	"archive/zip"
	"io"
	"slices"
	"strings"
)

const (
	maxClass = 1 << 20 // bytes; a controller is never that large
	spring   = "Lorg/springframework/web/bind/annotation/"
)

// OfJar lists the paths that the application's own classes in a jar map,
// sorted, those with variables or wildcards left out. Libraries are not
// looked into. What cannot be read is passed over: the list is advice.
func OfJar(file string) []string {
	jar, err := zip.OpenReader(file)
	if err != nil {
		return nil
	}
	defer jar.Close()
	var paths []string
	for _, f := range jar.File {
		if !strings.HasSuffix(f.Name, ".class") || f.UncompressedSize64 > maxClass {
			continue
		}
		r, err := f.Open()
		if err != nil {
			continue
		}
		class, err := io.ReadAll(io.LimitReader(r, maxClass))
		r.Close()
		if err == nil {
			paths = append(paths, OfClass(class)...)
		}
	}
	slices.Sort(paths)
	return slices.Compact(paths)
}

// OfClass lists the paths of one class file: those of its methods behind each
// of its own.
func OfClass(class []byte) []string {
	c, ok := parse(class)
	if !ok {
		return nil
	}
	prefixes := []string{""}
	for _, a := range c.annotations {
		if a.kind == spring+"RequestMapping;" {
			if own := a.paths(); len(own) > 0 {
				prefixes = own
			}
		}
	}
	var paths []string
	for _, m := range c.methods {
		for _, a := range m {
			if !a.answersGet() {
				continue
			}
			own := a.paths()
			if len(own) == 0 {
				own = []string{""}
			}
			for _, prefix := range prefixes {
				for _, path := range own {
					if whole := join(prefix, path); !strings.ContainsAny(whole, "{}*?$") {
						paths = append(paths, whole)
					}
				}
			}
		}
	}
	return paths
}

func (a annotation) answersGet() bool {
	switch a.kind {
	case spring + "GetMapping;":
		return true
	case spring + "RequestMapping;":
		methods := a.values["method"]
		return len(methods) == 0 || slices.Contains(methods, "GET")
	}
	return false
}

// paths are the values of an annotation's value and path, which are aliases.
func (a annotation) paths() []string { return slices.Concat(a.values["value"], a.values["path"]) }

func join(prefix, path string) string {
	return "/" + strings.Trim(strings.Trim(prefix, "/")+"/"+strings.Trim(path, "/"), "/")
}
