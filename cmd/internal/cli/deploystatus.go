package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/fastship/fastship/cmd/internal/road"
	"github.com/fastship/fastship/deploy"
	"github.com/fastship/fastship/stages/rollout"
	"github.com/spf13/cobra"
)

func newDeployStatus(env Env) *cobra.Command {
	var f deployFlags
	cmd := &cobra.Command{
		Use:   "status [DIR]",
		Short: "Tell what the service runs, what goes on, and how its last rollouts ended",
		Args:  cobra.MaximumNArgs(1),
		RunE: verb(func(ctx context.Context, args []string) error {
			steps, _, err := f.steps(env, args)
			if err != nil {
				return err
			}
			for i, step := range steps {
				s, err := step.Status(ctx)
				if err != nil {
					return err
				}
				if f.json {
					err = json.NewEncoder(env.Stdout).Encode(shownStatus(s))
				} else {
					_, err = fmt.Fprint(env.Stdout, gap(i)+statusText(s, time.Now()))
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
	return cmd
}

// gap is what stands between the texts of several services.
func gap(i int) string {
	if i == 0 {
		return ""
	}
	return "\n"
}

func newDeployDiff(env Env) *cobra.Command {
	var f deployFlags
	var image string
	cmd := &cobra.Command{
		Use:   "diff [DIR]",
		Short: "Show what a rollout would change, by reads only",
		Long: `Shows the steps of a rollout and, by lines, the change of the task definition.
The image is the one that the last run pushed, or --image.`,
		Args: cobra.MaximumNArgs(1),
		RunE: verb(func(ctx context.Context, args []string) error {
			all, dir, err := f.steps(env, args)
			if err != nil {
				return err
			}
			if image == "" {
				if image, err = road.LastImage(dir, f.env); err != nil {
					return err
				}
			}
			for i, step := range all {
				steps, definition, err := step.Diff(ctx, image)
				if err != nil {
					return err
				}
				text := gap(i) + strings.Join(steps, "\n") + "\n"
				if len(definition) > 0 {
					text += "\n" + strings.Join(definition, "\n") + "\n"
				}
				if _, err = fmt.Fprint(env.Stdout, text); err != nil {
					return err
				}
			}
			return nil
		}),
	}
	f.add(cmd, false)
	cmd.Flags().StringVar(&image, "image", "", "the image to compare with: repository@sha256:…")
	return cmd
}

// statusText is a status for a person.
func statusText(s deploy.Status, now time.Time) string {
	var b strings.Builder
	line := func(name, format string, args ...any) {
		fmt.Fprintf(&b, "%-9s %s\n", name, fmt.Sprintf(format, args...))
	}
	state := "not steady"
	if s.Steady() {
		state = "steady"
	}
	line("service", "%s in cluster %s: %s, %s", s.Service.Name, deploy.ShortName(s.Service.Cluster), s.Service.Status, state)
	line("image", "%s", s.Image)
	for _, d := range s.Service.Deployments {
		words := fmt.Sprintf("%s %s: %d of %d tasks run, %d pending", strings.ToLower(d.Status), deploy.ShortName(d.TaskDefinition), d.Running, d.Desired, d.Pending)
		if d.Failed > 0 {
			words += fmt.Sprintf(", %d failed", d.Failed)
		}
		if d.RolloutState != "" && d.RolloutState != "COMPLETED" {
			words += ", " + strings.ToLower(strings.ReplaceAll(d.RolloutState, "_", " "))
		}
		line("runs", "%s", words)
	}
	line("tasks", "%s", rollout.TaskWords(s.Tasks))
	for _, d := range s.History {
		words := fmt.Sprintf("%s %s, begun %s", deploy.ShortName(d.TaskDefinition), strings.ToLower(strings.ReplaceAll(d.Status, "_", " ")), deploy.Ago(now, d.Created))
		if !d.Finished.IsZero() {
			words += fmt.Sprintf(", took %s", d.Finished.Sub(d.Created).Round(time.Second))
		}
		if d.Reason != "" {
			words += ": " + d.Reason
		}
		line("rollout", "%s", words)
	}
	if s.Blind != "" {
		line("rollout", "not known: %s", s.Blind)
	}
	return b.String()
}

// shownStatus is the form of --json.
func shownStatus(s deploy.Status) any {
	type past struct {
		TaskDefinition string     `json:"taskDefinition,omitempty"`
		Status         string     `json:"status"`
		Reason         string     `json:"reason,omitempty"`
		Created        time.Time  `json:"created"`
		Finished       *time.Time `json:"finished,omitempty"`
	}
	type running struct {
		ID             string `json:"id"`
		Status         string `json:"status"`
		TaskDefinition string `json:"taskDefinition"`
		Desired        int    `json:"desired"`
		Running        int    `json:"running"`
		Pending        int    `json:"pending"`
		Failed         int    `json:"failed"`
		RolloutState   string `json:"rolloutState,omitempty"`
	}
	out := struct {
		Service     string    `json:"service"` // ARN
		Status      string    `json:"status"`
		Steady      bool      `json:"steady"`
		Desired     int       `json:"desired"`
		Deployments []running `json:"deployments"`
		Rollouts    []past    `json:"rollouts"` // newest first
	}{s.Service.ARN, s.Service.Status, s.Steady(), s.Service.Desired, []running{}, []past{}}
	for _, d := range s.Service.Deployments {
		out.Deployments = append(out.Deployments, running{d.ID, d.Status, d.TaskDefinition, d.Desired, d.Running, d.Pending, d.Failed, d.RolloutState})
	}
	for _, d := range s.History {
		p := past{TaskDefinition: d.TaskDefinition, Status: d.Status, Reason: d.Reason, Created: d.Created}
		if !d.Finished.IsZero() {
			p.Finished = &d.Finished
		}
		out.Rollouts = append(out.Rollouts, p)
	}
	return out
}
