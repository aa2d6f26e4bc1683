package cli

import (
	"maps"
	"path/filepath"
	"slices"

	"github.com/fastship/fastship/cmd/internal/spec"
	"github.com/spf13/cobra"
)

// envFlag adds --env, whose completions are the environments of the
// fastship.yaml in the folder that the arguments name.
func envFlag(cmd *cobra.Command, into *string) {
	cmd.Flags().StringVar(into, "env", "", "the environment of fastship.yaml (envs) to work on")
	_ = cmd.RegisterFlagCompletionFunc("env", func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) { // fails only for an unknown flag
		dir := "."
		if len(args) > 0 {
			dir = args[0]
		}
		s, err := spec.Load(filepath.Join(dir, "fastship.yaml"), func(string) (string, bool) { return "x", true })
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return slices.Sorted(maps.Keys(s.Envs)), cobra.ShellCompDirectiveNoFileComp
	})
}
