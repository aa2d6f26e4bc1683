package maven

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"github.com/fastship/fastship/cache"
	"github.com/fastship/fastship/runner"
	"github.com/fastship/fastship/stages/internal/mvn"
)

// archived is what is remembered of a job's class archive, the action's blob.
// Without a blob the job was seen here: a host that lives for one run makes no
// archive.
type archived struct {
	Path    []mvn.Stamp `json:"path,omitempty"`    // the class path as it was
	Plugins string      `json:"plugins,omitempty"` // digest of those whose classes were recorded
	Made    time.Time   `json:"made"`
	Failed  bool        `json:"failed,omitempty"` // there is no archive: it could not be made, or a JVM crashed on it
	Again   bool        `json:"again,omitempty"`  // the next run records anew
}

// archiveRest is how long a job's archive is left as it is: one that failed is
// not tried again, and one that fits the plug-ins no more is not replaced.
const archiveRest = 24 * time.Hour

// classArchive is what an attempt does about the archive of Maven's own JVM.
type classArchive struct {
	key     cache.Key // empty: nothing
	jdk     mvn.JDK
	past    archived
	blobs   []cache.Descriptor
	first   bool // this host has not seen the job before
	used    bool
	classes *mvn.Classes // recorded, once Maven has ended
}

// local is the cache of this machine alone: an archive is of use where the
// very same JDK and Maven lie, and is made in less time than it is fetched.
func (s *Step) local() *cache.Cache { return cmp.Or(s.deps.Local, s.deps.Cache) }

// preload settles whether Maven's JVM starts from a class archive, or records
// what goes into one. ended is to be told how the attempt went.
func (s *Step) preload(ctx context.Context, env runner.Env, j *job) (ended func(*attempt)) {
	j.archive, j.tuning.Archive = classArchive{}, nil
	c, nothing := s.local(), func(*attempt) {}
	if s.config.Tune == TuneOff || c == nil || c.Blobs == nil || !mvn.CanArchive(j.host, mvn.MultiModuleRoot(j.dir), j.choice.JDK) {
		return nothing
	}
	a := classArchive{key: s.archiveKey(j), jdk: j.choice.JDK}
	var known bool
	if a.past, a.blobs, known = cache.Lookup[archived](ctx, c, a.key); !known {
		a.first = true
		j.archive = a
		return nothing
	}
	fits := !slices.ContainsFunc(a.past.Path, func(s mvn.Stamp) bool { return !s.Holds() })
	switch {
	case fits && a.past.Failed && time.Since(a.past.Made) < archiveRest:
		return nothing
	case !fits || a.past.Failed || a.past.Again || len(a.blobs) != 1:
		return j.record(a)
	}
	path, err := c.Blobs.Path(a.blobs[0].Digest)
	flags, ok := mvn.ArchiveFlags(path, a.jdk)
	if err != nil || !ok {
		return nothing
	}
	a.used = true
	j.archive, j.tuning.Archive = a, flags
	env.Emit(runner.Note{Text: fmt.Sprintf("Maven's own JVM starts from an archive of its classes, %d MB", a.blobs[0].Size>>20)})
	return nothing
}

// record lets Maven's JVM write down its classes. Where that cannot be, the
// build has lost nothing, and nothing is said.
func (j *job) record(a classArchive) (ended func(*attempt)) {
	recording, err := mvn.NewRecording()
	if err != nil {
		return func(*attempt) {}
	}
	j.archive, j.tuning.Archive = a, recording.Flags()
	return func(done *attempt) {
		defer recording.Close()
		if done.exit.Code != 0 || done.report.JavaHome != a.jdk.Home {
			return // half a list, or that of a JVM which a mavenrc file chose
		}
		var builds []string
		for _, p := range done.report.Projects {
			builds = append(builds, p.Build)
		}
		if classes, err := recording.Classes(builds...); err == nil {
			j.archive.classes = &classes
		}
	}
}

// archiveKey names a job on one JDK and one Maven. The archive's own checks
// see to what changes within these.
func (s *Step) archiveKey(j *job) cache.Key {
	return cache.NewKey("maven-classes", "1").
		Add("project", reactorIDs(j.tree)[0]).
		Add("module", s.config.Module).
		Add("profiles", s.config.Profiles).
		Add("goals", s.config.Goals).
		Add("java", j.choice.JDK.Home).
		Add("version", j.choice.JDK.Version).
		Add("files", j.choice.JDK.Stamps()).
		Add("launcher", j.launcher.Path).
		Add("maven", j.launcher.Version).
		Key()
}

// archiveClasses makes the archive for the next run out of what a successful
// one recorded, while image and push go on; or notes that the one there is
// has grown old.
func (s *Step) archiveClasses(ctx context.Context, env runner.Env, j *job, a *attempt) {
	archive := j.archive
	if a.exit.Code != 0 {
		return
	}
	plugins := pluginsOf(&a.report)
	switch {
	case archive.key == "":
	case archive.first:
		cache.Keep(ctx, s.local(), archive.key, archived{Made: time.Now()}, nil)
	case archive.used && archive.past.Plugins != plugins && time.Since(archive.past.Made) > archiveRest:
		archive.past.Again = true
		cache.Keep(ctx, s.local(), archive.key, archive.past, archive.blobs)
	case archive.classes != nil:
		env.Background("archive the classes of Maven's JVM for the next run", func(ctx context.Context) error {
			made := archived{Plugins: plugins, Made: time.Now()}
			blobs, err := s.dump(ctx, j, &made)
			if ctx.Err() != nil {
				return nil // the run has ended; the next one records again
			}
			made.Failed = err != nil
			cache.Keep(ctx, s.local(), archive.key, made, blobs)
			return err
		})
	}
}

// dump makes the archive a blob.
func (s *Step) dump(ctx context.Context, j *job, made *archived) ([]cache.Descriptor, error) {
	stamp, err := mvn.NewStamp(j.archive.classes.ClassPath)
	if err != nil {
		return nil, err
	}
	made.Path = []mvn.Stamp{stamp}
	dir, err := mvn.ClassesDir()
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	file, err := j.archive.classes.Dump(ctx, j.host, j.archive.jdk, dir)
	if err != nil {
		return nil, err
	}
	in, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer in.Close()
	out, err := s.local().Blobs.Create(ctx)
	if err != nil {
		return nil, err
	}
	defer out.Abort()
	if _, err := io.Copy(out, in); err != nil {
		return nil, err
	}
	blob, err := out.Commit()
	return []cache.Descriptor{blob}, err
}

// pluginsOf is the digest of the plug-ins that ran.
func pluginsOf(r *mvn.Report) string {
	var all []string
	for _, m := range r.Mojos {
		all = append(all, m.Plugin+" "+m.PluginVersion)
	}
	slices.Sort(all)
	return string(cache.NewKey("maven-plugins", "1").Add("plugins", slices.Compact(all)).Key())
}

// dropArchive remembers to do without an archive, which a JVM crashed on or did
// not start with.
func (s *Step) dropArchive(ctx context.Context, j *job) {
	j.tuning.Archive = nil
	failed := archived{Path: j.archive.past.Path, Made: time.Now(), Failed: true}
	cache.Keep(ctx, s.local(), j.archive.key, failed, nil)
}
