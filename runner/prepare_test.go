package runner_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fastship/fastship/runner"
)

// prepared is a step that prepares itself.
type prepared struct {
	step
	prepare func(context.Context)
}

func (p prepared) Prepare(ctx context.Context) { p.prepare(ctx) }

// waiter is a step that says that it waits, then does as sleeper.
func waiter(name string, d time.Duration, err error) step {
	s := sleeper(name, d, err)
	sleep := s.run
	s.run = func(ctx context.Context, env runner.Env, in string) (runner.Result[string], error) {
		env.Waiting()
		env.Waiting()
		return sleep(ctx, env, in)
	}
	return s
}

func TestPrepare(t *testing.T) {
	for name, c := range map[string]struct {
		first  step
		opt    runner.Options
		takes  time.Duration // of the Prepare; it heeds its context
		panics bool
		want   []string
		warned string
	}{
		"while another waits": {first: waiter("maven", 10*time.Second, nil), takes: time.Second,
			want: []string{"image prepared after 1s", "image runs after 10s"}},
		"a slow one does not hold up its step, and is shared": {first: waiter("maven", 10*time.Second, nil), takes: 12 * time.Second,
			want: []string{"image runs after 10s", "image prepared after 12s"}},
		"it ends with its step": {first: waiter("maven", 10*time.Second, nil), takes: time.Hour,
			want: []string{"image runs after 10s", "image given up after 15s"}},
		"it ends with the run": {first: waiter("maven", 10*time.Second, errBroken), takes: time.Hour,
			want: []string{"image given up after 10s"}},
		"a panic is a warning": {first: waiter("maven", 10*time.Second, nil), panics: true,
			want: []string{"image runs after 10s"}, warned: "image: panic: no JDK"},
		"nobody waits": {first: sleeper("maven", 10*time.Second, nil), takes: time.Second,
			want: []string{"image runs after 10s"}},
		"not taking part": {first: waiter("maven", 10*time.Second, nil), opt: runner.Options{Until: "maven"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var b runner.Builder
				var s screen
				start := time.Now()
				tell := func(what string) { s.say("image %s after %s", what, time.Since(start)) }
				image := sleeper("image", 5*time.Second, nil)
				run := image.run
				image.run = func(ctx context.Context, env runner.Env, in string) (runner.Result[string], error) {
					tell("runs")
					env.Waiting() // for itself there is nothing to prepare
					return run(ctx, env, in)
				}
				second := prepared{image, func(ctx context.Context) {
					if c.panics {
						panic("no JDK")
					}
					select {
					case <-time.After(c.takes):
						tell("prepared")
					case <-ctx.Done():
						tell("given up")
					}
				}}
				runner.Add(&b, second, runner.Add(&b, c.first, runner.Value(&b, "begin")))
				c.opt.Emit = s.emit
				if _, err := b.Run(t.Context(), c.opt); err != nil && err != errBroken {
					t.Error(err)
				}
				if !slices.Equal(s.said, c.want) {
					t.Errorf("got %q, want %q", s.said, c.want)
				}
				var warned string
				for _, w := range of[runner.Warning](&s, "image") {
					warned += w.Text
				}
				if warned != c.warned {
					t.Errorf("warned %q, want %q", warned, c.warned)
				}
			})
		})
	}
}

// A dry run, a failed Check and what an earlier run has left prepare nothing.
func TestPrepareNothing(t *testing.T) {
	var b runner.Builder
	never := func(name string) prepared {
		return prepared{step{name: name}, func(context.Context) { t.Error(name + " was prepared") }}
	}
	ref := runner.Add(&b, never("source"), runner.Value(&b, "begin"))
	ref = runner.Add(&b, waiter("maven", 0, nil), ref)
	runner.Add(&b, never("image"), ref)
	if err := b.Plan(t.Context(), runner.Options{}); err != nil {
		t.Error(err)
	}
	if _, err := b.Run(t.Context(), runner.Options{Begin: func() error { return errBroken }}); err != errBroken {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := b.Run(ctx, runner.Options{}); err == nil {
		t.Error("a cancelled run ended well")
	}
}

// A step that begins beside the one that waits is not prepared any more.
func TestPrepareBesideItsRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b runner.Builder
		late := step{name: "late", run: func(ctx context.Context, env runner.Env, in string) (runner.Result[string], error) {
			time.Sleep(time.Second)
			env.Waiting()
			return runner.Result[string]{}, nil
		}}
		begin := runner.Value(&b, "begin")
		runner.Add(&b, late, begin)
		runner.Add(&b, prepared{sleeper("beside", 2*time.Second, nil), func(context.Context) { t.Error("prepared while it ran") }}, begin)
		if _, err := b.Run(t.Context(), runner.Options{}); err != nil {
			t.Error(err)
		}
	})
}

// What a step leaves behind waits until the road is free, for three seconds at most.
func TestBackgroundGivesWay(t *testing.T) {
	for name, c := range map[string]struct {
		next time.Duration // what the next step takes
		want string
	}{
		"a short road": {300 * time.Millisecond, "saved after 300ms"},
		"a long one":   {time.Minute, "saved after 3s"},
	} {
		synctest.Test(t, func(t *testing.T) {
			var b runner.Builder
			var s screen
			start := time.Now()
			chain(&b, step{name: "maven", run: func(_ context.Context, env runner.Env, _ string) (runner.Result[string], error) {
				env.Background("save", func(context.Context) error { s.say("saved after %s", time.Since(start)); return nil })
				return runner.Result[string]{}, nil
			}}, sleeper("image", c.next, nil))
			if _, err := b.Run(t.Context(), runner.Options{Emit: s.emit}); err != nil {
				t.Error(err)
			}
			if got := strings.Join(s.said, ", "); got != c.want {
				t.Errorf("%s: got %s, want %s", name, got, c.want)
			}
		})
	}
}
