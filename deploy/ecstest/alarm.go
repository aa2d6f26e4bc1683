package ecstest

import (
	"maps"
	"slices"
)

// alarmSetting is deploymentConfiguration's alarms.
type alarmSetting struct {
	Names    []string `json:"alarmNames"`
	Enable   bool     `json:"enable"`
	Rollback bool     `json:"rollback"`
}

func (a alarmSetting) check() error {
	if a.Enable && len(a.Names) == 0 {
		return invalid("alarmNames must have at least 1 item when deployment alarms are enabled.")
	}
	return nil
}

// Alarm puts a CloudWatch alarm into the state ALARM, or out of it. It fails
// the deployments that go on, bake times included, of services that name it in
// deploymentConfiguration.alarms.
func (d *Double) Alarm(name string, on bool) {
	d.do(func() {
		d.alarms[name] = on
		for _, key := range slices.SortedFunc(maps.Keys(d.world.services), byName) {
			d.wake(d.world.services[key])
		}
	})
}

func byName(a, b serviceKey) int {
	return slices.Compare([]string{a.cluster, a.name}, []string{b.cluster, b.name})
}

// alarmed fails a deployment whose alarm went off, and tells whether it did.
func (d *Double) alarmed(s *service, p *deployment, r *serviceDeployment) bool {
	a := s.settings.alarms
	if !a.Enable {
		return false
	}
	for _, name := range a.Names {
		if d.alarms[name] {
			r.triggered = append(r.triggered, name)
		}
	}
	if len(r.triggered) == 0 {
		return false
	}
	d.fail(s, p, "alarm detected")
	if !a.Rollback {
		r.end("STOPPED", "Service deployment stopped because a CloudWatch alarm was detected.", Failed)
		return true
	}
	r.rollbackReason = "Service deployment rolled back because a CloudWatch alarm was detected."
	r.move("ROLLBACK_REQUESTED", r.rollbackReason)
	d.wake(s)
	return true
}

// showAlarms is a service deployment's alarms.
func (r *serviceDeployment) showAlarms() object {
	o := object{"status": "DISABLED", "alarmNames": []string{}, "triggeredAlarmNames": []string{}}
	if !r.alarms.Enable {
		return o
	}
	o["status"], o["alarmNames"] = "MONITORING", r.alarms.Names
	switch {
	case len(r.triggered) > 0:
		o["status"], o["triggeredAlarmNames"] = "TRIGGERED", r.triggered
	case !r.ongoing():
		o["status"] = "MONITORING_COMPLETE"
	}
	return o
}
