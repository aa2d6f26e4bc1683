package extra

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/bmatcuk/doublestar/v4"

	"github.com/fastship/fastship/internal/fault"
)

// Entry is one entry of the layer.
type Entry struct {
	Path     string      // slash path in the image, without a leading slash
	Mode     fs.FileMode // with fs.ModeDir for a folder
	UID, GID int
	Time     time.Time // zero: the layer's own
	Source   string    // absolute path of the bytes, links followed; empty for a folder
	Size     int64     // bytes
	dir      string    // the project
	rel      string    // of Source, as it was found
}

// Open opens the bytes, without following a link out of the project.
func (e Entry) Open() (io.ReadCloser, error) {
	root, err := os.OpenRoot(e.dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	return root.Open(e.rel)
}

// Check holds every item against its grammar and, unless the build makes it,
// against the project's folder. It reads only.
func Check(ctx context.Context, dir string, files []Files) error {
	_, err := find(ctx, dir, files, fault.BadInput, true)
	return err
}

// Find lists the layer's entries, sorted by path. Errors are of class
// fault.ImageFailed: Check has seen what could be seen before.
func Find(ctx context.Context, dir string, files []Files) ([]Entry, error) {
	return find(ctx, dir, files, fault.ImageFailed, false)
}

func find(ctx context.Context, dir string, files []Files, class fault.Class, early bool) ([]Entry, error) {
	if len(files) == 0 {
		return nil, nil
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fault.As(class, fmt.Errorf("read the files of image.files: %w", err))
	}
	defer root.Close()
	found := map[string]Entry{}
	for i, f := range files {
		r, err := understand(i, f)
		if err != nil {
			return nil, err
		}
		if early && r.built() {
			continue
		}
		w := walker{ctx: ctx, root: root, dir: dir, rule: r, class: class, used: make([]bool, len(r.include)), found: found}
		if err := w.walk(); err != nil {
			return nil, err
		}
	}
	out := make([]Entry, 0, len(found))
	for _, e := range found {
		out = append(out, e)
	}
	slices.SortFunc(out, func(a, b Entry) int { return strings.Compare(a.Path, b.Path) })
	return out, nil
}

// walker collects what one item names.
type walker struct {
	ctx   context.Context // that of one find
	root  *os.Root
	dir   string
	rule  rule
	class fault.Class
	used  []bool // which includes matched something
	files int
	found map[string]Entry
}

func (w *walker) walk() error {
	info, err := w.root.Stat(w.rule.from)
	if errors.Is(err, fs.ErrNotExist) {
		return fault.New(w.class, "correct the path, or take the item out", "%s.from: no %s in the project", w.rule.key, w.rule.from)
	}
	if err != nil {
		return w.unreadable(w.rule.from, err)
	}
	if info.Mode().IsRegular() {
		return w.file()
	}
	if !info.IsDir() {
		return fault.New(w.class, "", "%s.from: %s is neither a file nor a folder", w.rule.key, w.rule.from)
	}
	if err := w.folder("", false, []fs.FileInfo{info}); err != nil {
		return err
	}
	for i, used := range w.used {
		if !used {
			return fault.New(w.class, "correct the pattern: it is relative to from, and ** stands for folders", "%s.include: %q matches nothing in %s", w.rule.key, w.rule.include[i], w.rule.from)
		}
	}
	if w.files == 0 {
		return fault.New(w.class, "correct the path, or take the item out", "%s.from: no file in %s", w.rule.key, w.rule.from)
	}
	return nil
}

// file copies From where that is a file.
func (w *walker) file() error {
	if len(w.rule.include)+len(w.rule.exclude) > 0 {
		return fault.New(w.class, "leave them out, or name the folder", "%s: include and exclude go with a folder, and %s is a file", w.rule.key, w.rule.from)
	}
	target := w.rule.into
	if w.rule.whole {
		target = path.Join(target, path.Base(w.rule.from))
	}
	if target == "" {
		return fault.New(w.class, "write the file's path in the image", "%s.into: / is no file", w.rule.key)
	}
	info, err := w.root.Stat(w.rule.from)
	if err != nil {
		return w.unreadable(w.rule.from, err)
	}
	return w.add(w.rule.from, target, info)
}

// folder walks one folder below From. taken says that a pattern took it with
// all that is in it; above are the folders on the way, to find links that go
// round in circles.
func (w *walker) folder(rel string, taken bool, above []fs.FileInfo) error {
	if w.ctx.Err() != nil {
		return context.Cause(w.ctx)
	}
	at := path.Join(w.rule.from, rel)
	f, err := w.root.Open(at)
	if err != nil {
		return w.unreadable(at, err)
	}
	entries, err := f.ReadDir(-1)
	if err := errors.Join(err, f.Close()); err != nil {
		return w.unreadable(at, err)
	}
	for _, e := range entries {
		child := path.Join(rel, e.Name())
		if matches(w.rule.exclude, child, nil) {
			continue
		}
		took := matches(w.rule.include, child, w.used) || taken
		info, err := w.root.Stat(path.Join(w.rule.from, child)) // through links that stay in the project
		if err != nil {
			return w.unreadable(path.Join(w.rule.from, child), err)
		}
		if !info.IsDir() {
			if took || len(w.rule.include) == 0 {
				if err := w.add(path.Join(w.rule.from, child), path.Join(w.rule.into, child), info); err != nil {
					return err
				}
			}
			continue
		}
		if slices.ContainsFunc(above, func(a fs.FileInfo) bool { return os.SameFile(a, info) }) {
			return fault.New(w.class, "leave it out by exclude", "%s: the link %s leads to a folder that it is in", w.rule.key, path.Join(w.rule.from, child))
		}
		if err := w.folder(child, took, append(above[:len(above):len(above)], info)); err != nil {
			return err
		}
	}
	return nil
}

// matches tells whether one of the patterns matches, and marks all that do.
func matches(patterns []string, name string, used []bool) bool {
	any := false
	for i, p := range patterns {
		if doublestar.MatchUnvalidated(strings.TrimSuffix(path.Clean(p), "/"), name) {
			any = true
			if used != nil {
				used[i] = true
			}
		}
	}
	return any
}

// add takes a file, with the folders above it up to the item's own.
func (w *walker) add(from, target string, info fs.FileInfo) error {
	if !info.Mode().IsRegular() {
		return fault.New(w.class, "leave it out by exclude", "%s: %s is neither a file, a folder nor a link", w.rule.key, from)
	}
	if err := checkTarget(target); err != nil {
		return fault.New(w.class, fault.HintOf(err), "%s: %s: %w", w.rule.key, from, err)
	}
	if !fs.ValidPath(target) {
		return fault.New(w.class, "rename it, or leave it out by exclude", "%s: %q: a name that is not UTF-8 text", w.rule.key, from)
	}
	if name := path.Base(target); strings.HasPrefix(name, ".wh.") {
		return fault.New(w.class, "rename it, or leave it out by exclude", "%s: %s: a name that begins with .wh. means deletion in a layer", w.rule.key, from)
	}
	source, err := filepath.EvalSymlinks(filepath.Join(w.dir, filepath.FromSlash(from)))
	if err != nil {
		return w.unreadable(from, err)
	}
	mode := w.rule.mode
	if w.rule.keepMode && info.Mode()&0o100 != 0 {
		mode = 0o755
	}
	if dir, ok := w.found[target]; ok && dir.Mode.IsDir() {
		return fault.New(w.class, "put it elsewhere", "%s: %s is a folder in the image, and %s a file", w.rule.key, "/"+target, from)
	}
	w.found[target] = Entry{
		Path: target, Mode: mode, UID: w.rule.uid, GID: w.rule.gid, Time: w.rule.time,
		Source: source, Size: info.Size(), dir: w.dir, rel: from,
	}
	w.files++
	return w.parents(from, target)
}

// parents adds the folders above a file. Those that belong to the item have
// its mode and owner; those above have what is customary.
func (w *walker) parents(from, target string) error {
	for dir := path.Dir(target); dir != "."; dir = path.Dir(dir) {
		if there, ok := w.found[dir]; ok {
			if !there.Mode.IsDir() {
				return fault.New(w.class, "put it elsewhere", "%s: /%s is a file in the image, and %s would be in it", w.rule.key, dir, from)
			}
			if !w.owns(dir) {
				continue
			}
		}
		e := Entry{Path: dir, Mode: fs.ModeDir | customary(dir)}
		if w.owns(dir) {
			e = Entry{Path: dir, Mode: fs.ModeDir | w.rule.dirMode, UID: w.rule.uid, GID: w.rule.gid, Time: w.rule.time}
		}
		w.found[dir] = e
	}
	return nil
}

// owns tells whether a folder is the item's: below into, or into itself where
// owner or mode are said and it is not a system's.
func (w *walker) owns(dir string) bool {
	if system(dir) {
		return false
	}
	if w.rule.into == "" || strings.HasPrefix(dir, w.rule.into+"/") {
		return true
	}
	return dir == w.rule.into && w.rule.owned
}

// system tells of the folders that every Linux has (Filesystem Hierarchy
// Standard 3.0), whose owner no item changes.
func system(dir string) bool {
	top, rest, deep := strings.Cut(dir, "/")
	switch top {
	case "dev", "etc", "home", "media", "mnt", "opt", "proc", "root", "run", "srv", "sys", "tmp", "app":
		return !deep
	case "usr", "var":
		return !strings.Contains(rest, "/")
	}
	return false
}

// customary is the mode that a folder has in every base: a layer's entry for
// it replaces the base's.
func customary(dir string) fs.FileMode {
	switch dir {
	case "tmp", "var/tmp":
		return fs.ModeSticky | 0o777
	case "root":
		return 0o700
	}
	return 0o755
}

// unreadable explains what the project's folder refused; a link that leads
// out of it among that.
func (w *walker) unreadable(at string, err error) error {
	full := filepath.Join(w.dir, filepath.FromSlash(at))
	if target, linkErr := os.Readlink(full); linkErr == nil {
		if _, statErr := os.Stat(full); errors.Is(statErr, fs.ErrNotExist) {
			return fault.New(w.class, "mend the link, or leave it out by exclude", "%s: the link %s leads to %s, which is not there", w.rule.key, at, target)
		}
		return fault.New(w.class, "copy the file into the project, or leave the link out by exclude", "%s: the link %s leads out of the project, to %s", w.rule.key, at, target)
	}
	return fault.New(w.class, "", "%s: read %s: %w", w.rule.key, at, err)
}
