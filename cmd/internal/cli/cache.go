package cli

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"

	"github.com/fastship/fastship/cmd/internal/road"
	"github.com/fastship/fastship/internal/fault"
	"github.com/fastship/fastship/internal/redact"
	"github.com/fastship/fastship/runner"
	"github.com/fastship/fastship/stages/maven"
	"github.com/spf13/cobra"
)

func newCache(env Env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "cache",
		Short: "Look after what builds remember between runs",
		Long: `Looks after the cache of the project in DIR (default: this folder): on this
machine, and in the bucket that cache.store or FASTSHIP_CACHE_STORE names.
Trusted builds share one scope of it, each pull request has its own.

restore and save are for builds that run Maven by themselves; fastship run does
both by itself.

` + exitTable(),
	}
	return group(cmd, newCacheStatus(env), newCacheRestore(env), newCacheSave(env), newCacheVerify(env), newCacheGC(env))
}

// cacheVerb is a verb of cache: run tells what it did as text, or, with
// --json, as one object.
func cacheVerb(env Env, use, short, long string, dryRun bool, run func(ctx context.Context, opt road.Options, warn func(error)) (result any, text string, err error)) *cobra.Command {
	var asJSON, dry bool
	cmd := &cobra.Command{
		Use: use + " [DIR]", Short: short, Long: long, Args: cobra.MaximumNArgs(1),
		RunE: verb(func(ctx context.Context, args []string) error {
			opt, err := env.project(append(args, ".")[0])
			if err != nil {
				return err
			}
			masks := redact.New(redact.FromEnv(env.Environ)...)
			opt.DryRun, opt.Secret = dry, masks.Add
			result, text, err := run(ctx, opt, func(err error) { fmt.Fprintf(env.Stderr, "warning: %s\n", masks.String(err.Error())) })
			if err != nil {
				return err
			}
			if asJSON {
				return json.NewEncoder(env.Stdout).Encode(result)
			}
			_, err = fmt.Fprint(env.Stdout, masks.String(text))
			return err
		}),
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	if dryRun {
		cmd.Flags().BoolVar(&dry, "dry-run", false, "tell what would go, remove nothing")
	}
	return cmd
}

func newCacheStatus(env Env) *cobra.Command {
	return cacheVerb(env, "status", "Tell where the cache lies, and how much is in it", "", false,
		func(ctx context.Context, opt road.Options, warn func(error)) (any, string, error) {
			s, err := road.ReadCacheStatus(ctx, opt, warn)
			text := fmt.Sprintf("scope     %s\nfolder    %s\n", s.Scope, s.Dir)
			for _, k := range s.Folders {
				text += fmt.Sprintf("%-9s %d files, %s\n", k.Kind, k.Files, megabytes(k.Bytes))
			}
			text += fmt.Sprintf("total     %s of at most %s\n", megabytes(s.Bytes), megabytes(s.Cap))
			if s.Store != "" {
				text += fmt.Sprintf("store     %s\n", s.Store)
				for _, k := range s.Remote {
					text += fmt.Sprintf("%-9s %d", k.Kind, k.Files)
					if k.Bytes > 0 {
						text += ", " + megabytes(k.Bytes)
					}
					text += "\n"
				}
			}
			for _, t := range s.Trees {
				text += fmt.Sprintf("tree      %s: %s\n", treeName(t.Name), cmp.Or(t.Fault, fmt.Sprintf("%d files, %s, saved %s", t.Files, megabytes(t.Bytes), t.Modified.UTC().Format("2006-01-02 15:04"))))
			}
			return s, text, err
		})
}

// treeName is a pointer's name as people say it: maven/1/REMOTES/PROJECT/BRANCH/KIND.
func treeName(pointer string) string {
	parts := strings.Split(pointer, "/")
	if len(parts) != 6 || parts[0] != "maven" {
		return pointer
	}
	for i := range parts {
		if plain, err := url.PathUnescape(parts[i]); err == nil {
			parts[i] = plain
		}
	}
	if parts[4] == "@" {
		parts[4] = "no branch"
	}
	return fmt.Sprintf("%s of %s, %s", parts[5], parts[3], parts[4])
}

func newCacheRestore(env Env) *cobra.Command {
	var to string
	cmd := cacheVerb(env, "restore", "Fill Maven's local repository with what is kept for the project",
		`Fills the local repository that a plain mvn would use here, or the folder of
--to. Files that are there already stay as they are.`, false,
		func(ctx context.Context, opt road.Options, warn func(error)) (any, string, error) {
			folder, err := absoluteFolder(to)
			if err != nil {
				return nil, "", err
			}
			done, err := road.RestoreRepository(ctx, opt, folder, warnings(warn))
			return done, restoredText(done), err
		})
	cmd.Flags().StringVar(&to, "to", "", "the repository's folder")
	return cmd
}

func restoredText(t maven.Transferred) string {
	if t.Branch == "" {
		return "nothing is kept for this project yet\n"
	}
	text := fmt.Sprintf("restored %d files, %s, into %s; %d were there", t.Files, megabytes(t.Bytes), t.Repository, t.Present)
	if t.Missing > 0 {
		text += fmt.Sprintf("; %d are missing, Maven will download them", t.Missing)
	}
	return text + "\n"
}

func newCacheSave(env Env) *cobra.Command {
	var from string
	cmd := cacheVerb(env, "save", "Keep what Maven downloaded into its local repository",
		`Keeps the local repository that a plain mvn uses here, or the folder of --from,
for the project and its branch: what came from remote repositories, checked
against its checksums. Only what is not kept already is sent.`, false,
		func(ctx context.Context, opt road.Options, warn func(error)) (any, string, error) {
			folder, err := absoluteFolder(from)
			if err != nil {
				return nil, "", err
			}
			done, err := road.SaveRepository(ctx, opt, folder, warnings(warn))
			return done, fmt.Sprintf("saved %d files of %s, %s; %d were kept already\n", done.Files, done.Repository, megabytes(done.Bytes), done.Present), err
		})
	cmd.Flags().StringVar(&from, "from", "", "the repository's folder")
	return cmd
}

// absoluteFolder is a flag's folder; empty stays empty.
func absoluteFolder(folder string) (string, error) {
	if folder == "" {
		return "", nil
	}
	absolute, err := filepath.Abs(folder)
	if err != nil {
		return "", fault.As(fault.BadInput, err)
	}
	return absolute, nil
}

// warnings passes the warnings among events on.
func warnings(warn func(error)) func(runner.Event) {
	return func(e runner.Event) {
		if w, ok := e.Body.(runner.Warning); ok {
			warn(fmt.Errorf("%s", w.Text))
		}
	}
}

func newCacheVerify(env Env) *cobra.Command {
	return cacheVerb(env, "verify", "Read all that is kept, and drop what is damaged", "", true,
		func(ctx context.Context, opt road.Options, warn func(error)) (any, string, error) {
			all, err := road.VerifyCache(ctx, opt, warn)
			verdict := "dropped"
			if opt.DryRun {
				verdict = "bad"
			}
			text := ""
			for _, v := range all {
				text += fmt.Sprintf("%s: read %d blobs, %s, %d pointers, %d actions; %s: %d blobs, %d pointers, %d actions\n",
					v.Place, v.Blobs, megabytes(v.Bytes), v.Pointers, v.Actions, verdict, v.BadBlobs, v.BadPointers, v.BadActions)
			}
			return all, text, err
		})
}

func newCacheGC(env Env) *cobra.Command {
	return cacheVerb(env, "gc", "Remove what nothing refers to any more",
		`Removes trees that were not saved to for 60 days, finished work that was not
used for 30 days, and blobs that nothing refers to and that are older than 24
hours. It is safe beside running builds.`, true,
		func(ctx context.Context, opt road.Options, warn func(error)) (any, string, error) {
			all, err := road.CollectCache(ctx, opt, warn)
			verdict := "removed"
			if opt.DryRun {
				verdict = "would remove"
			}
			text := ""
			for _, c := range all {
				text += fmt.Sprintf("%s: %s %d blobs, %s, %d trees, %d actions; %d blobs stay\n", c.Place, verdict, c.Blobs, megabytes(c.Bytes), c.Pointers, c.Actions, c.Kept)
				if c.Broken > 0 {
					text += fmt.Sprintf("%s: %d trees cannot be read; fastship cache verify mends them\n", c.Place, c.Broken)
				}
			}
			return all, text, err
		})
}

// megabytes is a size in powers of ten, as disks are sold.
func megabytes(n int64) string { return fmt.Sprintf("%.1f MB", float64(n)/1e6) }
