package cli

import (
	"context"

	"github.com/fastship/fastship/cmd/internal/spec"
	"github.com/spf13/cobra"
)

func newSchema(env Env) *cobra.Command {
	return &cobra.Command{
		Use:   "schema",
		Short: "Print the JSON schema of fastship.yaml",
		Args:  cobra.NoArgs,
		RunE: verb(func(context.Context, []string) error {
			_, err := env.Stdout.Write(spec.Schema())
			return err
		}),
	}
}
