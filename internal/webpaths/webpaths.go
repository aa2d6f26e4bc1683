// Package webpaths reads from compiled classes which paths a Spring web
// application answers GET on, so that it can be asked something that it knows.
package webpaths

import (
	"archive/zip"
	"io"
	"regexp"
	"slices"
	"strings"
)

const (
	maxFile = 1 << 20 // bytes; a controller is never that large
	spring  = "Lorg/springframework/web/bind/annotation/"
)

// OfJar lists what an application's jar answers GET on: its root and health
// endpoint, then, sorted, the paths that its own classes map, those with
// variables or wildcards left out; all of them below the context path that its
// own configuration names. Libraries are not looked into. What cannot be read
// is passed over: the list is advice.
func OfJar(file string) []string {
	jar, err := zip.OpenReader(file)
	if err != nil {
		return nil
	}
	defer jar.Close()
	var mapped []string
	context := ""
	for _, f := range jar.File {
		name := strings.TrimPrefix(f.Name, "BOOT-INF/classes/")
		switch {
		case strings.HasSuffix(name, ".class"):
			mapped = append(mapped, OfClass(content(f))...)
		case slices.Contains(configurations, name):
			if m := contextPath.FindSubmatch(content(f)); m != nil {
				context = "/" + strings.Trim(string(m[1]), `/"'`)
			}
		}
	}
	slices.Sort(mapped)
	paths := []string{context + "/", context + "/actuator/health"}
	for _, p := range slices.Compact(mapped) {
		paths = append(paths, context+p)
	}
	return paths
}

// The files in which Spring Boot looks for its configuration, and the key in
// both their forms; the key's last word is not used by any other setting.
var (
	configurations = []string{"application.properties", "application.yml", "application.yaml"}
	contextPath    = regexp.MustCompile(`(?m)^\s*(?:server\.servlet\.)?context-path\s*[:=]\s*([/\w."'-]+)\s*$`)
)

// content is a file of a jar, empty when it is too large or cannot be read.
func content(f *zip.File) []byte {
	if f.UncompressedSize64 > maxFile {
		return nil
	}
	r, err := f.Open()
	if err != nil {
		return nil
	}
	defer r.Close()
	b, err := io.ReadAll(io.LimitReader(r, maxFile))
	if err != nil {
		return nil
	}
	return b
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
