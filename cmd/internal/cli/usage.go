package cli

import (
	"errors"

	"github.com/fastship/fastship/internal/fault"
	"github.com/fastship/fastship/internal/near"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// usageFault makes what cobra itself finds wrong with a command line bad
// input; everything that comes from a verb has a class or is a fault of ours.
func usageFault(err error) error {
	if _, ok := errors.AsType[*verbError](err); ok {
		return err
	}
	return fault.As(fault.BadInput, err)
}

// group gives cmd its verbs. Without one it shows its help, and another one is
// an error: cobra alone would take any.
func group(cmd *cobra.Command, verbs ...*cobra.Command) *cobra.Command {
	cmd.AddCommand(verbs...)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return nil
		}
		var names []string
		for _, c := range cmd.Commands() {
			names = append(names, c.Name())
		}
		return fault.New(fault.BadInput, meant(cmd, near.Names(args[0], names, 1), ""), "unknown command %q for %q", args[0], cmd.CommandPath())
	}
	return cmd
}

// flagFault adds the flag that was probably meant.
func flagFault(cmd *cobra.Command, err error) error {
	unknown, ok := errors.AsType[*pflag.NotExistError](err)
	if !ok || unknown.GetSpecifiedShortnames() != "" {
		return err
	}
	var names []string
	cmd.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
	return fault.New(fault.BadInput, meant(cmd, near.Names(unknown.GetSpecifiedName(), names, 1), "--"), "%w", err)
}

// meant is the hint for a misspelt word: the one that was meant, else where
// all are listed.
func meant(cmd *cobra.Command, names []string, dashes string) string {
	if len(names) == 0 {
		return cmd.CommandPath() + " --help lists them"
	}
	return "did you mean " + dashes + names[0] + "?"
}
