package rollout

import (
	"context"
	"errors"
	"testing"

	"github.com/fastship/fastship/deploy"
)

// TestConnectsOnce: a client is made once, and a failure is tried again.
func TestConnectsOnce(t *testing.T) {
	calls := 0
	connect := remembered(func(context.Context, string) (deploy.API, error) {
		if calls++; calls == 1 {
			return nil, errors.New("no network")
		}
		return denying{}, nil
	})
	for i, want := range []bool{false, true, true} {
		if api, err := connect(t.Context(), ""); (err == nil) != want || (api != nil) != want {
			t.Errorf("call %d: %v, %v", i+1, api, err)
		}
	}
	if calls != 2 {
		t.Errorf("connected %d times", calls)
	}
}
