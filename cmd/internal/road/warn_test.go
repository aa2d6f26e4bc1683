package road

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/fastship/fastship/cache"
	"github.com/fastship/fastship/internal/fault"
	"github.com/fastship/fastship/runner"
)

func TestWarnings(t *testing.T) {
	var said []string
	warn := warnings(func(b runner.Body) { said = append(said, b.(runner.Warning).Text) })
	away := fmt.Errorf("%w: %w", cache.ErrAway, fault.New(fault.Missing, "make the bucket", "no such bucket"))
	for range 3 {
		warn(fmt.Errorf("read pointer main: %w", away))
		warn(fmt.Errorf("write blob: %w", fmt.Errorf("%w: %w", cache.ErrReadOnly, errors.New("refused"))))
	}
	warn(errors.New("another"))
	want := []string{
		cache.ErrAway.Error() + ": no such bucket (make the bucket)",
		"nothing more is sent to the remote cache: " + cache.ErrReadOnly.Error() + ": refused",
		"another",
	}
	if got := strings.Join(said, "\n"); got != strings.Join(want, "\n") {
		t.Errorf("said\n%s", got)
	}
}
