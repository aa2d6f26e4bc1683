package deploy

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Report is what a doctor finds: where the time of a rollout goes, what would
// save some, and what is risky.
type Report struct {
	Took     time.Duration // of the last good rollout; 0: none is known
	Of       string        // ARN of its task definition
	Phases   []Phase       // that Took is made of; empty where the tasks are gone
	Recalled bool          // Phases are those of fastship's own record of it
	Own      Own           // what all such records tell
	Advice   []Advice      // what saves most comes first
	Risks    []string
	Notes    []string // what could not be read
}

// Advice is one change that would save time.
type Advice struct {
	Change string
	Saves  time.Duration // of each rollout of this service
	AtMost bool          // Saves is a bound: how much depends on the application
	Why    string        // from what it follows
	Fix    string        // a command of the AWS CLI; empty where it is a change of the application
}

// The settings that rollouts are advised to have: ECS's own best practices for
// services that answer within a second.
const (
	goodDraining = 5 * time.Second
	goodInterval = 5 * time.Second
	goodHealthy  = 2
	worthwhile   = 3 * time.Second // less is noise
	unchecked    = 40 * time.Second
	stopDefault  = 30 * time.Second
)

// Diagnose turns an exam into a report. It is pure.
func Diagnose(e Exam) Report {
	r := Report{Notes: e.Missing, Own: own(e.Records)}
	m, known := e.measure()
	if known {
		r.Took, r.Of, r.Phases = m.record.Finished.Sub(m.record.Created), m.record.TaskDefinition, m.phases()
		r.Recalled = m.recalled
	}
	if m.whole {
		for _, find := range []func(measured) []Advice{e.draining, e.targetChecks, e.containerChecks, e.waves, e.bakes, e.pulls, e.starts, e.early} {
			r.Advice = append(r.Advice, find(m)...)
		}
	}
	killed, advice := e.killed(m.record.Created)
	r.Advice = append(r.Advice, advice...)
	r.Advice = filter(r.Advice, func(a Advice) bool { return a.Saves >= worthwhile })
	slices.SortStableFunc(r.Advice, func(a, b Advice) int { return int(b.Saves - a.Saves) })
	r.Risks = e.risks(m, killed)
	return r
}

func (e Exam) draining(m measured) (all []Advice) {
	for _, g := range e.Groups {
		if g.Draining <= goodDraining || m.drain < goodDraining {
			continue
		}
		all = append(all, Advice{
			Change: fmt.Sprintf("shorten the deregistration delay of target group %s from %.0f s to %.0f s", groupName(g.ARN), g.Draining.Seconds(), goodDraining.Seconds()),
			Saves:  min(m.drain, g.Draining) - goodDraining,
			Why:    fmt.Sprintf("the old tasks drained for %.0f s; requests that take longer than the delay are cut", m.drain.Seconds()),
			Fix:    fmt.Sprintf("aws elbv2 modify-target-group-attributes --target-group-arn %s --attributes Key=deregistration_delay.timeout_seconds,Value=%.0f", g.ARN, goodDraining.Seconds()),
		})
	}
	return all
}

func (e Exam) targetChecks(m measured) (all []Advice) {
	for _, g := range e.Groups {
		if g.Interval <= goodInterval {
			continue
		}
		saves := min(m.health, g.Interval) - goodInterval
		if whole := g.Interval * time.Duration(g.Healthy); m.health >= whole {
			saves = whole - goodInterval*goodHealthy // the threshold counted
		}
		all = append(all, Advice{
			Change: fmt.Sprintf("check the targets of %s every %.0f s instead of %.0f s, healthy after %d instead of %d", groupName(g.ARN), goodInterval.Seconds(), g.Interval.Seconds(), goodHealthy, g.Healthy),
			Saves:  saves, AtMost: true,
			Why: fmt.Sprintf("a new task was trusted %.0f s after its start, and a check comes every %.0f s only", m.health.Seconds(), g.Interval.Seconds()),
			Fix: fmt.Sprintf("aws elbv2 modify-target-group --target-group-arn %s --health-check-interval-seconds %.0f --health-check-timeout-seconds 4 --healthy-threshold-count %d", g.ARN, goodInterval.Seconds(), goodHealthy),
		})
	}
	return all
}

// check is a container's health check.
type check struct {
	container string
	interval  time.Duration
}

// definitionFacts are what of a definition matters here.
func (e Exam) definitionFacts() (checks []check, untagged []string, stop time.Duration) {
	var d struct {
		Containers []struct {
			Name        string `json:"name"`
			Image       string `json:"image"`
			Essential   *bool  `json:"essential"`
			StopTimeout int    `json:"stopTimeout"`
			HealthCheck *struct {
				Command  []string `json:"command"`
				Interval *int     `json:"interval"`
			} `json:"healthCheck"`
		} `json:"containerDefinitions"`
	}
	_ = json.Unmarshal(e.Definition.Raw, &d) // unreadable: nothing is known of it
	stop = stopDefault
	for _, c := range d.Containers {
		if !strings.Contains(c.Image, "@sha256:") {
			untagged = append(untagged, fmt.Sprintf("%s (%s)", c.Name, c.Image))
		}
		if c.StopTimeout > 0 {
			stop = time.Duration(c.StopTimeout) * time.Second
		}
		h := c.HealthCheck
		if h == nil || len(h.Command) == 0 || h.Command[0] == "NONE" || c.Essential != nil && !*c.Essential {
			continue
		}
		interval := 30 * time.Second // ECS's default
		if h.Interval != nil {
			interval = time.Duration(*h.Interval) * time.Second
		}
		checks = append(checks, check{c.Name, interval})
	}
	return checks, untagged, stop
}

func (e Exam) containerChecks(m measured) (all []Advice) {
	checks, _, _ := e.definitionFacts()
	if len(checks) == 0 && len(e.Service.TargetGroups) == 0 && m.health >= unchecked {
		return []Advice{{
			Change: "give the container a health check (interval 5, and a startPeriod)",
			Saves:  unchecked - 2*goodInterval, AtMost: true,
			Why: fmt.Sprintf("without any check ECS waits %.0f s before it trusts a task", unchecked.Seconds()),
		}}
	}
	for _, c := range checks {
		if c.interval > goodInterval {
			all = append(all, Advice{
				Change: fmt.Sprintf("check container %s every %.0f s instead of %.0f s, with a startPeriod", c.container, goodInterval.Seconds(), c.interval.Seconds()),
				Saves:  min(m.health, c.interval) - goodInterval, AtMost: true,
				Why: fmt.Sprintf("a new task was trusted %.0f s after its start, and a check comes every %.0f s only", m.health.Seconds(), c.interval.Seconds()),
			})
		}
	}
	return all
}

func (e Exam) waves(m measured) []Advice {
	if shifts(e.Service.Strategy) || e.Service.Maximum == 0 || e.Service.Maximum >= 200 && e.Service.Minimum >= 100 {
		return nil
	}
	return []Advice{{
		Change: fmt.Sprintf("let all new tasks start at once: maximumPercent 200 and minimumHealthyPercent 100 instead of %d and %d", e.Service.Maximum, e.Service.Minimum),
		Saves:  m.wait - m.first,
		Why:    fmt.Sprintf("the last task was created %.0f s after the first", (m.wait - m.first).Seconds()),
		Fix:    fmt.Sprintf("aws ecs update-service --cluster %s --service %s --deployment-configuration maximumPercent=200,minimumHealthyPercent=100", ShortName(e.Service.Cluster), e.Service.Name),
	}}
}

func (e Exam) bakes(m measured) []Advice {
	return []Advice{{
		Change: fmt.Sprintf("shorten the bake time, %.0f min in all", e.Service.Bake.Minutes()),
		Saves:  m.bake, AtMost: true,
		Why: "the rollout waits for it after the traffic has moved",
	}}
}

// killed counts old tasks of the last rollout (at most an hour ago) that did
// not end on SIGTERM.
func (e Exam) killed(since time.Time) (count int, advice []Advice) {
	_, _, stop := e.definitionFacts()
	for _, t := range e.Tasks {
		if t.Stopping.Before(since) || t.StopCode != "ServiceSchedulerInitiated" || !strings.HasPrefix(t.StoppedReason, "Scaling activity") {
			continue
		}
		if slices.ContainsFunc(t.Containers, func(c Container) bool { return c.Exit != nil && *c.Exit == 137 }) {
			count++
		}
	}
	if count == 0 {
		return 0, nil
	}
	return count, []Advice{{
		Change: "end on SIGTERM: an entry point in exec form, without a shell in front of the JVM",
		Saves:  stop, AtMost: true,
		Why: fmt.Sprintf("%d of the old tasks were killed %.0f s after SIGTERM (exit code 137)", count, stop.Seconds()),
	}}
}

// risks are what may go wrong, whatever time it takes.
func (e Exam) risks(m measured, killed int) (all []string) {
	s := e.Service
	if !s.Breaker {
		all = append(all, "no deployment circuit breaker and no alarm: only fastship ends a rollout that fails")
	}
	if s.Desired > 0 && s.Maximum > 0 && s.Desired*s.Minimum/100 == 0 && !shifts(s.Strategy) {
		all = append(all, fmt.Sprintf("minimumHealthyPercent is %d: a rollout may stop every task before a new one runs", s.Minimum))
	}
	if _, untagged, _ := e.definitionFacts(); len(untagged) > 0 {
		all = append(all, "images by tag, which can change under a running service: "+strings.Join(untagged, ", "))
	}
	if killed > 0 {
		all = append(all, "old tasks do not end on SIGTERM: requests that they were answering are lost")
	}
	if shells := e.wrapped(); len(shells) > 0 {
		all = append(all, "a shell that swallows SIGTERM stands before the application, which is killed instead of ending: "+strings.Join(shells, ", ")+" (put exec before the command)")
	}
	if words := e.breakerWaits(); words != "" {
		all = append(all, words)
	}
	if up := m.health; m.whole && len(s.TargetGroups) > 0 && s.Grace > 0 && s.Grace < up {
		all = append(all, fmt.Sprintf("the health check grace period is %.0f s, and the last task took %.0f s to be healthy", s.Grace.Seconds(), up.Seconds()))
	}
	if s.Stack != "" {
		all = append(all, fmt.Sprintf("CloudFormation stack %s owns the service: its next update puts its own image back; make the image a parameter of the stack, or leave the task definition to fastship", s.Stack))
	}
	if s.Terraform {
		all = append(all, "Terraform owns the service, by its tags: its next apply puts its own image back; make the image a variable, or lifecycle { ignore_changes = [task_definition] }")
	}
	failed := 0
	for _, d := range e.History {
		if d.ended() && d.Status != "SUCCESSFUL" {
			failed++
		}
	}
	if failed > 0 {
		all = append(all, fmt.Sprintf("%d of the last %d rollouts did not succeed", failed, len(e.History)))
	}
	return all
}

// groupName is the name in targetgroup/NAME/ID.
func groupName(arn string) string {
	parts := strings.Split(arn, "/")
	if len(parts) < 3 {
		return arn
	}
	return parts[len(parts)-2]
}
