package road

import (
	"context"
	"fmt"

	"github.com/fastship/fastship/cache"
)

// forgetful is --force: an action store that remembers nothing of earlier
// runs and keeps what this one does.
type forgetful struct{ cache.ActionStore }

func (forgetful) GetAction(_ context.Context, k cache.Key) (cache.Action, error) {
	return cache.Action{}, fmt.Errorf("action %s: --force: %w", k, cache.ErrNotFound)
}
