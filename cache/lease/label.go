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

// labelName is the file in a repository's home that says whom it served last.
const labelName = "label"

// Label notes whom the repository serves, for Known.
func (l *Lease) Label(label string) error {
	if err := os.WriteFile(filepath.Join(l.home, labelName), []byte(label), 0o600); err != nil {
		return fmt.Errorf("label the repository: %w", err)
	}
	return nil
}

// Known is what the repository that last served label is recorded to hold, or
// nil: what a build can start from when the store that has its tree is out of
// reach. The entries name contents without a place in any store: they come
// from this machine's repositories or not at all.
func (p *Pool) Known(label string) *tree.Tree {
	homes, err := p.homes()
	if err != nil {
		return nil
	}
	var best string
	var newest time.Time
	for _, home := range homes {
		text, err := os.ReadFile(filepath.Join(home, labelName))
		if err != nil || string(text) != label {
			continue
		}
		if _, used, err := readSize(home); err == nil && used.After(newest) {
			best, newest = home, used
		}
	}
	if best == "" {
		return nil
	}
	var entries []tree.Entry
	for name, r := range readIndex(best, p.boot).files {
		entries = append(entries, tree.Entry{Path: name, Size: r.stamp.size, Mode: r.mode, Digest: r.digest})
	}
	if len(entries) == 0 {
		return nil
	}
	slices.SortFunc(entries, func(a, b tree.Entry) int { return strings.Compare(a.Path, b.Path) })
	return tree.Of(entries)
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
