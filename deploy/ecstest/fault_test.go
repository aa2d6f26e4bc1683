package ecstest_test

import (
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/fastship/fastship/deploy/ecstest"
)

func TestFaults(t *testing.T) {
	virtual(t, ecstest.Script{}, func(b *bench) {
		b.seed(1, "", "")
		update := func() error {
			_, err := b.client.UpdateService(b.Context(), &ecs.UpdateServiceInput{Service: aws.String("web"), ForceNewDeployment: true})
			return err
		}
		faults := []ecstest.Fault{
			ecstest.Throttle(), ecstest.ServerError(503), ecstest.Deny("UpdateService"),
			{Cut: ecstest.CutBefore}, {Cut: ecstest.CutAfter}, {Delay: time.Minute},
		}
		b.double.Fault(func(op string, n int) ecstest.Fault {
			if op == "UpdateService" && n <= len(faults) {
				return faults[n-1]
			}
			return ecstest.Fault{}
		})
		accepted := func() int { return len(b.double.Outcome("default", "web")) - 1 }
		for i, want := range []string{"ThrottlingException", "ServerException", "AccessDeniedException"} {
			if err := update(); err == nil || !strings.Contains(err.Error(), want) || accepted() != 0 {
				t.Errorf("fault %d: %v, %d accepted", i, err, accepted())
			}
		}
		if err := update(); !errors.Is(err, io.ErrUnexpectedEOF) || accepted() != 0 {
			t.Errorf("cut before: %v, %d accepted", err, accepted())
		}
		if err := update(); !errors.Is(err, io.ErrUnexpectedEOF) || accepted() != 1 {
			t.Errorf("cut after: %v, %d accepted", err, accepted())
		}
		start := time.Now()
		if err := update(); err != nil || time.Since(start) != time.Minute || accepted() != 2 {
			t.Errorf("slow: %v after %v, %d accepted", err, time.Since(start), accepted())
		}
		if n := b.double.Counts()["UpdateService"]; n != 6 {
			t.Errorf("%d calls counted", n)
		}
		calls := b.double.Calls()
		if c := calls[0]; c.Op != "UpdateService" || c.Status != 400 || c.Error != "ThrottlingException" || calls[3].Status != 0 {
			t.Errorf("calls %+v", calls)
		}
	})
}

func TestReadsThatLag(t *testing.T) {
	bubble(t, ecstest.Options{Runtime: ecstest.Script{}, MaxLag: time.Minute}, func(b *bench) {
		b.seed(1, "", "")
		time.Sleep(time.Minute)
		b.double.Fault(func(op string, n int) ecstest.Fault {
			if strings.HasPrefix(op, "Describe") {
				return ecstest.Fault{Lag: 5 * time.Second}
			}
			return ecstest.Fault{}
		})
		id := b.deploy("app:2", "")
		if *b.service().Deployments[0].Id == id {
			t.Error("the read does not lag")
		}
		time.Sleep(4 * time.Second)
		if *b.service().Deployments[0].Id == id {
			t.Error("the read does not lag for 5 s")
		}
		time.Sleep(time.Second)
		if *b.service().Deployments[0].Id != id {
			t.Error("the read lags for more than 5 s")
		}
	})
}

func TestLimits(t *testing.T) {
	bubble(t, ecstest.Options{Runtime: ecstest.Script{}, Limits: ecstest.ECSLimits()}, func(b *bench) {
		throttled := func(calls int) (n int) {
			for range calls {
				_, err := b.client.DescribeTaskDefinition(b.Context(), &ecs.DescribeTaskDefinitionInput{TaskDefinition: aws.String("x")})
				if strings.Contains(err.Error(), "ThrottlingException: Rate exceeded") {
					n++
				}
			}
			return n
		}
		if n := throttled(110); n != 10 {
			t.Errorf("%d of a burst of 110 throttled, want 10", n)
		}
		time.Sleep(2 * time.Second)
		if n := throttled(50); n != 10 {
			t.Errorf("%d of 50 throttled after 2 s of refill, want 10", n)
		}
	})
}
