package ecstest

import "time"

// Limit is a token bucket that operations share: Burst calls at once, Refill
// more each second.
type Limit struct {
	Operations []string
	Burst      float64
	Refill     float64
}

// ECSLimits are the buckets that ECS documents for an account and region
// ("Request throttling for the Amazon ECS API"), of the double's operations.
func ECSLimits() []Limit {
	return []Limit{
		{[]string{"DescribeServices", "ListServices", "DescribeClusters", "ListClusters"}, 100, 20},
		{[]string{"DescribeTasks", "ListTasks"}, 100, 20},
		{[]string{"ListServiceDeployments", "DescribeServiceDeployments", "DescribeServiceRevisions"}, 50, 20},
		{[]string{"DescribeTaskDefinition", "ListTaskDefinitions"}, 100, 20},
		{[]string{"CreateService", "UpdateService", "DeleteService", "StopServiceDeployment", "ContinueServiceDeployment"}, 50, 5},
		{[]string{"RegisterTaskDefinition", "DeregisterTaskDefinition"}, 20, 1},
	}
}

// bucket is a Limit in use.
type bucket struct {
	Limit
	tokens float64
	filled time.Time
}

// take tells whether one more call is within the limit at now.
func (b *bucket) take(now time.Time) bool {
	if !b.filled.IsZero() {
		b.tokens += now.Sub(b.filled).Seconds() * b.Refill
	}
	if b.filled.IsZero() || b.tokens > b.Burst {
		b.tokens = b.Burst
	}
	b.filled = now
	if b.tokens < 1 {
		return false
	}
	b.tokens--
	return true
}

// buckets makes the buckets by operation.
func buckets(limits []Limit) map[string]*bucket {
	m := map[string]*bucket{}
	for _, l := range limits {
		b := &bucket{Limit: l}
		for _, op := range l.Operations {
			m[op] = b
		}
	}
	return m
}
