package maven

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/fastship/fastship/cache"
	"github.com/fastship/fastship/internal/redact"
)

// store puts the jars and this build's test reports into the cache.
func (s *Step) store(ctx context.Context, j *job, a *attempt, out Out) (madeJob, []cache.Descriptor, error) {
	defer j.book.Save()
	var paths []string
	for _, p := range a.report.Projects {
		paths = append(paths, p.File)
		for _, attached := range p.Attached {
			paths = append(paths, attached.File)
		}
	}
	isReport := map[string]bool{}
	for dir, since := range a.report.TestReports() {
		found, _ := filepath.Glob(filepath.Join(dir, "TEST-*.xml")) // the pattern is well-formed
		for _, f := range found {
			if info, err := os.Stat(f); err == nil && info.ModTime().After(since.Add(-2*time.Second)) {
				paths, isReport[f] = append(paths, f), true
			}
		}
	}
	isLibrary := map[string]bool{}
	for _, p := range besideJar(out.Jar.Name) {
		paths, isLibrary[p] = append(paths, p), isLibraryOf(out.Jar.Name, p)
	}
	paths = slices.DeleteFunc(append(paths, out.Jar.Name), func(p string) bool { return !isFile(p) })
	slices.Sort(paths)
	made := madeJob{Out: out}
	packer := newPacker(s.deps.Cache.Blobs)
	reports := newReports(slices.Concat(j.secrets(), redact.FromEnv(j.host.Environ)))
	for _, p := range slices.Compact(paths) {
		rel, err := filepath.Rel(j.dir, p)
		if err != nil || !filepath.IsLocal(rel) {
			return made, nil, fmt.Errorf("%s lies outside the project", p)
		}
		if path.Base(filepath.ToSlash(rel)) == "pom.xml" {
			continue // a module of packaging pom: it is input
		}
		info, err := os.Stat(p)
		if err != nil {
			return made, nil, err
		}
		kept := keptFile{Path: filepath.ToSlash(rel), Mode: info.Mode().Perm()}
		if isReport[p] {
			text, err := reports.read(p)
			if err != nil {
				return made, nil, err
			}
			if text != nil {
				kept.Size, kept.Digest, kept.Pieces = int64(len(text)), cache.Sum(text), packer.addText(text)
				made.Files = append(made.Files, kept)
			}
			continue
		}
		d, err := j.book.Digest(p)
		if err != nil {
			return made, nil, err
		}
		kept.Size, kept.Digest = d.Size, d.Digest
		kept.Pieces, err = packer.add(ctx, p, isLibrary[p])
		if err != nil {
			return made, nil, err
		}
		if !j.book.Is(p, d) || p == out.Jar.Name && d.Digest != out.Jar.Digest {
			return made, nil, fmt.Errorf("%s changed after Maven ended", rel)
		}
		made.Files = append(made.Files, kept)
	}
	blobs, err := packer.finish(ctx)
	if err != nil {
		return made, nil, err
	}
	rel, err := filepath.Rel(j.dir, out.Jar.Name)
	made.Out.Jar.Name, made.Out.JavaHome, made.Out.Repository = filepath.ToSlash(rel), "", ""
	return made, blobs, err
}

// isLibraryOf tells whether a file beside the jar is somebody else's. Quarkus
// has what it makes of the application in two folders of their own.
func isLibraryOf(jar, file string) bool {
	rel, err := filepath.Rel(filepath.Dir(jar), file)
	first, _, _ := strings.Cut(filepath.ToSlash(rel), "/")
	return err == nil && strings.HasSuffix(file, ".jar") && first != "app" && first != "quarkus"
}

// besideJar are the files that a jar's manifest names on its class path, such
// as target/lib/x.jar, or those of a Quarkus application's folder: a thin
// application is not whole without them.
func besideJar(jar string) []string {
	if strings.HasPrefix(mainClass(jar), quarkusRunner) {
		return besideQuarkus(jar)
	}
	var paths []string
	for ref := range strings.FieldsSeq(manifestOf(jar, "Class-Path")) {
		u, err := url.Parse(ref)
		if err == nil && u.Scheme == "" && u.Host == "" && u.Path != "" && !path.IsAbs(u.Path) {
			paths = append(paths, filepath.Join(filepath.Dir(jar), filepath.FromSlash(u.Path)))
		}
	}
	return paths
}

// restore makes every file what the job left it as; those that are right
// already stay untouched.
func (s *Step) restore(ctx context.Context, j *job, files []keptFile, blobs []cache.Descriptor) error {
	defer j.book.Save()
	var wanted []keptFile
	var pieces []*piece
	for _, f := range files {
		if !filepath.IsLocal(f.Path) {
			return fmt.Errorf("%s lies outside the project", f.Path)
		}
		for _, p := range f.Pieces {
			if p.Blob < 0 || p.Blob >= len(blobs) {
				return fmt.Errorf("restore %s: a piece of an unknown blob", f.Path)
			}
		}
		if !j.book.Is(j.at(f), cache.Descriptor{Digest: f.Digest, Size: f.Size}) {
			wanted, pieces = append(wanted, f), append(pieces, f.Pieces...)
		}
	}
	if err := s.bring(ctx, blobs, pieces); err != nil {
		return err
	}
	for _, f := range wanted {
		if err := s.write(ctx, j.at(f), f, blobs); err != nil {
			return fmt.Errorf("restore %s: %w", f.Path, err)
		}
	}
	return nil
}

func (j *job) at(f keptFile) string { return filepath.Join(j.dir, filepath.FromSlash(f.Path)) }

// write replaces a file by rename, once its bytes were found right.
func (s *Step) write(ctx context.Context, target string, f keptFile, blobs []cache.Descriptor) error {
	if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
		return err
	}
	out, err := os.CreateTemp(filepath.Dir(target), ".fastship-*")
	if err != nil {
		return err
	}
	defer os.Remove(out.Name()) // gone already after the rename
	err = s.assemble(ctx, out, f, blobs)
	err = errors.Join(err, out.Chmod(f.Mode), out.Close())
	if err != nil {
		return err
	}
	return os.Rename(out.Name(), target)
}

// changedSince names an input that was written after the source was read: what
// Maven made of it has another key. Folders tell of files that came and went;
// those with a pom.xml change with every target folder. ctime shows a file
// that was put there with an older time, too.
func changedSince(dir string, files []File, read time.Time) string {
	read = read.Add(-10 * time.Millisecond) // the kernel stamps files with a clock that ticks every few milliseconds
	seen := map[string]bool{}
	for _, f := range files {
		name := filepath.Join(dir, filepath.FromSlash(f.Path))
		if !untouched(name, read, unix.Lstat) || f.Mode == "120000" && isFile(name) && !untouched(name, read, unix.Stat) {
			return f.Path
		}
		folder := path.Dir(f.Path)
		if seen[folder] || folder == "." || strings.HasPrefix(folder, "..") {
			continue
		}
		seen[folder] = true
		name = filepath.Dir(name)
		if !untouched(name, read, unix.Stat) && !isFile(filepath.Join(name, "pom.xml")) {
			return folder
		}
	}
	return ""
}

func untouched(name string, since time.Time, stat func(string, *unix.Stat_t) error) bool {
	var st unix.Stat_t
	return stat(name, &st) == nil && st.Ctim.Nano() <= since.UnixNano()
}
