package ecstest

import (
	"encoding/json"
	"slices"
	"time"
)

// HookResult is how a Lambda function of a lifecycle hook ends.
type HookResult struct {
	After time.Duration // from the stage's begin
	Fail  bool
}

// hookSetting is one of deploymentConfiguration's lifecycleHooks.
type hookSetting struct {
	Target  string   `json:"hookTargetArn"`
	Role    string   `json:"roleArn"`
	Type    string   `json:"targetType"`
	Stages  []string `json:"lifecycleStages"`
	Timeout struct {
		Minutes *int   `json:"timeoutInMinutes"`
		Action  string `json:"action"`
	} `json:"timeoutConfiguration"`
}

// check holds the rules of the service model's documentation.
func (h hookSetting) check() error {
	stages := []string{stageReconcile, stagePreScale, stagePostScale, stageTest, stagePostTest, stagePreShift, stageShift, stagePostShift}
	pause := h.Type == "PAUSE"
	switch {
	case h.Type != "" && h.Type != "PAUSE" && h.Type != "AWS_LAMBDA":
		return invalid("Invalid targetType %s for a lifecycle hook.", h.Type)
	case !pause && (h.Target == "" || h.Role == ""):
		return invalid("hookTargetArn and roleArn must be specified for a lifecycle hook.")
	case len(h.Stages) == 0:
		return invalid("lifecycleStages must be specified for a lifecycle hook.")
	}
	for _, stage := range h.Stages {
		if !slices.Contains(stages, stage) || pause && (stage == stageTest || stage == stageShift) {
			return invalid("Invalid lifecycle stage %s for a lifecycle hook.", stage)
		}
	}
	if m := h.Timeout.Minutes; m != nil && (*m < 1 || *m > 20160) {
		return invalid("timeoutInMinutes must be between 1 and 20160.")
	}
	return nil
}

// hook is a hook at work.
type hook struct {
	id, target, kind, status, action string
	expires, ends                    time.Time // ends: of a function
	fail                             bool
}

// startHooks begins those of the present stage.
func (d *Double) startHooks(s *service, r *serviceDeployment) {
	r.hooks = nil
	for _, h := range s.settings.hooks {
		if !slices.Contains(h.Stages, r.stage) {
			continue
		}
		k := &hook{
			id: d.uuid(), target: h.Target, kind: orString(h.Type, "AWS_LAMBDA"), action: orString(h.Timeout.Action, "ROLLBACK"),
			expires: time.Now().Add(time.Duration(orInt(h.Timeout.Minutes, 1440)) * time.Minute),
		}
		k.status = "AWAITING_ACTION"
		if k.kind == "AWS_LAMBDA" {
			result := HookResult{After: time.Second}
			if d.hook != nil {
				result = d.hook(r.stage, h.Target)
			}
			k.status, k.ends, k.fail = "IN_PROGRESS", time.Now().Add(result.After), result.Fail
		}
		r.hooks = append(r.hooks, k)
	}
}

// runHooks moves them on and tells whether all are through.
func (d *Double) runHooks(s *service, r *serviceDeployment) bool {
	through := true
	for _, h := range r.hooks {
		now := time.Now()
		switch {
		case h.status != "IN_PROGRESS" && h.status != "AWAITING_ACTION":
			continue
		case h.status == "IN_PROGRESS" && !now.Before(h.ends) && h.fail:
			h.status = "FAILED"
			d.hookBack(s, r, "Service deployment rolled back because lifecycle hook "+h.target+" failed at "+r.stage+".")
			return false
		case h.status == "IN_PROGRESS" && !now.Before(h.ends):
			h.status = "SUCCEEDED"
			continue
		case !now.Before(h.expires):
			h.status = "TIMED_OUT"
			if h.action == "ROLLBACK" {
				d.hookBack(s, r, "Service deployment rolled back because lifecycle hook "+h.id+" timed out at "+r.stage+".")
				return false
			}
			continue
		}
		through = false
		next := h.expires
		if h.status == "IN_PROGRESS" && h.ends.Before(next) {
			next = h.ends
		}
		d.after(time.Until(next), func() { d.wake(s) })
	}
	return through
}

func (d *Double) hookBack(s *service, r *serviceDeployment, reason string) {
	r.rollbackReason, r.rollbackStarted = reason, time.Now()
	r.move("ROLLBACK_REQUESTED", reason)
	d.wake(s)
}

func showHooks(hooks []*hook) []object {
	shown := []object{}
	for _, h := range hooks {
		o := object{"hookId": h.id, "status": h.status, "targetType": h.kind, "timeoutAction": h.action, "expiresAt": epoch(h.expires)}
		if h.target != "" {
			o["targetArn"] = h.target
		}
		shown = append(shown, o)
	}
	return shown
}

func continueServiceDeployment(d *Double, c call) (object, error) {
	in, err := read[struct {
		ARN    string `json:"serviceDeploymentArn"`
		Hook   string `json:"hookId"`
		Action string `json:"action"`
	}](c)
	if err != nil {
		return nil, err
	}
	if in.Action != "" && in.Action != "CONTINUE" && in.Action != "ROLLBACK" {
		return nil, invalid("Invalid action %s.", in.Action)
	}
	s := serviceByARN(d.world, "service-deployment", in.ARN)
	if s == nil || s.record(in.ARN) == nil {
		return nil, refuse("ServiceDeploymentNotFoundException", "Service deployment not found.")
	}
	r := s.record(in.ARN)
	i := slices.IndexFunc(r.hooks, func(h *hook) bool { return h.id == in.Hook && h.status == "AWAITING_ACTION" })
	if i < 0 || r.status != "IN_PROGRESS" {
		return nil, invalid("There is no paused lifecycle hook %s.", in.Hook)
	}
	r.hooks[i].status = "SUCCEEDED"
	if in.Action == "ROLLBACK" {
		d.hookBack(s, r, "Service deployment rolled back because a user requested it.")
	}
	d.wake(s)
	return object{"serviceDeploymentArn": r.arn}, nil
}

// parseShift reads how traffic moves, and the hooks, out of a
// deploymentConfiguration.
func parseShift(strategy string, raw json.RawMessage) (shiftPlan, []hookSetting, error) {
	var in struct {
		Hooks  []hookSetting `json:"lifecycleHooks"`
		Linear *struct {
			Percent *float64 `json:"stepPercent"`
			Bake    *int     `json:"stepBakeTimeInMinutes"`
		} `json:"linearConfiguration"`
		Canary *struct {
			Percent *float64 `json:"canaryPercent"`
			Bake    *int     `json:"canaryBakeTimeInMinutes"`
		} `json:"canaryConfiguration"`
	}
	if raw != nil {
		if err := json.Unmarshal(raw, &in); err != nil {
			return shiftPlan{}, nil, refuse("SerializationException", "deploymentConfiguration: %v", err)
		}
	}
	for _, h := range in.Hooks {
		if err := h.check(); err != nil {
			return shiftPlan{}, nil, err
		}
	}
	percent := func(v *float64, otherwise, least float64) (float64, error) {
		if v == nil {
			return otherwise, nil
		}
		if *v < least || *v > 100 {
			return 0, invalid("The percentage of a traffic shift must be between %.1f and 100.0.", least)
		}
		return *v, nil
	}
	plan := shiftPlan{step: wholeProduction}
	var err error
	switch {
	case strategy == "LINEAR" && in.Linear != nil:
		plan.step, err = percent(in.Linear.Percent, 10, 3)
		plan.bake = time.Duration(orInt(in.Linear.Bake, 6)) * time.Minute
	case strategy == "LINEAR":
		plan = shiftPlan{step: 10, bake: 6 * time.Minute}
	case strategy == "CANARY" && in.Canary != nil:
		plan.first, err = percent(in.Canary.Percent, 5, 0.1)
		plan.bake = time.Duration(orInt(in.Canary.Bake, 10)) * time.Minute
	case strategy == "CANARY":
		plan.first, plan.bake = 5, 10*time.Minute
	}
	return plan, in.Hooks, err
}
