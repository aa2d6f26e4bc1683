package maven

import (
	"regexp"
	"strings"

	"github.com/fastship/fastship/stages/internal/mvn"
)

// reason is why Maven failed, on one line and without its boilerplate: what
// its exceptions say, else the first error that it printed.
func (a *attempt) reason(failed *mvn.MojoEvent) string {
	var chain mvn.Chain
	switch {
	case failed != nil && len(failed.Error) > 0:
		chain = failed.Error
	case len(a.report.Errors) > 0:
		chain = a.report.Errors[0]
	}
	best := ""
	for _, messages := range [][]string{chain.Messages(), a.said, a.stderr} {
		text, whole := firstReason(messages)
		if whole {
			return text
		}
		if best == "" {
			best = text
		}
	}
	return best
}

var (
	level    = regexp.MustCompile(`^(?:\[(?:ERROR|FATAL)\] ?)*`)
	helpMark = regexp.MustCompile(` ?-> \[Help \d+\]$`)
	// skipped are lines that only say that something follows.
	skipped = regexp.MustCompile(`^(?:null|Some problems were encountered while processing the POMs:?|The build could not read \d+ projects?|The project .* has \d+ errors?:?|Error executing Maven\.?|Error parsing program arguments|COMPILATION ERROR :|@|Re-run Maven .*|To see the full stack trace .*|)$`)
	// ruleHead is the enforcer's heading of a rule's own message.
	ruleHead = regexp.MustCompile(`^Rule \d+: \S+ failed with message:$`)
	leadIn   = regexp.MustCompile(`(?::|Compilation failure|Could not resolve dependencies for project \S+)$`)
	// detail is the head of a list of dependencies (Maven 3.9 and 4); what
	// ails them stands on the line after it.
	detail = regexp.MustCompile(`^dependency: \S+ \(\S+\)$`)
)

// maxReason bounds the reason's length, in characters.
const maxReason = 600

// firstReason is the first line that says something, with those that complete
// it. It is not whole when it ends in the announcement of more.
func firstReason(messages []string) (reason string, whole bool) {
	text := ""
	for _, m := range messages {
		for line := range strings.Lines(m) {
			line = strings.TrimSpace(level.ReplaceAllString(strings.TrimSpace(line), ""))
			line = strings.TrimPrefix(helpMark.ReplaceAllString(line, ""), "Caused by: ")
			if skipped.MatchString(line) || ruleHead.MatchString(line) || detail.MatchString(line) {
				continue
			}
			if text != "" {
				line = strings.TrimSuffix(text, ":") + ": " + line
			}
			text = line
			if len(text) > maxReason || !leadIn.MatchString(text) {
				return shorten(text), true
			}
		}
	}
	return shorten(text), false
}

// A shortening turns Maven's long-winded phrases into what they say.
type shortening struct {
	phrase *regexp.Regexp
	short  string
}

var shortenings = []shortening{
	{regexp.MustCompile(`^Failed to execute goal [^:\s]+:([^:\s]+):[^:\s]+:(\S+) \([^)]*\) on project ([^:\s]+): ?`), "$1:$2 in $3: "},
	{regexp.MustCompile(`^Failed to execute goal on project ([^:\s]+): ?`), "$1: "},
	{regexp.MustCompile(`(?:Compilation failure: ?)+(.)`), "$1"},
	{regexp.MustCompile(`Could not resolve dependencies for project \S+: `), ""},
	{regexp.MustCompile(`The following artifacts could not be resolved: \S+ \(\w+\)(?:, \S+ \(\w+\))*: `), ""},
	{regexp.MustCompile(` during a previous attempt\. This failure was cached in the local repository and resolution is not reattempted until the update interval of \S+ has elapsed or updates are forced.*`), remembered},
	{regexp.MustCompile(`(Unknown lifecycle phase "[^"]*")\. You must specify.*`), "$1"},
}

// remembered is said of an artifact that Maven did not look for again.
const remembered = " (remembered from an earlier attempt)"

func shorten(text string) string {
	for _, s := range shortenings {
		text = s.phrase.ReplaceAllString(text, s.short)
	}
	if letters := []rune(text); len(letters) > maxReason {
		text = string(letters[:maxReason]) + "…"
	}
	return text
}
