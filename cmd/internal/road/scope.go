package road

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/fastship/fastship/internal/ci"
	"github.com/fastship/fastship/runner"
)

// scopesDir, in the cache's folder, holds a cache for each untrusted scope:
// what a pull request's build wrote is read by that pull request's builds
// alone.
const scopesDir = "scopes"

// scopeLife is how long a scope's local cache outlives its last run. Pull
// requests come and go, and each cache may grow to the cap.
const scopeLife = 7 * 24 * time.Hour

func (o Options) scope() string { return ci.Scope(o.Spec.Cache.Scope, o.CI) }

// scopeDir is the folder of a scope's local cache.
func scopeDir(root, scope string) string {
	if name, ok := ci.Name(scope); ok && root != "" {
		return filepath.Join(root, scopesDir, name)
	}
	return root
}

// tellScope says whose cache a run uses where that is not plain.
func tellScope(opt Options, tell func(runner.Body)) {
	scope := opt.scope()
	switch {
	case scope != ci.Trusted && opt.Spec.Cache.Scope == "":
		tell(runner.Note{Text: fmt.Sprintf("cache scope %s, since this builds a pull request (%s)", scope, opt.CI.Provider)})
	case scope != ci.Trusted:
		tell(runner.Note{Text: fmt.Sprintf("cache scope %s", scope)})
	case !opt.CI.Trusted():
		tell(runner.Warning{Text: fmt.Sprintf("cache.scope is trusted in the build of a pull request (%s): what it writes, all other builds read", opt.CI.Provider)})
	}
}

// touchScope notes that an untrusted scope's cache is in use.
func touchScope(root, dir string) error {
	if dir == root {
		return nil
	}
	now := time.Now()
	err := os.Chtimes(dir, now, now)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // nothing has been kept in it yet
	}
	return err
}

// forgetScopes removes the caches of scopes that had no run for scopeLife.
func forgetScopes(root string, now time.Time) error {
	entries, err := os.ReadDir(filepath.Join(root, scopesDir))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("list the caches of pull requests: %w", err)
	}
	var errs []error
	for _, e := range entries {
		info, err := e.Info()
		if err != nil || now.Sub(info.ModTime()) < scopeLife {
			continue // gone since, or in use
		}
		errs = append(errs, os.RemoveAll(filepath.Join(root, scopesDir, e.Name())))
	}
	return errors.Join(errs...)
}
