package codedeploytest

import "time"

// moment is a deployment at a time.
type moment struct {
	status  string
	since   time.Time // it has ended
	events  []map[string]any
	traffic float64
}

const (
	eachEvent = 2 * time.Second // that has nothing to do
	setSize   = 2               // tasks of a set
)

func (x *deployment) at(now time.Time) moment {
	if x.id == "d-SEED00000" {
		return moment{status: "Succeeded", traffic: 100}
	}
	m := moment{status: "InProgress"}
	if !x.stopped.IsZero() && now.After(x.stopped) {
		now, m.status, m.since = x.stopped, "Stopped", x.stopped
	}
	at, failed := x.created, false
	for _, name := range events {
		took, fails, why := eachEvent, name == x.story.FailAt, x.story.Why
		switch name {
		case "Install":
			if took = installTime; !x.steady.IsZero() {
				took = max(0, x.steady.Sub(at))
			} else if !fails {
				fails, why = true, "The deployment timed out while waiting for the replacement task set to become healthy. This time out period is 60 minutes."
			}
		case "AllowTraffic":
			took = or(x.story.Shift, 10*time.Second)
		}
		if name == "BeforeAllowTraffic" {
			took += x.story.Ready
		}
		e := map[string]any{"lifecycleEventName": name, "status": "Pending"}
		switch end := at.Add(took); {
		case failed:
			e["status"] = "Skipped"
		case now.Before(at) || m.status == "Stopped" && now.Before(end):
		case now.Before(end):
			e["status"] = "InProgress"
			if name == "BeforeAllowTraffic" && x.story.Ready > 0 && m.status == "InProgress" {
				m.status = "Ready"
			}
			if name == "AllowTraffic" {
				m.traffic = 10
			}
		case fails:
			e["status"], e["diagnostics"] = "Failed", map[string]any{"errorCode": "UnknownError", "message": why}
			m.status, m.since, failed, m.traffic = "Failed", end, true, 0
		default:
			e["status"] = "Succeeded"
			if name == "AllowTraffic" {
				m.traffic = 100
			}
		}
		m.events = append(m.events, e)
		at = at.Add(took)
	}
	if m.status == "InProgress" && !now.Before(at.Add(x.story.Terminate)) {
		m.status, m.since = "Succeeded", at.Add(x.story.Terminate)
	}
	if m.status == "Failed" || m.status == "Stopped" {
		m.traffic = 0
	}
	return m
}

func or(d, other time.Duration) time.Duration {
	if d == 0 {
		return other
	}
	return d
}
