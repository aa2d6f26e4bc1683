package cli

import (
	"errors"
	"io/fs"
	"strings"
	"syscall"

	"github.com/fastship/fastship/internal/fault"
	"github.com/fastship/fastship/runner"
)

// cause is what a person needs to know of an error.
type cause struct {
	line   string   // the first cause, one line: the last one on the screen
	detail string   // lines that show it: an excerpt, a log's end
	hint   string   // the remedy
	others []string // what else was found at the same time
}

// causeOf takes an error apart. Checks report all they find at once: the
// first finding is the cause, the others are told beside it.
func causeOf(err error) cause {
	found := []error{err}
	if all, ok := errors.AsType[runner.Findings](err); ok {
		found = all
	}
	var c cause
	c.line, c.detail, _ = strings.Cut(strings.TrimSpace(found[0].Error()), "\n")
	c.hint = fault.HintOf(found[0])
	switch { // wherever these are met, there is one remedy
	case errors.Is(found[0], syscall.ENOSPC):
		c.hint = "free some space on that disk"
	case c.hint != "":
	case errors.Is(found[0], syscall.EROFS):
		c.hint = "name another place: that file system can only be read"
	case errors.Is(found[0], fs.ErrPermission):
		c.hint = "give this user the right to it; a build as root leaves files that others cannot use"
	}
	for _, e := range found[1:] {
		c.others = append(c.others, e.Error())
	}
	return c
}
