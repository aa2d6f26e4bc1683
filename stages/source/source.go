// Package source finds what is being built: a folder or a git tree, and its
// identity.
package source

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/fastship/fastship/internal/fault"
	"github.com/fastship/fastship/runner"
)

// Config says where the source is.
type Config struct {
	Dir string // the project's folder, absolute
}

// In is empty: the source is where the road begins.
type In struct{}

// Out identifies what is being built.
type Out struct {
	Dir    string `json:"dir"`              // the project's folder, absolute
	Tree   string `json:"tree"`             // digest of the files that a build can see, sha256:…
	Commit string `json:"commit,omitempty"` // HEAD's full hash; empty outside git
	Branch string `json:"branch,omitempty"` // empty outside git or on a detached HEAD
	// DefaultBranch is origin's, as far as the clone knows it.
	DefaultBranch string `json:"defaultBranch,omitempty"`
	Dirty         bool   `json:"dirty"`            // files differ from the commit
	Remote        string `json:"remote,omitempty"` // origin's URL without credentials
	// Time is the commit's time in UTC. Outside git, and in a repository
	// without commits, it is the zero time.
	Time time.Time `json:"time"`
	// Files are what Tree is the digest of, and Read is when reading them
	// began. They hold for the run that read them and are not recorded: a
	// later run (--from) may find other files.
	Files []File    `json:"-"`
	Read  time.Time `json:"-"`
}

// File is one file that a build can see.
type File struct {
	Path string // relative to the project's folder, with slashes; "../x" outside it
	Mode string // git's: 100644, 100755, 120000
	ID   string // git's object id of the bytes on disk
}

// Step reads the source. It writes nothing, git's index included.
type Step struct{ config Config }

// New makes the step.
func New(c Config) *Step { return &Step{c} }

// Name implements runner.Step.
func (*Step) Name() string { return "source" }

// Check wants a folder that can be read.
func (s *Step) Check(context.Context) error {
	info, err := os.Stat(s.config.Dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fault.New(fault.BadInput, "name the folder that holds pom.xml", "no such folder: %s", s.config.Dir)
	case err != nil:
		return fault.New(fault.BadInput, "", "read the project's folder: %w", err)
	case !info.IsDir():
		return fault.New(fault.BadInput, "name the folder, not a file in it", "not a folder: %s", s.config.Dir)
	}
	if _, err := os.ReadDir(s.config.Dir); err != nil {
		return fault.New(fault.BadInput, "", "read the project's folder: %w", err)
	}
	return nil
}

// Plan tells the identity: reading it is all that Run does.
func (s *Step) Plan(ctx context.Context, _ In) (runner.Plan[Out], error) {
	out, found, err := s.read(ctx)
	if err != nil {
		return runner.Plan[Out]{}, err
	}
	lines := []string{"build " + found.String()}
	for _, w := range found.warnings {
		lines = append(lines, "warning: "+w)
	}
	return runner.Plan[Out]{Lines: lines, Out: out}, nil
}

// Run reads the source and says in one line what it is.
func (s *Step) Run(ctx context.Context, env runner.Env, _ In) (runner.Result[Out], error) {
	out, found, err := s.read(ctx)
	if err != nil {
		return runner.Result[Out]{}, err
	}
	for _, w := range found.warnings {
		env.Emit(runner.Warning{Text: w})
	}
	env.Emit(runner.Note{Text: found.String()})
	return runner.Result[Out]{Out: out}, nil
}

// read lists the project's folder and what a build reads outside it.
func (s *Step) read(ctx context.Context) (Out, *listing, error) {
	began := time.Now()
	// The operating system resolves "..", so a symbolic link to the project
	// must not be where it starts from.
	dir, err := filepath.EvalSymlinks(s.config.Dir)
	if err != nil {
		return Out{}, nil, fault.New(fault.BadInput, "", "find the project's folder: %w", err)
	}
	project, err := list(ctx, dir)
	if err != nil {
		return Out{}, nil, fmt.Errorf("list the files of %s: %w", s.config.Dir, err)
	}
	files, err := withOutside(ctx, dir, project)
	if err != nil {
		return Out{}, nil, fmt.Errorf("list what the build reads outside %s: %w", s.config.Dir, err)
	}
	project.files, err = hashFiles(ctx, dir, files, project.sha256)
	if err != nil {
		return Out{}, nil, fault.New(fault.BadInput, "make it readable, or let .gitignore name it", "%w", err)
	}
	return Out{
		Dir:           s.config.Dir,
		Tree:          treeDigest(project.files),
		Commit:        project.commit,
		Branch:        project.branch,
		DefaultBranch: project.defaultBranch,
		Dirty:         project.dirty,
		Remote:        project.remote,
		Time:          project.time,
		Files:         public(project.files),
		Read:          began,
	}, project, nil
}

func public(files []file) []File {
	all := make([]File, len(files))
	for i, f := range files {
		all[i] = File{Path: f.path, Mode: f.mode, ID: f.id}
	}
	return all
}
