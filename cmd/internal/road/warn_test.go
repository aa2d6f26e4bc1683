package road

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/fastship/fastship/cache"
	"github.com/fastship/fastship/internal/fault"
	"github.com/fastship/fastship/runner"
)

func TestOneFaultOfTheRemoteCacheIsTold(t *testing.T) {
	away := fmt.Errorf("%w: bucket b: silent", cache.ErrAway)
	refused := fmt.Errorf("%w: AccessDenied", cache.ErrReadOnly)
	corrupt := fmt.Errorf("blob x: %w", cache.ErrCorrupt)
	busy := fault.New(fault.Missing, "try later", "SlowDown")
	for name, c := range map[string]struct{ met, told []error }{
		"away, met by two":          {[]error{fmt.Errorf("find: %w", remoteFault(away)), fmt.Errorf("save: %w", away)}, []error{away}},
		"read-only":                 {[]error{fmt.Errorf("save: %w", remoteFault(refused)), refused}, []error{fmt.Errorf("nothing is sent to the remote cache: %w", refused)}},
		"a fault, and what follows": {[]error{fmt.Errorf("find: %w", remoteFault(busy)), away, refused}, []error{errors.New("find: SlowDown; try later")}},
		"this machine's own":        {[]error{errors.New("one"), errors.New("two")}, []error{errors.New("one"), errors.New("two")}},
		"bad bytes besides":         {[]error{away, remoteFault(corrupt), corrupt}, []error{away, corrupt, corrupt}},
	} {
		t.Run(name, func(t *testing.T) {
			var got, want []string
			warn := warnings(func(b runner.Body) { got = append(got, b.(runner.Warning).Text) })
			for _, err := range c.met {
				warn(err)
			}
			for _, err := range c.told {
				want = append(want, err.Error())
			}
			if !slices.Equal(got, want) {
				t.Errorf("told %q, want %q", got, want)
			}
		})
	}
}

func TestAnAnswerIsNoFault(t *testing.T) {
	for _, err := range []error{nil, cache.ErrNotFound, cache.ErrMoved, context.Canceled} {
		if got := remoteFault(err); got != err {
			t.Errorf("%v became %v", err, got)
		}
	}
	err := errors.New("reset")
	if got := remoteFault(err); got == err || !errors.Is(got, err) || got.Error() != "reset" {
		t.Errorf("%v became %v", err, got)
	}
}
