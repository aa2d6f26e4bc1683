package rollout

import (
	"context"
	"sync"

	"github.com/fastship/fastship/deploy"
)

// once connects once for each region: services side by side share a client,
// which reads many of them by one call and holds all of them to the account's
// request limits. What failed is tried again.
func once(connect func(ctx context.Context, region string) (deploy.API, error)) func(ctx context.Context, region string) (deploy.API, error) {
	var mu sync.Mutex
	known := map[string]deploy.API{}
	return func(ctx context.Context, region string) (deploy.API, error) {
		mu.Lock()
		defer mu.Unlock()
		if api, ok := known[region]; ok {
			return api, nil
		}
		api, err := connect(ctx, region)
		if err == nil {
			known[region] = api
		}
		return api, err
	}
}
