package train

import (
	"archive/zip"
	"bufio"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// classes names the classes in jars of the root: com/example/Main.
func (t *training) classes(jars []string) (map[string]bool, error) {
	names := map[string]bool{}
	for _, jar := range jars {
		z, err := zip.OpenReader(filepath.Join(t.root, jar))
		if errors.Is(err, zip.ErrFormat) {
			continue // no archive: the JVM finds nothing in it either
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", jar, err)
		}
		for _, f := range z.File {
			if name, ok := strings.CutSuffix(f.Name, ".class"); ok {
				names[unversioned(name)] = true
			}
		}
		z.Close()
	}
	return names, nil
}

// unversioned takes the folder of a release off a multi-release jar's entry.
func unversioned(name string) string {
	if rest, ok := strings.CutPrefix(name, "META-INF/versions/"); ok {
		if _, rest, ok = strings.Cut(rest, "/"); ok {
			return rest
		}
	}
	return name
}

// className finds what may be the name of a class in a line about a lambda.
var className = regexp.MustCompile(`[\pL_$][\pL\pN_$]*(?:/[\pL_$][\pL\pN_$]*)+`)

// chosen reads a class list as -XX:DumpLoadedClassList writes it and returns
// the lines of an archive without the foreign classes, sorted, so that two
// threads that load classes side by side make no difference. Its lines are
// (classListParser.cpp of OpenJDK 11 to 25):
//
//	com/example/Main                    a class, from 17 on with "id: 7" behind it
//	com/example/X … source: FILE        of a class loader of the application's own: left out
//	@lambda-proxy com/example/Main …    a lambda of that class, from 16 on
//	@cp com/example/Main 3 4            entries of its constant pool, from 24 on
//	@lambda-form-invoker …              of the JDK
func chosen(r *bufio.Reader, foreign map[string]bool) ([]string, error) {
	seen := map[string]bool{}
	for {
		line, err := r.ReadString('\n')
		if err != nil && err != io.EOF {
			return nil, err
		}
		// A line without an end is one that a killed JVM was writing.
		if line, whole := strings.CutSuffix(line, "\n"); whole {
			if line = wanted(strings.TrimRight(line, "\r"), foreign); line != "" {
				seen[line] = true
			}
		}
		if err == io.EOF {
			break
		}
	}
	list := make([]string, 0, len(seen))
	for line := range seen {
		list = append(list, line)
	}
	slices.SortFunc(list, func(a, b string) int {
		if at, other := a[0] == '@', b[0] == '@'; at != other {
			if at {
				return 1 // what is said of a class comes after it
			}
			return -1
		}
		return strings.Compare(a, b)
	})
	return list, nil
}

func wanted(line string, foreign map[string]bool) string {
	words := strings.Fields(line)
	switch {
	case len(words) == 0 || words[0][0] == '#':
		return ""
	case words[0] == "@lambda-form-invoker":
		return line
	case words[0][0] == '@':
		for _, name := range className.FindAllString(line, -1) {
			if isForeign(foreign, name) || isForeign(foreign, strings.TrimPrefix(name, "L")) {
				return ""
			}
		}
		if len(words) > 1 && isForeign(foreign, words[1]) { // of the unnamed package
			return ""
		}
		return line
	case slices.Contains(words, "source:") || isForeign(foreign, words[0]):
		return ""
	}
	return words[0]
}

// isForeign also knows what is made at run time of a foreign class: Spring's
// com/example/Main$$SpringCGLIB$$0, Hibernate's com/example/Order$HibernateProxy.
func isForeign(foreign map[string]bool, name string) bool {
	if foreign[name] {
		return true
	}
	outer, _, nested := strings.Cut(name, "$")
	return nested && outer != "" && foreign[outer]
}
