package lease

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/fastship/fastship/cache/tree"
)

// labelName is the file in a repository's home that says whom it served last,
// and then, a line each, what of it no store took.
const labelName = "label"

// Label notes whom the repository serves, for Known, and which of its files
// the store would not take, for Unsaved.
func (l *Lease) Label(label string, unsaved ...string) error {
	text := strings.Join(append([]string{label}, unsaved...), "\n")
	if err := os.WriteFile(filepath.Join(l.home, labelName), []byte(text), 0o600); err != nil {
		return fmt.Errorf("label the repository: %w", err)
	}
	return nil
}

// Known is what the repository that last served label is recorded to hold, or
// nil: what a build can start from when the store that has its tree is out of
// reach. The entries name contents without a place in any store: they come
// from this machine's repositories or not at all.
func (p *Pool) Known(label string) *tree.Tree {
	home, _ := p.labelled(label)
	entries := p.recorded(home, func(string) bool { return true })
	if len(entries) == 0 {
		return nil
	}
	return tree.Of(entries)
}

// Unsaved is the part of Known that the store would not take.
func (p *Pool) Unsaved(label string) []tree.Entry {
	home, unsaved := p.labelled(label)
	if len(unsaved) == 0 {
		return nil
	}
	return p.recorded(home, func(name string) bool { return slices.Contains(unsaved, name) })
}

// labelled finds the repository that last served label; home is empty when
// there is none.
func (p *Pool) labelled(label string) (home string, unsaved []string) {
	homes, err := p.homes()
	if err != nil {
		return "", nil
	}
	var newest time.Time
	for _, h := range homes {
		text, err := os.ReadFile(filepath.Join(h, labelName))
		if err != nil {
			continue
		}
		lines := strings.Split(string(text), "\n")
		if lines[0] != label {
			continue
		}
		if _, used, err := readSize(h); err == nil && used.After(newest) {
			home, newest, unsaved = h, used, lines[1:]
		}
	}
	return home, unsaved
}

// recorded are entries of a repository's index, by path.
func (p *Pool) recorded(home string, want func(name string) bool) []tree.Entry {
	if home == "" {
		return nil
	}
	var entries []tree.Entry
	for name, r := range readIndex(home, p.boot).files {
		if want(name) {
			entries = append(entries, tree.Entry{Path: name, Size: r.stamp.size, Mode: r.mode, Digest: r.digest})
		}
	}
	slices.SortFunc(entries, func(a, b tree.Entry) int { return strings.Compare(a.Path, b.Path) })
	return entries
}

// Bytes sums the recorded sizes of the repositories.
func (p *Pool) Bytes() (int64, error) {
	homes, err := p.homes()
	if err != nil {
		return 0, fmt.Errorf("count the kept repositories: %w", err)
	}
	var total int64
	for _, home := range homes {
		if size, _, err := readSize(home); err == nil {
			total += size
		}
	}
	return total, nil
}
