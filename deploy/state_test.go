package deploy

import "testing"

// TestFargate: where the tasks run is told from either of the two ways in
// which a service says it.
func TestFargate(t *testing.T) {
	for _, c := range []struct {
		service Service
		want    bool
	}{
		{Service{LaunchType: "FARGATE"}, true},
		{Service{LaunchType: "EC2"}, false},
		{Service{CapacityProviders: []string{"FARGATE_SPOT", "FARGATE"}}, true},
		{Service{CapacityProviders: []string{"FARGATE", "my-asg"}}, false},
		{Service{}, false}, // not known
	} {
		if got := c.service.Fargate(); got != c.want {
			t.Errorf("%+v: %v", c.service, got)
		}
	}
}
