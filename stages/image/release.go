package image

import (
	"context"
	"fmt"
	"path"
	"runtime"

	"golang.org/x/sync/errgroup"

	"github.com/fastship/fastship/cache"
	"github.com/fastship/fastship/runner"
	"github.com/fastship/fastship/stages/image/appjar"
)

// newest is the library that needs the newest Java.
type newest struct {
	Library string `json:"library"`
	Release int    `json:"release"` // 0 when there is none
}

// newestLibrary looks for it, once for each set of libraries. What cannot be
// read is for others to judge.
func (s *Step) newestLibrary(ctx context.Context, jar *appjar.App) (newest, error) {
	key := cache.NewKey("newest library", "1")
	for _, l := range jar.Libraries {
		key = key.Add(path.Base(l.Name), string(l.Digest))
	}
	found, _, _, err := cache.Do(ctx, s.deps.Cache, key.Key(), func(ctx context.Context) (newest, []cache.Descriptor, error) {
		releases := make([]int, len(jar.Libraries))
		group, ctx := errgroup.WithContext(ctx)
		group.SetLimit(runtime.GOMAXPROCS(0))
		for i, l := range jar.Libraries {
			group.Go(func() error {
				if ctx.Err() != nil {
					return context.Cause(ctx)
				}
				if archive, closer, err := l.Archive(); err == nil {
					releases[i] = appjar.Release(archive)
					closer.Close()
				}
				return nil
			})
		}
		err := group.Wait()
		var most newest
		for i, release := range releases {
			if release > most.Release {
				most = newest{path.Base(jar.Libraries[i].Name), release}
			}
		}
		return most, nil, err
	})
	return found, err
}

// warn tells of a base that is too old for a library. It is no error: nobody
// knows whether its classes are used.
func (n newest) warn(env runner.Env, b base) {
	if b.release > 0 && n.Release > b.release {
		env.Emit(runner.Warning{Text: fmt.Sprintf("%s is for Java %d, and the base has Java %d (%s): its classes will not load; set image.base to a newer Java, or take an older version of it", n.Library, n.Release, b.release, b.name)})
	}
}
