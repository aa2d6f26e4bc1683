package source

import (
	"context"
	"fmt"
	"strings"
)

// Modes that git uses and a disk does not have.
const (
	gitlink = "160000" // a submodule
	absent  = "000000"
)

// indexEntry is a file that git tracks.
type indexEntry struct {
	path    string
	mode    string
	id      string
	trusted bool // a file that git calls unchanged has these very bytes on disk
}

// readIndex lists the tracked files under dir, by paths relative to it.
func readIndex(ctx context.Context, dir string) ([]indexEntry, error) {
	out, err := git(ctx, dir, nil, "ls-files", "-s", "-v", "-z")
	if err != nil {
		return nil, err
	}
	entries, err := parseIndex(string(out))
	if err != nil {
		return nil, err
	}
	return entries, distrustConverted(ctx, dir, entries)
}

// parseIndex reads records like "H 100644 <id> 0\tpath". The tag is H for an
// ordinary file; S (skip-worktree, which a sparse checkout sets), M (unmerged)
// and lower case (assume-unchanged) all mean that git does not vouch for the
// file on disk.
func parseIndex(out string) ([]indexEntry, error) {
	entries := make([]indexEntry, 0, strings.Count(out, "\x00"))
	for record := range strings.SplitSeq(out, "\x00") {
		if record == "" {
			continue
		}
		head, path, ok := strings.Cut(record, "\t")
		tag, head, _ := strings.Cut(head, " ")
		mode, head, _ := strings.Cut(head, " ")
		id, stage, _ := strings.Cut(head, " ")
		if !ok || stage == "" {
			return nil, fmt.Errorf("git ls-files: unexpected record %q", record)
		}
		if n := len(entries); n > 0 && entries[n-1].path == path {
			continue // another side of a conflict
		}
		e := indexEntry{path: path, mode: mode, id: id, trusted: tag == "H"}
		if !e.trusted && e.mode != gitlink {
			e.mode = "" // the disk tells
		}
		entries = append(entries, e)
	}
	return entries, nil
}

// converting are the attributes that make git store other bytes than it finds
// on disk (gitattributes(5)).
var converting = map[string]bool{
	"text": true, "eol": true, "crlf": true, "ident": true, "filter": true, "working-tree-encoding": true,
}

// distrustConverted marks the files whose ids in the index are not those of
// their bytes on disk: core.autocrlf for all, attributes for some.
func distrustConverted(ctx context.Context, dir string, entries []indexEntry) error {
	autocrlf, err := git(ctx, dir, nil, "config", "--get", "core.autocrlf")
	if v := strings.TrimSpace(string(autocrlf)); err == nil && v != "false" {
		for i := range entries {
			entries[i].trusted = entries[i].trusted && entries[i].mode == "120000"
		}
		return nil
	}
	if len(entries) == 0 {
		return nil
	}
	var paths strings.Builder
	paths.Grow(64 * len(entries))
	for _, e := range entries {
		paths.WriteString(e.path)
		paths.WriteByte(0)
	}
	out, err := git(ctx, dir, []byte(paths.String()), "check-attr", "-z", "--stdin", "-a")
	if err != nil {
		return err
	}
	converted := map[string]bool{}
	fields := strings.Split(string(out), "\x00") // path, attribute, value, path, …
	for i := 0; i+2 < len(fields); i += 3 {
		if converting[fields[i+1]] && fields[i+2] != "unset" {
			converted[fields[i]] = true
		}
	}
	if len(converted) == 0 {
		return nil
	}
	for i, e := range entries {
		entries[i].trusted = e.trusted && (e.mode == "120000" || !converted[e.path])
	}
	return nil
}
