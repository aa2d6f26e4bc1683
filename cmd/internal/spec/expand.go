package spec

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// variable is what may stand between ${ and }: a name as POSIX allows it, and
// a default for when it is unset or empty, as in a shell.
var variable = regexp.MustCompile(`^([A-Za-z_][A-Za-z0-9_]*)(:-(.*))?$`)

// advised is an error with the remedy of its own.
type advised struct {
	error
	hint string
}

func hintOf(err error) string {
	if a, ok := errors.AsType[advised](err); ok {
		return a.hint
	}
	return ""
}

func advise(hint, format string, args ...any) error {
	return advised{fmt.Errorf(format, args...), hint}
}

// expand replaces ${VAR} and ${VAR:-default}. $${ stands for ${ itself; every
// other $ is an ordinary character. Defaults are taken as they are.
func expand(s string, getenv func(string) (string, bool)) (text string, expanded bool, err error) {
	var b strings.Builder
	for {
		before, after, found := strings.Cut(s, "${")
		if !found {
			b.WriteString(s)
			return b.String(), expanded, nil
		}
		if plain, escaped := strings.CutSuffix(before, "$"); escaped {
			b.WriteString(plain + "${")
			s = after
			continue
		}
		b.WriteString(before)
		inside, rest, closed := strings.Cut(after, "}")
		if !closed {
			return "", false, advise("close it, or write $${ for the two characters", "${%s has no }", inside)
		}
		m := variable.FindStringSubmatch(inside)
		if m == nil {
			return "", false, advise("to pass it on as it is, write $${"+inside+"}", "${%s} names no environment variable", inside)
		}
		value, set := getenv(m[1])
		switch {
		case m[2] != "" && value == "":
			value = m[3]
		case !set:
			return "", false, advise(fmt.Sprintf("set it, or give a default: ${%s:-…}", m[1]), "the environment variable %s is not set", m[1])
		}
		b.WriteString(value)
		s, expanded = rest, true
	}
}
