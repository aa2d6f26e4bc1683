package mvn

import (
	"cmp"
	"regexp"
	"strconv"
	"strings"
)

// exactVersion is how Maven's own releases are named: 3.9.11, 4.0.0-rc-4.
var exactVersion = regexp.MustCompile(`^[0-9]+\.[0-9]+\.[0-9]+(-(alpha|beta|rc)-[0-9]+)?$`)

// IsVersion tells whether s is written as a release of Maven is.
func IsVersion(s string) bool { return exactVersion.MatchString(s) }

var words = regexp.MustCompile(`[0-9]+|[a-zA-Z]+`)

// CompareVersions orders versions as Maven's version order does for numbers
// and the qualifiers of Maven's own releases: alpha, beta, milestone, rc, then
// the release itself (maven.apache.org/pom.html, "Version Order
// Specification").
func CompareVersions(a, b string) int {
	x, y := words.FindAllString(strings.ToLower(a), -1), words.FindAllString(strings.ToLower(b), -1)
	for i := range max(len(x), len(y)) {
		if c := cmp.Compare(weight(x, i), weight(y, i)); c != 0 {
			return c
		}
	}
	return 0
}

// weight places a word of a version: qualifiers below nothing, which counts as
// 0 as in 3.9 and 3.9.0.
func weight(of []string, i int) int {
	if i >= len(of) {
		return 0
	}
	if n, err := strconv.Atoi(of[i]); err == nil {
		return n
	}
	switch of[i] {
	case "alpha", "a":
		return -5
	case "beta", "b":
		return -4
	case "milestone", "m":
		return -3
	case "rc", "cr":
		return -2
	case "snapshot":
		return -1
	}
	return 0
}

// Range is a version requirement as maven-enforcer-plugin reads it: a bare
// version is a minimum, "[3.6.3,4)" an interval, and intervals with commas
// between them are alternatives.
type Range []interval

type interval struct {
	low, high         string // empty: open
	lowOpen, highOpen bool   // the bound itself is outside
}

var intervalForm = regexp.MustCompile(`^\s*([\[(])\s*([^,\[\]()]*?)\s*(?:(,)\s*([^,\[\]()]*?)\s*)?([\])])\s*(?:,|$)`)

// ParseRange reads a requirement; ok is false for what is none.
func ParseRange(s string) (r Range, ok bool) {
	s = strings.TrimSpace(s)
	if s == "" || strings.Contains(s, "${") {
		return nil, false
	}
	if !strings.ContainsAny(s, "[(") {
		return Range{{low: s}}, words.MatchString(s) && !strings.ContainsAny(s, ",])")
	}
	for s != "" {
		m := intervalForm.FindStringSubmatch(s)
		if m == nil || (m[2] == "" && m[4] == "") {
			return nil, false
		}
		i := interval{low: m[2], high: m[4], lowOpen: m[1] == "(", highOpen: m[5] == ")"}
		if m[3] == "" {
			i.high = i.low // [3.9.9] is that version alone
		}
		r, s = append(r, i), strings.TrimSpace(s[len(m[0]):])
	}
	return r, true
}

// Holds tells whether a version is within the range.
func (r Range) Holds(version string) bool {
	for _, i := range r {
		low, high := CompareVersions(version, i.low), CompareVersions(version, i.high)
		if (i.low == "" || low > 0 || (low == 0 && !i.lowOpen)) && (i.high == "" || high < 0 || (high == 0 && !i.highOpen)) {
			return true
		}
	}
	return false
}
