package maven

import (
	"os"
	"regexp"
	"slices"

	"github.com/fastship/fastship/internal/redact"
)

// surefireProperties is the list of the tests' system properties, -D arguments
// among them, that surefire writes into each report.
var surefireProperties = regexp.MustCompile(`(?s)<properties>.*?</properties>\s*`)

const (
	// leastMasked is the shortest secret that is masked in a report, in bytes:
	// a shorter one may be a word of the report's own.
	leastMasked = 8
	// mostReports bounds what is kept of all reports, in bytes: tests that
	// print megabytes are not worth their place.
	mostReports = 32 << 20
)

// reports reads test reports as they may be kept where others read them.
type reports struct {
	all, long *redact.Redactor // of every secret, and of those long enough to be masked
	left      int64            // bytes
}

func newReports(secrets []string) *reports {
	long := slices.DeleteFunc(slices.Clone(secrets), func(s string) bool { return len(s) < leastMasked })
	return &reports{redact.New(secrets...), redact.New(long...), mostReports}
}

// read is a report, without the properties where one holds a secret, and with
// secrets masked; nil for one that is too large.
func (r *reports) read(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil || info.Size() > r.left {
		return nil, err
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	r.left -= int64(len(text))
	if r.all.String(string(text)) == string(text) {
		return text, nil
	}
	return []byte(r.long.String(string(surefireProperties.ReplaceAll(text, nil)))), nil
}
