package road

import (
	"fmt"
	"strings"
)

// Summary says in one line what came out of a run that went well.
func (r Result) Summary(dryRun bool) string {
	if dryRun {
		return "dry run: nothing was written"
	}
	var parts []string
	switch {
	case r.Image != nil && r.Image.Reference != "":
		parts = append(parts, r.Image.Reference)
	case r.Image != nil:
		parts = append(parts, "image "+r.Image.Digest+" in .fastship/image")
	case r.Jar != nil:
		parts = append(parts, r.Jar.Path)
	}
	if r.Rollout != nil {
		parts = append(parts, "rollout "+strings.ToLower(r.Rollout.Outcome))
	}
	if r.Sandbox != nil {
		parts = append(parts, fmt.Sprintf("HTTP %d from %s", r.Sandbox.Status, r.Sandbox.URL))
	}
	return strings.Join(parts, ", ")
}
