package jre

import (
	"bufio"
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/fastship/fastship/stages/internal/oci"
)

// Package is an installed package of the distribution that a part of the base
// comes from.
type Package struct {
	Name         string `json:"name"`
	Version      string `json:"version"`      // 2.36-9+deb12u10
	Architecture string `json:"architecture"` // the distribution's word: amd64, all
	// Source is the package that it was built of, which is what the
	// distribution's security tracker speaks of; often Name itself.
	Source        string `json:"source"`
	SourceVersion string `json:"sourceVersion"`
	Maintainer    string `json:"maintainer,omitempty"`
	Description   string `json:"description,omitempty"` // its first line
}

// System is the distribution that the base's parts come from, as
// os-release(5) names it. It is zero where that file is not there.
type System struct {
	ID      string `json:"id,omitempty"`      // debian
	Version string `json:"version,omitempty"` // VERSION_ID: 12
	Name    string `json:"name,omitempty"`    // PRETTY_NAME
}

const (
	dpkgDir = "var/lib/dpkg"
	docDir  = "usr/share/doc"
)

// distribution reads the os-release of a root file system.
func distribution(root string) (System, error) {
	content, err := os.ReadFile(filepath.Join(root, "etc/os-release"))
	if errors.Is(err, fs.ErrNotExist) {
		return System{}, nil
	}
	if err != nil {
		return System{}, fmt.Errorf("read the name of this system: %w", err)
	}
	p := properties(content)
	return System{ID: p["ID"], Version: p["VERSION_ID"], Name: p["PRETTY_NAME"]}, nil
}

// packagesOf finds the dpkg packages that the files of a root file system belong
// to, sorted by name. Files of no package, and systems without dpkg, give
// none: what cannot be known is left out.
func packagesOf(root string, files []string) ([]Package, error) {
	wanted := map[string]bool{}
	for _, f := range files {
		wanted[withoutUsr(f)] = true
	}
	lists, err := filepath.Glob(filepath.Join(root, dpkgDir, "info", "*.list"))
	if err != nil || len(lists) == 0 {
		return nil, err
	}
	owns := map[string]bool{} // by name, or name:architecture where several may be installed
	for _, list := range lists {
		content, err := os.ReadFile(list)
		if err != nil {
			return nil, fmt.Errorf("read the packages of this system: %w", err)
		}
		for line := range bytes.Lines(content) {
			if wanted[withoutUsr(string(bytes.TrimSpace(line)))] {
				owns[strings.TrimSuffix(filepath.Base(list), ".list")] = true
				break
			}
		}
	}
	return installed(filepath.Join(root, dpkgDir, "status"), owns)
}

// withoutUsr makes one path of the two that a file has where /lib is a link to
// /usr/lib: packages list the one, links followed give the other.
func withoutUsr(path string) string { return strings.TrimPrefix(path, "/usr") }

// installed reads the named packages' paragraphs of dpkg's status file
// (deb-control(5)).
func installed(status string, names map[string]bool) ([]Package, error) {
	f, err := os.Open(status)
	if err != nil {
		return nil, fmt.Errorf("read the packages of this system: %w", err)
	}
	defer f.Close()
	var list []Package
	fields := map[string]string{}
	end := func() {
		if p, ok := paragraph(fields); ok && (names[p.Name] || names[p.Name+":"+p.Architecture]) {
			list = append(list, p)
		}
		clear(fields)
	}
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		line := lines.Text()
		if line == "" {
			end()
		} else if name, value, ok := strings.Cut(line, ":"); ok && line[0] != ' ' && line[0] != '\t' {
			fields[name] = strings.TrimSpace(value)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("read the packages of this system: %w", err)
	}
	end()
	slices.SortFunc(list, func(a, b Package) int {
		return cmp.Or(strings.Compare(a.Name, b.Name), strings.Compare(a.Architecture, b.Architecture))
	})
	return list, nil
}

// paragraph makes a package of its fields; ok is false for one that was
// removed, and left its configuration.
func paragraph(fields map[string]string) (p Package, ok bool) {
	p = Package{
		Name: fields["Package"], Version: fields["Version"], Architecture: fields["Architecture"],
		Source: fields["Source"], Maintainer: fields["Maintainer"], Description: fields["Description"],
	}
	// “Source: gcc-12 (12.2.0-14)” where the versions differ.
	p.Source, p.SourceVersion, _ = strings.Cut(cmp.Or(p.Source, p.Name), " ")
	p.SourceVersion = cmp.Or(strings.Trim(p.SourceVersion, " ()"), p.Version)
	return p, p.Name != "" && p.Version != "" && strings.HasSuffix(fields["Status"], " installed")
}

// packageEntries tell scanners which packages the base's files are of: a file
// a package in dpkg's status.d, the form of images that have no dpkg, and its
// copyright, which has to go with every copy.
func packageEntries(root string, packages []Package) ([]oci.File, error) {
	var s system
	for _, p := range packages {
		s.files = append(s.files, content{dpkgDir + "/status.d/" + p.Name, p.control()})
		text, err := os.ReadFile(filepath.Join(root, docDir, p.Name, "copyright"))
		switch {
		case err == nil:
			s.files = append(s.files, content{docDir + "/" + p.Name + "/copyright", text})
		case !errors.Is(err, fs.ErrNotExist): // minimal systems leave documentation out
			return nil, fmt.Errorf("read the copyright of %s: %w", p.Name, err)
		}
	}
	return s.plain(), nil
}

// control is the package's paragraph in dpkg's form.
func (p Package) control() []byte {
	var b bytes.Buffer
	say := func(name, value string) {
		if value != "" {
			fmt.Fprintf(&b, "%s: %s\n", name, value)
		}
	}
	say("Package", p.Name)
	say("Status", "install ok installed")
	say("Maintainer", p.Maintainer)
	say("Architecture", p.Architecture)
	switch {
	case p.SourceVersion != p.Version:
		say("Source", p.Source+" ("+p.SourceVersion+")")
	case p.Source != p.Name:
		say("Source", p.Source)
	}
	say("Version", p.Version)
	say("Description", p.Description)
	return b.Bytes()
}

// origins lists the files of this machine that the base's code comes from.
func (l libraries) origins(jdk JDK) []string {
	list := []string{l.loader}
	for _, lib := range l.list {
		list = append(list, lib.path)
	}
	inside := func(path string) {
		if path, err := inRoot(l.root, path); err == nil {
			list = append(list, filepath.Join("/", strings.TrimPrefix(path, l.root)))
		}
	}
	for _, of := range []string{"lib/modules", "lib/server/libjvm.so", "lib/rt.jar", "bin/java"} {
		inside(filepath.Join("/", strings.TrimPrefix(jdk.runtime(), l.root), of))
	}
	inside(l.loader)
	return list
}
