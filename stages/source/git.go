package source

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
)

var (
	// errNoWorkTree is a folder that is not in a git work tree.
	errNoWorkTree = errors.New("not in a git work tree")
	// errIgnored is a folder that the work tree around it ignores, such as a
	// project in a home folder that is under git itself.
	errIgnored = errors.New("the folder is ignored by the git work tree around it")
)

// repositoryVars are the variables that point git at another repository than
// the folder's own, as hooks have them set (git rev-parse --local-env-vars,
// without those that carry configuration).
var repositoryVars = []string{
	"GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_OBJECT_DIRECTORY", "GIT_DIR", "GIT_WORK_TREE",
	"GIT_IMPLICIT_WORK_TREE", "GIT_GRAFT_FILE", "GIT_INDEX_FILE", "GIT_NO_REPLACE_OBJECTS",
	"GIT_REPLACE_REF_BASE", "GIT_PREFIX", "GIT_SHALLOW_FILE", "GIT_COMMON_DIR",
	"GIT_LITERAL_PATHSPECS", "GIT_GLOB_PATHSPECS", "GIT_NOGLOB_PATHSPECS", "GIT_ICASE_PATHSPECS",
}

// git runs a git command that writes nothing: no lock is taken, so the index
// is not refreshed, and no file system monitor is started.
func git(ctx context.Context, dir string, stdin []byte, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, "git", append([]string{"-c", "core.fsmonitor=false", "-c", "status.renames=false"}, args...)...)
	cmd.Dir = dir
	cmd.Env = append(slices.DeleteFunc(os.Environ(), func(v string) bool {
		name, _, _ := strings.Cut(v, "=")
		return slices.Contains(repositoryVars, name)
	}), "GIT_OPTIONAL_LOCKS=0", "GIT_TERMINAL_PROMPT=0", "LC_ALL=C", "PWD="+dir)
	if stdin != nil {
		cmd.Stdin = bytes.NewReader(stdin)
	}
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	switch text := stderr.String(); {
	case err == nil:
		return stdout.Bytes(), nil
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case errors.Is(err, exec.ErrNotFound):
		return nil, errors.New("git is not installed")
	case strings.Contains(text, "not a git repository"), strings.Contains(text, "must be run in a work tree"):
		return nil, errNoWorkTree
	case strings.Contains(text, "dubious ownership"):
		return nil, fmt.Errorf("git distrusts %s because another user owns it; to trust it: git config --global --add safe.directory %[1]s", ownedBy(text, dir))
	default:
		line, _, _ := strings.Cut(strings.TrimSpace(text), "\n")
		return stdout.Bytes(), fmt.Errorf("git %s: %w: %s", args[0], err, line)
	}
}

// ownedBy takes the repository's name out of "detected dubious ownership in
// repository at '…'".
func ownedBy(text, dir string) string {
	_, after, ok := strings.Cut(text, "repository at '")
	name, _, closed := strings.Cut(after, "'\n")
	if !ok || !closed {
		return dir
	}
	return name
}

// repositoryAbove finds the nearest folder from dir upwards that has a .git,
// or returns the empty string.
func repositoryAbove(dir string) string {
	for {
		if _, err := os.Lstat(filepath.Join(dir, ".git")); err == nil {
			return dir
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return ""
		}
		dir = parent
	}
}

// listGit lists a folder of a git work tree: tracked files and untracked ones
// that are not ignored, as they are on disk. Ids come from the index where a
// file is as the index has it. Submodules and other repositories inside are
// listed by their own.
func listGit(ctx context.Context, dir string) (*listing, error) {
	if repositoryAbove(dir) == "" {
		return nil, errNoWorkTree // saves starting git for nothing
	}
	l := &listing{git: true}
	var tracked []indexEntry
	var changed *status
	group, groupCtx := errgroup.WithContext(ctx)
	group.Go(func() error { return l.readLayout(groupCtx, dir) })
	group.Go(func() error { return l.readConfig(groupCtx, dir) })
	group.Go(func() (err error) {
		tracked, err = readIndex(groupCtx, dir)
		return err
	})
	group.Go(func() (err error) {
		changed, err = readStatus(groupCtx, dir)
		if err == nil && changed.commit != "" {
			l.time, err = commitTime(groupCtx, dir, changed.commit)
		}
		return err
	})
	if err := group.Wait(); err != nil {
		return nil, err
	}
	l.commit, l.branch = changed.commit, changed.branch
	if len(tracked) == 0 && dir != l.top {
		if _, err := git(ctx, dir, nil, "check-ignore", "-q", "."); err == nil {
			return nil, errIgnored
		}
	}
	prefix, err := filepath.Rel(l.top, dir)
	if err != nil {
		return nil, err
	}
	return l, l.merge(ctx, dir, tracked, changed.under(filepath.ToSlash(prefix)))
}

// readLayout asks where the work tree begins and how its objects are named.
func (l *listing) readLayout(ctx context.Context, dir string) error {
	out, err := git(ctx, dir, nil, "rev-parse", "--is-inside-work-tree", "--show-cdup", "--git-common-dir", "--show-object-format")
	if err != nil {
		return err
	}
	lines := strings.Split(string(out), "\n")
	if len(lines) < 2 || lines[0] != "true" {
		return errNoWorkTree
	}
	l.top = filepath.Join(dir, lines[1])
	if len(lines) < 4 {
		return nil
	}
	l.sha256 = lines[3] == "sha256" // git before 2.25 echoes the flag
	common := lines[2]
	if !filepath.IsAbs(common) {
		common = filepath.Join(dir, common)
	}
	// A symbolic reference is a file of its own; a clone with reftables has
	// none, and does not say.
	head, err := os.ReadFile(filepath.Join(common, "refs", "remotes", "origin", "HEAD"))
	if err == nil {
		if name, ok := strings.CutPrefix(strings.TrimSpace(string(head)), "ref: refs/remotes/origin/"); ok {
			l.defaultBranch = name
		}
	}
	return nil
}

func (l *listing) readConfig(ctx context.Context, dir string) error {
	out, err := git(ctx, dir, nil, "config", "-z", "--get-regexp", `^(remote\.origin\.url|core\.filemode)$`)
	if exit, ok := errors.AsType[*exec.ExitError](err); ok && exit.ExitCode() == 1 {
		return nil // neither is set
	}
	if err != nil {
		return err
	}
	for record := range strings.SplitSeq(string(out), "\x00") {
		name, value, _ := strings.Cut(record, "\n")
		switch name {
		case "remote.origin.url":
			if l.remote == "" { // git fetches from the first one
				l.remote = withoutCredentials(value)
			}
		case "core.filemode":
			l.plain = value == "false"
		}
	}
	return nil
}

func commitTime(ctx context.Context, dir, commit string) (time.Time, error) {
	out, err := git(ctx, dir, nil, "cat-file", "commit", commit)
	if err != nil {
		return time.Time{}, err
	}
	header, _, _ := strings.Cut(string(out), "\n\n")
	for line := range strings.SplitSeq(header, "\n") {
		if !strings.HasPrefix(line, "committer ") {
			continue
		}
		fields := strings.Fields(line[strings.LastIndexByte(line, '>')+1:])
		if len(fields) == 0 {
			break
		}
		seconds, err := strconv.ParseInt(fields[0], 10, 64)
		if err != nil {
			return time.Time{}, fmt.Errorf("read the time of commit %s: %w", commit, err)
		}
		return time.Unix(seconds, 0).UTC(), nil
	}
	return time.Time{}, fmt.Errorf("commit %s has no committer", commit)
}

// merge makes one list of the index and of what differs from it on disk.
func (l *listing) merge(ctx context.Context, dir string, tracked []indexEntry, changed map[string]change) error {
	var nested []string
	seen := make(map[string]bool, len(changed)) // those of changed that are tracked
	l.files = make([]file, 0, len(tracked)+len(changed))
	for _, e := range tracked {
		c, differs := changed[e.path]
		if differs {
			seen[e.path] = true
		}
		f := file{path: e.path, mode: e.mode, id: e.id}
		switch {
		case differs && c.mode == absent:
			continue
		case e.mode == gitlink && (!differs || c.mode == gitlink):
			nested = append(nested, e.path)
			continue
		case differs && c.onDisk:
			f.id, f.mode = "", c.mode
		case !e.trusted:
			f.id = ""
		}
		l.files = append(l.files, f)
	}
	for p := range changed {
		switch {
		case seen[p]:
		case strings.HasSuffix(p, "/"):
			nested = append(nested, strings.TrimSuffix(p, "/"))
		case changed[p].mode != absent:
			f := file{path: p}
			if l.plain {
				f.mode = "100644"
			}
			l.files = append(l.files, f)
		}
	}
	hasPom := pomFolders(l.files)
	l.files = slices.DeleteFunc(l.files, func(f file) bool { return isOutput(f.path, hasPom) })
	for p := range changed {
		if !isOutput(p, hasPom) {
			l.changes++
		}
	}
	l.dirty = l.changes > 0
	for _, p := range nested {
		if isOutput(p+"/", hasPom) {
			continue
		}
		if err := l.add(ctx, dir, p); err != nil {
			return err
		}
	}
	return nil
}

// add lists a folder by its own rules and takes its files in.
func (l *listing) add(ctx context.Context, dir, sub string) error {
	under := filepath.Join(dir, filepath.FromSlash(sub))
	if info, err := os.Lstat(under); err != nil || !info.IsDir() {
		return nil // a submodule that is not checked out
	}
	inner, err := listNested(ctx, under)
	if err != nil {
		return err
	}
	for _, f := range inner.files {
		f.path = sub + "/" + f.path
		if inner.sha256 != l.sha256 {
			f.id = "" // hashed again, the outer repository's way
		}
		l.files = append(l.files, f)
	}
	l.warnings = append(l.warnings, inner.warnings...)
	l.dirty = l.dirty || inner.dirty
	return nil
}

// listNested lists a folder that is a repository of its own. One that is not
// (a submodule never checked out) would be found to be in the outer one.
func listNested(ctx context.Context, dir string) (*listing, error) {
	if repositoryAbove(dir) != dir {
		return &listing{}, nil
	}
	return list(ctx, dir)
}
