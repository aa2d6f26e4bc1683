package ecstest

import (
	"slices"
	"strings"
	"time"
)

// ongoing tells whether a service deployment has not ended yet.
func (r *serviceDeployment) ongoing() bool {
	switch r.status {
	case "PENDING", "IN_PROGRESS", "STOP_REQUESTED", "ROLLBACK_REQUESTED", "ROLLBACK_IN_PROGRESS":
		return true
	}
	return false
}

// shifts tells the strategies that shift traffic from blue to green.
func (r *serviceDeployment) shifts() bool { return r.strategy != "" && r.strategy != rolling }

func (r *serviceDeployment) move(status, reason string) {
	r.status, r.updated = status, time.Now()
	if reason != "" {
		r.reason = reason
	}
}

func (r *serviceDeployment) end(status, reason string, v Verdict) {
	r.move(status, reason)
	r.finished, r.verdict = r.updated, v
	if r.status == "STOPPED" {
		r.stopped = r.updated
	}
	if r.breakerStatus == "MONITORING" {
		r.breakerStatus = "MONITORING_COMPLETE"
	}
}

func listServiceDeployments(d *Double, c call) (object, error) {
	in, err := read[struct {
		paging
		Cluster   string   `json:"cluster"`
		Service   string   `json:"service"`
		Status    []string `json:"status"`
		CreatedAt struct {
			Before *float64 `json:"before"`
			After  *float64 `json:"after"`
		} `json:"createdAt"`
	}](c)
	if err != nil {
		return nil, err
	}
	s, err := serviceOf(c.view, in.Cluster, in.Service)
	if err != nil {
		return nil, err
	}
	var briefs []object
	for _, r := range slices.Backward(s.history) {
		at := float64(r.created.UnixMilli()) / 1000
		if len(in.Status) > 0 && !slices.Contains(in.Status, r.status) ||
			in.CreatedAt.Before != nil && at >= *in.CreatedAt.Before ||
			in.CreatedAt.After != nil && at <= *in.CreatedAt.After {
			continue
		}
		o := object{
			"serviceDeploymentArn": r.arn, "serviceArn": s.arn, "clusterArn": d.clusterARN(s.key.cluster),
			"targetServiceRevisionArn": r.target, "status": r.status,
		}
		r.times(o)
		briefs = append(briefs, o)
	}
	return page(in.paging, object{}, "serviceDeployments", briefs, 20)
}

// times sets what a brief and a full description share.
func (r *serviceDeployment) times(o object) {
	setTime(o, "createdAt", r.created)
	setTime(o, "startedAt", r.started)
	setTime(o, "finishedAt", r.finished)
	if r.reason != "" {
		o["statusReason"] = r.reason
	}
}

// serviceByARN finds the service that a service deployment's or revision's
// ARN belongs to: …:KIND/cluster/service/id.
func serviceByARN(w *world, kind, arn string) *service {
	_, rest, ok := strings.Cut(arn, ":"+kind+"/")
	parts := strings.Split(rest, "/")
	if !ok || len(parts) != 3 {
		return nil
	}
	return w.services[serviceKey{parts[0], parts[1]}]
}

func describeServiceDeployments(d *Double, c call) (object, error) {
	in, err := read[struct {
		ARNs []string `json:"serviceDeploymentArns"`
	}](c)
	if err != nil {
		return nil, err
	}
	if len(in.ARNs) == 0 || len(in.ARNs) > 20 {
		return nil, invalid("serviceDeploymentArns must have between 1 and 20 items.")
	}
	found, failures := []object{}, []object{}
	for _, arn := range in.ARNs {
		if !strings.HasPrefix(arn, "arn:") {
			return nil, invalid("Invalid ARN: %s", arn)
		}
		s := serviceByARN(c.view, "service-deployment", arn)
		if s == nil || s.record(arn) == nil {
			failures = append(failures, missing(arn))
			continue
		}
		found = append(found, d.showServiceDeployment(c.view, s, s.record(arn)))
	}
	return object{"serviceDeployments": found, "failures": failures}, nil
}

func (d *Double) showServiceDeployment(w *world, s *service, r *serviceDeployment) object {
	sources := []object{}
	for _, arn := range r.sources {
		shown := d.showRevisionCounts(w, s, arn, false)
		if r.shifts() {
			weights(shown, 0, 0)
			if serving := s.deployment(s.serving); serving != nil && serving.revision == arn {
				weights(shown, wholeProduction-r.weight, wholeProduction-r.testWeight)
			}
		}
		sources = append(sources, shown)
	}
	o := object{
		"serviceDeploymentArn": r.arn, "serviceArn": s.arn, "clusterArn": d.clusterARN(s.key.cluster),
		"status": r.status, "sourceServiceRevisions": sources,
		"targetServiceRevision":   d.showRevisionCounts(w, s, r.target, r.ongoing() || r.status == "SUCCESSFUL"),
		"deploymentConfiguration": r.config,
		"alarms":                  r.showAlarms(),
		"deploymentCircuitBreaker": object{
			"status": r.breakerStatus, "failureCount": r.failures, "threshold": r.threshold,
		},
	}
	if r.shifts() {
		weights(o["targetServiceRevision"].(object), r.weight, r.testWeight)
		o["lifecycleHookDetails"] = showHooks(r.hooks)
	}
	switch r.stage {
	case "":
	case stagePreShift:
		o["lifecycleStage"] = stageShift
	default:
		o["lifecycleStage"] = r.stage
	}
	r.times(o)
	setTime(o, "stoppedAt", r.stopped)
	setTime(o, "updatedAt", r.updated)
	if !r.rollbackStarted.IsZero() {
		back := object{"startedAt": epoch(r.rollbackStarted), "reason": r.rollbackReason}
		if r.rollbackRevision != "" {
			back["serviceRevisionArn"] = r.rollbackRevision
		}
		o["rollback"] = back
	}
	return o
}

// weights sets the traffic that a revision gets, in percent.
func weights(o object, production, test float64) {
	o["requestedProductionTrafficWeight"], o["requestedTestTrafficWeight"] = production, test
}

// showRevisionCounts tells how many tasks of a revision are wanted and run.
// all: the service wants its whole count of them.
func (d *Double) showRevisionCounts(w *world, s *service, arn string, all bool) object {
	wanted, running, pending := 0, 0, 0
	for _, t := range w.tasksOf(s, "") {
		if t.revision != arn {
			continue
		}
		r, n := t.counts()
		running, pending = running+r, pending+n
		if t.wanted != "STOPPED" {
			wanted++
		}
	}
	if all {
		wanted = s.desired
	}
	return object{"arn": arn, "requestedTaskCount": wanted, "runningTaskCount": running, "pendingTaskCount": pending}
}

func stopServiceDeployment(d *Double, c call) (object, error) {
	in, err := read[struct {
		ARN  string `json:"serviceDeploymentArn"`
		Type string `json:"stopType"`
	}](c)
	if err != nil {
		return nil, err
	}
	if in.Type != "" && in.Type != "ROLLBACK" {
		return nil, invalid("Invalid stopType %s: the valid value is ROLLBACK.", in.Type)
	}
	s := serviceByARN(d.world, "service-deployment", in.ARN)
	if s == nil || s.record(in.ARN) == nil {
		return nil, refuse("ServiceDeploymentNotFoundException", "Service deployment not found.")
	}
	r := s.record(in.ARN)
	switch {
	case !r.ongoing():
		return nil, &apiError{status: 400, kind: "ConflictException", resources: []string{r.arn},
			message: "The service deployment is in the " + r.status + " state and cannot be stopped."}
	case r.status == "PENDING" || r.status == "IN_PROGRESS":
		r.rollbackReason = "Service deployment rolled back because a user requested it."
		r.rollbackStarted = time.Now()
		r.move("ROLLBACK_REQUESTED", r.rollbackReason)
		d.wake(s)
	}
	return object{"serviceDeploymentArn": r.arn}, nil
}
