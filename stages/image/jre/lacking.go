package jre

import (
	"cmp"
	"context"
	_ "embed"
	"path"
	"slices"
	"strings"

	"github.com/fastship/fastship/cache"
)

// standard has a line for each module but java.base that all JDKs from 17 to
// 25 have: its name and the packages that it exports to everyone, by
// java --describe-module. The releases before have them as well.
//
//go:embed standard.txt
var standard string

// Lack is a module that a base does not have and classes name.
type Lack struct {
	Module  string `json:"module"`
	Package string `json:"package"` // one of the module's that is named, with dots
	By      string `json:"by"`      // a jar that names it: the application's before libraries
	More    int    `json:"more"`    // how many other jars name one of the module's packages
}

// Lacking lists, by name, the modules of the JDK that the classes of jars name
// and that are not among has, the modules of a runtime of release major. A
// package that the jars bring along themselves is not missed. A class that
// names a module need not ever be loaded: nothing here is certain to fail.
//
// Nothing is read where has is complete.
func Lacking(ctx context.Context, c *cache.Cache, jars []Jar, major int, has []string) ([]Lack, error) {
	owners := missing(has)
	if len(owners) == 0 {
		return nil, nil
	}
	sorted, brought := readable(jars, owners)
	slices.SortStableFunc(sorted, func(a, b Jar) int { return cmp.Compare(rank(a), rank(b)) })
	found, err := scan(ctx, c, sorted, nil)
	if err != nil {
		return nil, err
	}
	lacks := map[string]*Lack{}
	for i, refs := range found {
		named := map[string]bool{}
		for _, pkg := range refs.packages(major) {
			module := owners[pkg]
			if module == "" || brought[pkg] || named[module] {
				continue
			}
			named[module] = true
			if l := lacks[module]; l != nil {
				l.More++
				continue
			}
			lacks[module] = &Lack{Module: module, Package: strings.ReplaceAll(pkg, "/", "."), By: path.Base(sorted[i].Name)}
		}
	}
	var all []Lack
	for _, l := range lacks {
		all = append(all, *l)
	}
	slices.SortFunc(all, func(a, b Lack) int { return strings.Compare(a.Module, b.Module) })
	return all, nil
}

// rank puts the application's own jars first: what they name is meant.
func rank(j Jar) int {
	if j.Own || j.Digest == "" {
		return 0
	}
	return 1
}

// missing maps the packages of the standard modules that has lacks to their
// modules.
func missing(has []string) map[string]string {
	owners := map[string]string{}
	for line := range strings.Lines(standard) {
		words := strings.Fields(line)
		if slices.Contains(has, words[0]) {
			continue
		}
		for _, pkg := range words[1:] {
			owners[pkg] = words[0]
		}
	}
	return owners
}

// readable lists the jars that are archives (of others the JVM loads nothing
// either), and which of packages they have classes of.
func readable(jars []Jar, packages map[string]string) (archives []Jar, has map[string]bool) {
	has = map[string]bool{}
	for _, jar := range jars {
		z, closer, err := jar.Open()
		if err != nil {
			continue
		}
		for _, f := range z.File {
			_, name := split(f.Name)
			name = strings.TrimPrefix(strings.TrimPrefix(name, "BOOT-INF/classes/"), "WEB-INF/classes/")
			if dir := path.Dir(name); packages[dir] != "" && strings.HasSuffix(name, ".class") {
				has[dir] = true
			}
		}
		closer.Close()
		archives = append(archives, jar)
	}
	return archives, has
}
