package cli

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/fastship/fastship/cmd/internal/road"
	"github.com/spf13/cobra"
)

func newCache(env Env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "cache",
		Short: "Look after what builds remember between runs",
		Long: `Looks after this machine's cache, as the project in DIR (default: this folder)
uses it: trusted builds share one, each pull request has its own.

` + exitTable(),
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() }, // without it cobra takes any verb
	}
	cmd.AddCommand(newCacheStatus(env), newCacheVerify(env))
	return cmd
}

func newCacheStatus(env Env) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "status [DIR]",
		Short: "Tell where the cache lies, and how much is in it",
		Args:  cobra.MaximumNArgs(1),
		RunE: verb(func(ctx context.Context, args []string) error {
			opt, err := env.cacheOptions(args)
			if err != nil {
				return err
			}
			s, err := road.ReadCacheStatus(ctx, opt)
			if err != nil {
				return err
			}
			if asJSON {
				return json.NewEncoder(env.Stdout).Encode(s)
			}
			text := fmt.Sprintf("scope     %s\nfolder    %s\n", s.Scope, s.Dir)
			for _, k := range s.Folders {
				text += fmt.Sprintf("%-9s %d files, %s\n", k.Kind, k.Files, megabytes(k.Bytes))
			}
			_, err = fmt.Fprintf(env.Stdout, "%stotal     %s of at most %s\n", text, megabytes(s.Bytes), megabytes(s.Cap))
			return err
		}),
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return cmd
}

func newCacheVerify(env Env) *cobra.Command {
	var asJSON, dryRun bool
	cmd := &cobra.Command{
		Use:   "verify [DIR]",
		Short: "Read every blob, and drop those whose bytes are wrong",
		Args:  cobra.MaximumNArgs(1),
		RunE: verb(func(ctx context.Context, args []string) error {
			opt, err := env.cacheOptions(args)
			if err != nil {
				return err
			}
			opt.DryRun = dryRun
			v, err := road.VerifyCache(ctx, opt)
			if err != nil {
				return err
			}
			if asJSON {
				return json.NewEncoder(env.Stdout).Encode(v)
			}
			verdict := "dropped"
			if dryRun {
				verdict = "bad"
			}
			text := ""
			for _, d := range v.Bad {
				text += fmt.Sprintf("%s %s\n", verdict, d)
			}
			_, err = fmt.Fprintf(env.Stdout, "%sread %d blobs, %s; %d %s\n", text, v.Blobs, megabytes(v.Bytes), len(v.Bad), verdict)
			return err
		}),
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "tell what is bad, drop nothing")
	return cmd
}

// cacheOptions are what tells whose cache a project's builds use.
func (e Env) cacheOptions(args []string) (road.Options, error) {
	dir := "."
	if len(args) == 1 {
		dir = args[0]
	}
	return e.project(dir)
}

// megabytes is a size in powers of ten, as disks are sold.
func megabytes(n int64) string { return fmt.Sprintf("%.1f MB", float64(n)/1e6) }
