package maven

import (
	"regexp"
	"slices"

	"github.com/fastship/fastship/stages/internal/mvn"
)

// demand is Maven's own check of a plug-in's prerequisites
// (PluginIncompatibleException, and 3.6's wording of it).
var demand = regexp.MustCompile(`[Tt]he plugin (\S+) requires Maven version (\S+?)[.;,]?(?:\s|$)`)

// onPlugin marks a rule that a plug-in's prerequisites make. Only a Maven that
// does not meet it tells of it.
const onPlugin = "plugin"

// demands are what plug-ins want of Maven, of which it dies.
func (a *attempt) demands() []mvn.RuleEvent {
	var all []mvn.RuleEvent
	for _, chain := range append(a.failures(), a.report.Errors...) {
		for _, message := range chain {
			if m := demand.FindStringSubmatch(message); m != nil {
				e := mvn.RuleEvent{On: onPlugin, Version: m[2], From: m[1]}
				if !slices.Contains(all, e) {
					all = append(all, e)
				}
			}
		}
	}
	return all
}

func (a *attempt) failures() []mvn.Chain {
	var all []mvn.Chain
	for _, m := range a.report.Mojos {
		if len(m.Error) > 0 {
			all = append(all, m.Error)
		}
	}
	return all
}

// lost tells whether Maven is to be started anew: the spy ended it, or it died
// of its age before any work and another one can be had.
func (j *job) lost(a *attempt) bool {
	if a.report.Unfit {
		return true
	}
	began := slices.ContainsFunc(a.report.Mojos, func(m mvn.MojoEvent) bool { return m.State == "MojoStarted" })
	if a.exit.Code == 0 || began || len(a.demands()) == 0 || j.pinned || j.launcher.Wrapper {
		return false
	}
	fit := j.launcher.Fitting(mvn.RequiredBy(j.asks.Rules).Maven, false)
	return fit.Provided && fit.Version != j.launcher.Version
}
