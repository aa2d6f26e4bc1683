package ecs

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fastship/fastship/deploy"
	"github.com/fastship/fastship/deploy/ecstest"
	"github.com/fastship/fastship/internal/awsconf"
	"github.com/fastship/fastship/internal/fault"
)

// TestBatches: what many ask for at once goes in few calls once the share of
// the limits is used up; each gets its own answer, and one that is not there
// spoils no other's.
func TestBatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := ecstest.New(ecstest.Options{Runtime: ecstest.Script{}, Limits: ecstest.ECSLimits()})
		defer d.Close()
		const services, rounds = 60, 5
		for i := range services {
			name := fmt.Sprintf("web-%d", i)
			definition := fmt.Sprintf(`{"family": %q, "containerDefinitions": [{"name": "app", "image": "web:1", "memory": 512}]}`, name)
			if _, err := d.Seed(t.Context(), ecstest.ServiceSeed{Service: name, Desired: 0, TaskDefinition: []byte(definition)}); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(time.Minute)
		cfg := awsconf.Local("http://ecs.test", "us-east-1")
		cfg.HTTPClient = &http.Client{Transport: ecstest.Transport(d)}
		client := New(cfg)
		var all sync.WaitGroup
		for i := range services + 1 {
			all.Go(func() {
				name := fmt.Sprintf("web-%d", i)
				for range rounds {
					s, err := client.Service(t.Context(), deploy.Target{Service: name})
					if i == services {
						if fault.ClassOf(err) != fault.Missing || !strings.Contains(err.Error(), "find service web-60") {
							t.Errorf("%s: %+v, %v", name, s, err)
						}
					} else if err != nil || s.Name != name {
						t.Errorf("%s: %+v, %v", name, s, err)
					}
				}
			})
		}
		all.Wait()
		for _, c := range d.Calls() {
			if c.Error == "ThrottlingException" {
				t.Fatal("throttled")
			}
		}
		// 61 at once, each by itself while there are tokens, then ten together.
		if n := d.Counts()["DescribeServices"]; n > services*rounds/2 {
			t.Errorf("%d calls for %d answers", n, (services+1)*rounds)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := client.Service(ctx, deploy.Target{Service: "web-1"}); err == nil {
			t.Error("a caller that has gone gets an answer")
		}
		time.Sleep(time.Minute) // its turn comes, and nobody takes it
	})
}
