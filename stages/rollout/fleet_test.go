package rollout

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fastship/fastship/deploy"
	"github.com/fastship/fastship/deploy/ecs"
	"github.com/fastship/fastship/deploy/ecstest"
	"github.com/fastship/fastship/internal/awsconf"
	"github.com/fastship/fastship/runner"
)

// fleet is what rolling out many services side by side costs an account.
type fleet struct {
	Services  int
	Took      float64            // seconds
	Throttled int                // calls that ECS refused
	Calls     int                // all
	Share     map[string]float64 // of the refill of each bucket, by its first operation, on average
	Late      []float64          // seconds from each service's true end to its being told
}

// TestFleet rolls out many services of one image in one account, held to ECS's
// limits: not one call is throttled, and half of each refill is left to others.
// With FASTSHIP_BENCH it is 200 services.
func TestFleet(t *testing.T) {
	n := 40
	if os.Getenv("FASTSHIP_BENCH") != "" {
		n = 200
	}
	f := rollFleet(t, n)
	t.Logf("%+v", f)
	if f.Throttled > 0 {
		t.Errorf("%d of %d calls were throttled", f.Throttled, f.Calls)
	}
	for bucket, share := range f.Share {
		if share > 0.5 && bucket != "RegisterTaskDefinition" && f.Took > 60 {
			t.Errorf("%s: %.2f of the refill", bucket, share)
		}
	}
	if limit := float64(n-20) + 40; f.Took > limit {
		t.Errorf("%d services took %.0f s, want %.0f s", n, f.Took, limit)
	}
	if file := os.Getenv("FASTSHIP_BENCH"); file != "" {
		write(t, file+".fleet", []fleet{f})
	}
}

func rollFleet(t *testing.T, n int) (f fleet) {
	f = fleet{Services: n, Share: map[string]float64{}}
	synctest.Test(t, func(t *testing.T) {
		d := ecstest.New(ecstest.Options{Limits: ecstest.ECSLimits(), Runtime: ecstest.Script{image2: {Pull: 5 * time.Second, Start: time.Second}}})
		defer d.Close()
		cfg := Config{Repository: repository}
		for i := range n {
			name := fmt.Sprintf("web-%d", i)
			text := strings.Replace(string(definition(healthCheck)), `"family": "web"`, fmt.Sprintf(`"family": %q`, name), 1)
			if _, err := d.Seed(t.Context(), ecstest.ServiceSeed{Service: name, Desired: 1, Config: []byte(breaker), TaskDefinition: []byte(text)}); err != nil {
				t.Fatal(err)
			}
			cfg.Services = append(cfg.Services, Member{Service: name})
		}
		time.Sleep(10 * time.Minute)
		d.Fault(latency)
		conf := awsconf.Local("http://ecs.test", "us-east-1")
		conf.HTTPClient = &http.Client{Transport: ecstest.Transport(d)}
		client := ecs.New(conf)
		dice := rand.New(rand.NewPCG(1, 1))
		told := map[string]time.Time{}
		var mu sync.Mutex
		group := NewGroup(cfg, Deps{
			Connect: func(context.Context, string) (deploy.API, error) { return client, nil },
			Jitter: func() float64 {
				mu.Lock()
				defer mu.Unlock()
				return dice.Float64()
			},
		})
		start := time.Now()
		r, err := group.Run(t.Context(), runner.Env{Emit: func(b runner.Body) {
			if note, ok := b.(runner.Note); ok && strings.Contains(note.Text, "deployment successful") {
				service, _, _ := strings.Cut(note.Text, ":")
				mu.Lock()
				told[service] = time.Now()
				mu.Unlock()
			}
		}}, In{Image: image2})
		f.Took = time.Since(start).Seconds()
		if err != nil {
			t.Fatal(err)
		}
		for _, each := range r.Out.Services {
			all := d.Outcome("default", each.Service)
			if end := all[len(all)-1]; each.Outcome != string(deploy.Succeeded) || end.Verdict != ecstest.Succeeded || len(all) != 2 {
				t.Errorf("%s: %s, the truth is %s of %d deployments", each.Service, each.Outcome, end.Verdict, len(all))
			} else {
				f.Late = append(f.Late, told[each.Service].Sub(end.Finished).Seconds())
			}
		}
		slices.Sort(f.Late)
		for _, l := range ecstest.ECSLimits() {
			count := 0
			for _, c := range d.Calls() {
				if slices.Contains(l.Operations, c.Op) {
					count++
				}
			}
			f.Calls += count
			f.Share[l.Operations[0]] = float64(count) / f.Took / l.Refill
		}
		for _, c := range d.Calls() {
			if c.Error == "ThrottlingException" {
				f.Throttled++
			}
		}
	})
	return f
}
