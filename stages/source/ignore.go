package source

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"strings"
	"syscall"

	"github.com/bmatcuk/doublestar/v4"
)

// ignoreRules are the patterns of gitignore(5), the last match wins.
type ignoreRules []ignoreRule

type ignoreRule struct {
	domain  string // the folder of its file, relative to the walk's; empty for the top and above
	lead    string // for a file above the walk's folder: the path from there to here
	pattern string // in doublestar's language
	literal bool   // pattern has no special characters
	base    bool   // matches a name at any depth
	folder  bool   // matches folders only
	include bool   // "!": takes back what an earlier rule ignores
}

// readIgnore reads the rules of one file; an absent one has none.
func readIgnore(name, domain, lead string) (ignoreRules, error) {
	b, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) || errors.Is(err, syscall.EISDIR) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if lead == "." {
		lead = ""
	}
	var rules ignoreRules
	for line := range strings.SplitSeq(strings.TrimPrefix(string(b), "\uFEFF"), "\n") {
		if r, ok := parseIgnore(line); ok {
			r.domain, r.lead = domain, lead
			rules = append(rules, r)
		}
	}
	return rules, nil
}

// parseIgnore reads one line as gitignore(5) describes it.
func parseIgnore(line string) (ignoreRule, bool) {
	line = strings.TrimSuffix(line, "\r")
	if strings.HasPrefix(line, "#") {
		return ignoreRule{}, false
	}
	for strings.HasSuffix(line, " ") && !strings.HasSuffix(line, `\ `) {
		line = line[:len(line)-1]
	}
	var r ignoreRule
	line, r.include = strings.CutPrefix(line, "!")
	line, r.folder = strings.CutSuffix(line, "/")
	r.base = !strings.Contains(line, "/")
	line = strings.TrimPrefix(line, "/")
	if line == "" {
		return ignoreRule{}, false
	}
	// Braces are letters to git. "x/**" is what is in x, and not x itself.
	line = strings.NewReplacer("{", `\{`, "}", `\}`).Replace(line)
	if rest, ok := strings.CutSuffix(line, "/**"); ok {
		line = rest + "/**/*"
	}
	r.pattern, r.literal = line, !strings.ContainsAny(line, `*?[\`)
	return r, true
}

// match tells whether a path is ignored. Its folders have been asked about
// before: what is in an ignored folder cannot be taken back.
func (rules ignoreRules) match(p string, isDir bool) bool {
	for i := len(rules) - 1; i >= 0; i-- {
		if r := rules[i]; (isDir || !r.folder) && r.match(p) {
			return !r.include
		}
	}
	return false
}

func (r *ignoreRule) match(p string) bool {
	if r.base {
		p = path.Base(p)
	} else {
		if r.domain != "" {
			p = p[len(r.domain)+1:] // rules are only asked about what is below them
		}
		p = path.Join(r.lead, p)
	}
	if r.literal {
		return p == r.pattern
	}
	ok, err := doublestar.Match(r.pattern, p)
	return ok && err == nil // git, too, takes a broken pattern for one that matches nothing
}
