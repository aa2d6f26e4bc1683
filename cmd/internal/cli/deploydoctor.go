package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/fastship/fastship/deploy"
	"github.com/fastship/fastship/internal/fault"
	"github.com/spf13/cobra"
)

func newDeployDoctor(env Env) *cobra.Command {
	var f deployFlags
	var fix bool
	cmd := &cobra.Command{
		Use:   "doctor [DIR]",
		Short: "Tell where the time of a rollout goes, and what would save some",
		Long: `Reads the service, its target groups, its task definition, the times that ECS
noted of its last good rollout, and what fastship recorded of earlier ones. Prints where the seconds went, each change that
would save some with the seconds that it saves for this service, the largest
first, and what is risky. It changes nothing; --fix prints commands of the AWS
CLI to run.`,
		Args: cobra.MaximumNArgs(1),
		RunE: verb(func(ctx context.Context, args []string) error {
			if fix && f.json {
				return fault.New(fault.BadInput, "leave one of them out", "--fix and --json do not go together")
			}
			steps, _, err := f.steps(env, args)
			if err != nil {
				return err
			}
			for i, step := range steps {
				r, err := step.Doctor(ctx)
				if err != nil {
					return err
				}
				switch {
				case f.json:
					err = json.NewEncoder(env.Stdout).Encode(shownReport(r))
				case fix:
					_, err = fmt.Fprint(env.Stdout, gap(i)+fixText(r))
				default:
					_, err = fmt.Fprint(env.Stdout, gap(i)+reportText(r))
				}
				if err != nil {
					return err
				}
			}
			return nil
		}),
	}
	f.add(cmd, false)
	cmd.Flags().BoolVar(&f.json, "json", false, "print one JSON object for each service")
	cmd.Flags().BoolVar(&fix, "fix", false, "print commands of the AWS CLI that make the changes")
	return cmd
}

// barWidth is a whole rollout, in columns.
const barWidth = 40

// reportText is a report for a person.
func reportText(r deploy.Report) string {
	var b strings.Builder
	if r.Of == "" {
		b.WriteString("No rollout of this service that ECS remembers went well: no times are known.\n")
	} else {
		fmt.Fprintf(&b, "The last good rollout, of %s, took %s.\n", deploy.ShortName(r.Of), r.Took.Round(time.Second))
	}
	if r.Of != "" && len(r.Phases) == 0 {
		b.WriteString("Its tasks are gone, and with them where the time went: look again after the next one.\n")
	}
	if r.Recalled {
		b.WriteString("Its tasks are gone: these seconds are from fastship's own record of it.\n")
	}
	for _, p := range r.Phases {
		bar := strings.Repeat("█", int(barWidth*p.Took/max(r.Took, 1)))
		fmt.Fprintf(&b, "  %-13s %6.0f s  %s\n", p.Name, p.Took.Seconds(), bar)
	}
	b.WriteString(ownText(r.Own))
	if len(r.Advice) > 0 {
		b.WriteString("\nWhat would save time:\n")
	}
	for _, a := range r.Advice {
		fmt.Fprintf(&b, "  %s  %s\n          %s\n", saving(a), a.Change, a.Why)
	}
	if len(r.Risks) > 0 {
		b.WriteString("\nWhat is risky:\n")
	}
	for _, risk := range r.Risks {
		fmt.Fprintf(&b, "  - %s\n", risk)
	}
	for _, note := range r.Notes {
		fmt.Fprintf(&b, "\nNot read: %s\n", note)
	}
	return b.String()
}

// ownText is what fastship's own records tell; empty without any.
func ownText(o deploy.Own) string {
	if o.Count == 0 {
		return ""
	}
	var b strings.Builder
	fmt.Fprintf(&b, "\nfastship's own records, of the last %s (%d succeeded)", counted(o.Count, "rollout"), o.Succeeded)
	if len(o.Medians) == 0 {
		b.WriteString(", have no times of one that succeeded.\n")
		return b.String()
	}
	b.WriteString("; medians of those that succeeded:\n")
	for _, m := range o.Medians {
		fmt.Fprintf(&b, "  %-13s %6.0f s  of %d\n", m.Name, m.Took.Seconds(), m.Of)
	}
	for _, t := range o.Trends {
		fmt.Fprintf(&b, "  %s takes %.0f s since %s (%s), %.0f s before (%d)%s\n", t.Phase, t.To.Seconds(), t.Since, counted(t.After, "record"), t.From.Seconds(), t.Before, growth(t))
	}
	return b.String()
}

func counted(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// grown is how much larger an image must be to be called so.
const grown = 1.05

// growth says whether the image explains a trend; empty where its sizes are
// not known.
func growth(t deploy.Trend) string {
	const mb = 1e6
	switch from, to := float64(t.FromBytes), float64(t.ToBytes); {
	case from == 0 || to == 0:
		return ""
	case to >= from*grown:
		return fmt.Sprintf(": the image grew from %.0f MB to %.0f MB", from/mb, to/mb)
	default:
		return fmt.Sprintf(": not by the image's size, which was %.0f MB and is %.0f MB", from/mb, to/mb)
	}
}

func saving(a deploy.Advice) string {
	sign := " "
	if a.AtMost {
		sign = "≤"
	}
	return fmt.Sprintf("%s%4.0f s", sign, a.Saves.Seconds())
}

// fixText is a script of those changes that a command can make.
func fixText(r deploy.Report) string {
	var b strings.Builder
	for _, a := range r.Advice {
		fmt.Fprintf(&b, "# saves %s: %s\n", strings.Join(strings.Fields(saving(a)), " "), a.Change)
		if a.Fix != "" {
			b.WriteString(a.Fix + "\n")
		} else {
			b.WriteString("# a change of the application or its task definition\n")
		}
	}
	return b.String()
}

// shownReport is the form of --json; times are seconds.
func shownReport(r deploy.Report) any {
	type phase struct {
		Name    string  `json:"name"`
		Seconds float64 `json:"seconds"`
	}
	type advice struct {
		Change string  `json:"change"`
		Saves  float64 `json:"savesSeconds"`
		AtMost bool    `json:"atMost"`
		Why    string  `json:"why"`
		Fix    string  `json:"fix,omitempty"`
	}
	out := struct {
		Seconds        float64  `json:"seconds"` // of the last good rollout; 0: none is known
		TaskDefinition string   `json:"taskDefinition,omitempty"`
		Phases         []phase  `json:"phases"`
		Recalled       bool     `json:"phasesFromRecords"`
		Records        any      `json:"records"`
		Advice         []advice `json:"advice"`
		Risks          []string `json:"risks"`
		NotRead        []string `json:"notRead"`
	}{r.Took.Seconds(), r.Of, []phase{}, r.Recalled, shownOwn(r.Own), []advice{}, append([]string{}, r.Risks...), append([]string{}, r.Notes...)}
	for _, p := range r.Phases {
		out.Phases = append(out.Phases, phase{p.Name, p.Took.Seconds()})
	}
	for _, a := range r.Advice {
		out.Advice = append(out.Advice, advice{a.Change, a.Saves.Seconds(), a.AtMost, a.Why, a.Fix})
	}
	return out
}

// shownOwn is the same of fastship's own records.
func shownOwn(o deploy.Own) any {
	type shownMedian struct {
		Name    string  `json:"name"`
		Seconds float64 `json:"seconds"`
		Of      int     `json:"of"` // records that know it
	}
	type shownTrend struct {
		Phase     string  `json:"phase"`
		Since     string  `json:"since"` // revision
		From      float64 `json:"fromSeconds"`
		To        float64 `json:"toSeconds"`
		Before    int     `json:"recordsBefore"`
		After     int     `json:"recordsSince"`
		FromBytes int64   `json:"fromImageBytes,omitempty"`
		ToBytes   int64   `json:"toImageBytes,omitempty"`
	}
	out := struct {
		Count     int           `json:"count"`
		Succeeded int           `json:"succeeded"`
		Medians   []shownMedian `json:"medians"`
		Trends    []shownTrend  `json:"trends"`
	}{o.Count, o.Succeeded, []shownMedian{}, []shownTrend{}}
	for _, m := range o.Medians {
		out.Medians = append(out.Medians, shownMedian{m.Name, m.Took.Seconds(), m.Of})
	}
	for _, t := range o.Trends {
		out.Trends = append(out.Trends, shownTrend{t.Phase, t.Since, t.From.Seconds(), t.To.Seconds(), t.Before, t.After, t.FromBytes, t.ToBytes})
	}
	return out
}
