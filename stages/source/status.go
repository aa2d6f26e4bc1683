package source

import (
	"context"
	"fmt"
	"strings"
)

// change is how a file on disk differs from the commit.
type change struct {
	mode   string // on disk; absent when it is not there; empty for an untracked file
	onDisk bool   // it differs from the index too
}

// status is what git status tells: where HEAD is, and every path that is not
// as committed. An untracked repository has a slash at its end.
type status struct {
	commit  string // empty before the first commit
	branch  string // empty on a detached HEAD
	changed map[string]change
}

// readStatus reads the state of dir. Submodules are looked at by their own.
func readStatus(ctx context.Context, dir string) (*status, error) {
	out, err := git(ctx, dir, nil, "status", "--porcelain=v2", "-z", "--branch",
		"--untracked-files=all", "--ignore-submodules=dirty", "--", ".")
	if err != nil {
		return nil, err
	}
	return parseStatus(string(out))
}

// parseStatus reads git-status(1), "Porcelain Format Version 2". With -z the
// paths are relative to the top of the work tree.
func parseStatus(out string) (*status, error) {
	s := &status{changed: map[string]change{}}
	records := strings.Split(out, "\x00")
	for i := 0; i < len(records); i++ {
		r := records[i]
		if r == "" {
			continue
		}
		kind, rest, _ := strings.Cut(r, " ")
		switch kind {
		case "#":
			s.header(rest)
		case "?":
			s.changed[rest] = change{onDisk: true}
		case "1", "2", "u":
			// XY sub mH mI mW hH hI path; 2 has a score before the path and
			// the old path in a record of its own; u has three of each m and h.
			count := map[string]int{"1": 8, "2": 9, "u": 10}[kind]
			fields := strings.SplitN(rest, " ", count)
			if len(fields) != count || len(fields[0]) != 2 {
				return nil, fmt.Errorf("git status: unexpected record %q", r)
			}
			mode := fields[4]
			if kind == "u" {
				mode = fields[5]
			}
			s.changed[fields[count-1]] = change{mode: mode, onDisk: fields[0][1] != '.'}
			if kind == "2" {
				i++
			}
		}
	}
	return s, nil
}

func (s *status) header(text string) {
	name, value, _ := strings.Cut(text, " ")
	switch {
	case name == "branch.oid" && value != "(initial)":
		s.commit = value
	case name == "branch.head" && value != "(detached)":
		s.branch = value
	}
}

// under returns the changes below a folder of the work tree, by paths relative
// to it.
func (s *status) under(prefix string) map[string]change {
	if prefix == "." {
		return s.changed
	}
	inside := make(map[string]change, len(s.changed))
	for p, c := range s.changed {
		if rest, ok := strings.CutPrefix(p, prefix+"/"); ok {
			inside[rest] = c
		}
	}
	return inside
}
