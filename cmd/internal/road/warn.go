package road

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/fastship/fastship/cache"
	"github.com/fastship/fastship/internal/fault"
	"github.com/fastship/fastship/runner"
)

// warnings tells the faults of the caches. Of the remote one only the first is
// told: what follows in the same run is most often its consequence, whoever
// meets it.
func warnings(tell func(runner.Body)) func(error) {
	var mu sync.Mutex
	said := false
	return func(err error) {
		hint := fault.HintOf(err)
		if _, remote := errors.AsType[faultAfar](err); remote || errors.Is(err, cache.ErrAway) || errors.Is(err, cache.ErrReadOnly) {
			mu.Lock()
			again := said
			said = true
			mu.Unlock()
			if again {
				return
			}
		}
		switch { // without the request that met it
		case errors.Is(err, cache.ErrAway):
			err = innermost(err, cache.ErrAway)
		case errors.Is(err, cache.ErrReadOnly):
			err = fmt.Errorf("nothing is sent to the remote cache: %w", innermost(err, cache.ErrReadOnly))
		}
		text := err.Error()
		if hint != "" {
			text += "; " + hint
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

// faultAfar marks an error as a fault of the remote store, whatever is wrapped
// around it later.
type faultAfar struct{ error }

// Unwrap returns the fault.
func (f faultAfar) Unwrap() error { return f.error }

// remoteFault marks an error of a remote store that is no plain answer.
func remoteFault(err error) error {
	for _, answer := range []error{nil, cache.ErrNotFound, cache.ErrCorrupt, cache.ErrMoved, context.Canceled} {
		if errors.Is(err, answer) {
			return err
		}
	}
	return faultAfar{err}
}

// remoteBody marks what goes wrong while a blob is read.
type remoteBody struct{ io.ReadCloser }

// Read implements io.Reader.
func (b remoteBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil && err != io.EOF {
		err = remoteFault(err)
	}
	return n, err
}
