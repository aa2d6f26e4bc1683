package image

import (
	"fmt"
	"hash/fnv"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/fastship/fastship/stages/image/appjar"
)

// Released libraries are divided into layers by family: what is released
// together changes together, and a new version of one re-sends its family
// alone. More layers cost next to nothing: blocks are compressed on their own,
// and pulls fetch layers side by side. docs/benchmarks.md has what was measured.
const (
	fewBytes    = 4 << 20 // jars; so few share one layer
	familyBytes = 1 << 20 // jars; a family beyond it has a layer of its own
	ownFamilies = 12      // at most; images have room for 127 layers
	otherLayers = 4       // that the small families share
)

// familyName is what the names of jars that are released together begin with:
// spring, hibernate, jackson.
var familyName = regexp.MustCompile(`^[\pL]+`)

// groupName is what Quarkus puts in front of a jar's name.
var groupName = regexp.MustCompile(`^(?:com|dev|io|net|org)\.([\pL]+)`)

func familyOf(jar string) string {
	name := path.Base(jar)
	if group := groupName.FindStringSubmatch(name); group != nil {
		return strings.ToLower(group[1])
	}
	if family := familyName.FindString(name); family != "" {
		return strings.ToLower(family)
	}
	return name
}

// divide puts the layer of released libraries into several. Which one a jar
// is in depends on its family's name and size, and not on other jars, as long
// as there are no more than ownFamilies: a library that comes or goes moves no
// other.
func divide(files map[string][]layerFile, roles []string) []string {
	all := files[appjar.Dependencies]
	sizes := map[string]int64{}
	var total int64
	for _, f := range all {
		sizes[familyOf(f.Path)] += f.size
		total += f.size
	}
	if total <= fewBytes {
		return roles
	}
	limit := int64(familyBytes)
	for count(sizes, limit) > ownFamilies {
		limit *= 2
	}
	delete(files, appjar.Dependencies)
	var names []string
	for _, f := range all {
		family := familyOf(f.Path)
		name := appjar.Dependencies + "/" + family
		if sizes[family] <= limit {
			h := fnv.New32a()
			h.Write([]byte(family)) // never fails
			name = fmt.Sprintf("%s/others-%d", appjar.Dependencies, h.Sum32()%otherLayers+1)
		}
		if files[name] == nil {
			names = append(names, name)
		}
		files[name] = append(files[name], f)
	}
	slices.Sort(names)
	i := slices.Index(roles, appjar.Dependencies)
	return slices.Concat(roles[:i], names, roles[i+1:])
}

func count(sizes map[string]int64, beyond int64) (n int) {
	for _, size := range sizes {
		if size > beyond {
			n++
		}
	}
	return n
}
