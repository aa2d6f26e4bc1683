// Command bench measures what fastship promises, side by side with its peers,
// as ratios. It is run by hand: go run ./internal/bench NAME; its output lives
// in docs/benchmarks.md.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
)

// A benchmark prints its table and returns an error when it could not
// measure, or when a bound is missed.
type benchmark struct {
	name     string
	what     string
	registry bool // needs one
	run      func(context.Context, *host) error
}

func benchmarks() []benchmark {
	return []benchmark{
		{"road", "a one-line change in orders, commit to pushed image, against bare Maven", true, road},
		{"maven", "a one-line change in orders, Maven stage alone, against bare Maven", true, mavenStage},
		{"unchanged", "orders with nothing to do, image and push included, against mvn -version", true, unchanged},
		{"layers", "bytes of orders' image in each packing of libraries and layers [--project DIR]", true, layers},
		{"image", "image and push of orders against Jib, docker build and push, crane append [--only PART]", true, imageBench},
		{"startup", "time to the first HTTP 200 on one processor, in each way of training, against Jib's image [--project DIR]", true, startup},
		{"rollout", "scripted rollouts in virtual time, against the SDK's waiter and a poller; 200 services", false, rollout},
		{"cache", "a repository in S3 against tar + zstd, zip and a bare writer [--repository DIR]", false, cacheBench},
	}
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) > 0 && args[0] == stepVerb {
		return cacheStep(ctx, args[1:])
	}
	all := benchmarks()
	i := -1
	if len(args) > 0 {
		i = slices.IndexFunc(all, func(b benchmark) bool { return b.name == args[0] })
	}
	if i < 0 {
		var names []string
		for _, b := range all {
			names = append(names, fmt.Sprintf("  %-9s %s", b.name, b.what))
		}
		return fmt.Errorf("name one of\n%s", strings.Join(names, "\n"))
	}
	h, err := newHost(ctx, args[1:])
	if err != nil {
		return err
	}
	defer h.close()
	if all[i].registry {
		if err := h.startRegistry(ctx); err != nil {
			return err
		}
	}
	return all[i].run(ctx, h)
}
