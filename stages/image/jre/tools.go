package jre

import (
	"debug/elf"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/fastship/fastship/stages/internal/oci"
)

// tools are a shell and what one types into it, for looking around in a
// container.
type tools struct {
	root  string
	files []tool
	links []string // names of what busybox does, all linked to it
}

type tool struct {
	name string // in usr/bin
	path string // in root, links followed
}

// usual are what people look around with.
func usual() []string {
	return []string{
		"sh", "bash", "busybox", "awk", "base64", "basename", "cat", "chmod", "cp", "cut", "date", "dd", "df", "dirname", "du", "echo", "env", "false",
		"find", "free", "grep", "gzip", "head", "hostname", "id", "kill", "less", "ln", "ls", "md5sum", "mkdir", "more", "mv", "nproc", "ps", "pwd",
		"readlink", "rm", "rmdir", "sed", "seq", "sha256sum", "sleep", "sort", "stat", "tail", "tar", "tee", "test", "timeout", "top", "touch", "tr", "true",
		"uname", "uniq", "uptime", "vi", "wc", "wget", "which", "whoami", "xargs",
	}
}

// findTools takes busybox where root has it, one program that is all of them,
// else the shell and those of the usual programs that are there.
func findTools(root string) tools {
	t := tools{root: root}
	if path, ok := t.find("busybox"); ok {
		t.files = []tool{{"busybox", path}}
		for _, name := range usual() {
			if name != "busybox" && name != "bash" {
				t.links = append(t.links, name)
			}
		}
		return t
	}
	if _, ok := t.find("sh"); !ok {
		return t
	}
	for _, name := range usual() {
		if path, ok := t.find(name); ok {
			t.files = append(t.files, tool{name, path})
		}
	}
	return t
}

// find looks for a program, not a script, as PATH would.
func (t tools) find(name string) (string, bool) {
	for _, dir := range []string{"/usr/bin", "/bin", "/usr/sbin", "/sbin"} {
		real, err := inRoot(t.root, path.Join(dir, name))
		if err != nil {
			continue
		}
		if f, err := elf.Open(real); err == nil {
			f.Close()
			return filepath.Join("/", strings.TrimPrefix(real, t.root)), true
		}
	}
	return "", false
}

// programs are the files, on this machine, whose libraries the base needs too.
// A static busybox needs none.
func (t tools) programs() []string {
	var list []string
	for _, f := range t.files {
		list = append(list, filepath.Join(t.root, f.path))
	}
	return list
}

func (t tools) origins() []string {
	var list []string
	for _, f := range t.files {
		list = append(list, f.path)
	}
	return list
}

func (t tools) identity() ([]string, error) {
	var ids []string
	for _, f := range t.files {
		id, err := fileIdentity(filepath.Join(t.root, f.path))
		if err != nil {
			return nil, err
		}
		ids = append(ids, f.name+" "+id)
	}
	return append(ids, t.links...), nil
}

// entries are the tools in a layer: in usr/bin, and the shell in bin too, where
// scripts name it.
func (t tools) entries() ([]oci.File, error) {
	var list []oci.File
	link := func(name, target string) {
		list = append(list, oci.File{Path: name, Mode: fs.ModeSymlink | 0o777, Link: target})
	}
	for _, f := range t.files {
		entry, err := fileEntry("usr/bin/"+f.name, filepath.Join(t.root, f.path))
		if err != nil {
			return nil, err
		}
		entry.Mode = 0o755
		list = append(list, entry)
	}
	for _, name := range t.links {
		link("usr/bin/"+name, "busybox")
	}
	if len(list) > 0 {
		link("bin/sh", "../usr/bin/sh")
	}
	if slices.ContainsFunc(t.files, func(f tool) bool { return f.name == "bash" }) {
		link("bin/bash", "../usr/bin/bash")
	}
	return list, nil
}
