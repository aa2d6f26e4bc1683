package road

import (
	"errors"
	"fmt"
	"sync"

	"github.com/fastship/fastship/cache"
	"github.com/fastship/fastship/internal/fault"
	"github.com/fastship/fastship/runner"
)

// warnings tells the faults of the caches. That the remote one is away, or may
// only be read, is met by many, and is said once, without the request that met
// it. The remedy, where there is one, stands behind.
func warnings(tell func(runner.Body)) func(error) {
	var mu sync.Mutex
	said := map[error]bool{}
	return func(err error) {
		for _, kind := range []error{cache.ErrAway, cache.ErrReadOnly} {
			if !errors.Is(err, kind) {
				continue
			}
			mu.Lock()
			again := said[kind]
			said[kind] = true
			mu.Unlock()
			if again {
				return
			}
			err = innermost(err, kind)
			if kind == cache.ErrReadOnly {
				err = fmt.Errorf("nothing more is sent to the remote cache: %w", err)
			}
			break
		}
		text := err.Error()
		if hint := fault.HintOf(err); hint != "" {
			text += " (" + hint + ")"
		}
		tell(runner.Warning{Text: text})
	}
}

// innermost strips what is wrapped around the error that wraps kind itself.
func innermost(err, kind error) error {
	for inner := err; errors.Is(inner, kind) && inner != kind; inner = errors.Unwrap(inner) {
		err = inner
	}
	return err
}
