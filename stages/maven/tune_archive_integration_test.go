package maven

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fastship/fastship/cache"
	"github.com/fastship/fastship/cache/dir"
	"github.com/fastship/fastship/stages/internal/mvn"
)

// TestClassArchiveOfMavensJVM makes one with the real JVM: on the host's own
// Java with each Maven that is there, and once on a newer JDK. Hello's jar
// stays as bare Maven makes it, also with a damaged archive.
func TestClassArchiveOfMavensJVM(t *testing.T) {
	needMaven(t)
	own, newer := "", ""
	for j := range (mvn.Host{Environ: os.Environ(), Home: os.Getenv("HOME")}).JDKs(t.Context()) {
		if own == "" && j.Javac {
			own = j.Home
		}
		if newer == "" && j.Javac && j.Major >= 25 {
			newer = j.Home
		}
	}
	for name, path := range mavens(t) {
		t.Run(name, func(t *testing.T) {
			r := newReal(t, own, path)
			bare, _ := r.build(TuneOff)
			r.seen()
			if jar, archived := r.build(TuneOn); archived || !bytes.Equal(jar, bare) {
				t.Errorf("an archive is used before one was made: %v; the jar differs in %q", archived, differing(t, jar, bare))
			}
			if jar, archived := r.build(TuneOn); !archived || !bytes.Equal(jar, bare) {
				t.Errorf("the archive was used: %v; the jar differs in %q", archived, differing(t, jar, bare))
			}
			damage(t, r.blobs)
			if jar, archived := r.build(TuneOn); archived || !bytes.Equal(jar, bare) {
				t.Errorf("a damaged archive was used: %v; the jar differs in %q", archived, differing(t, jar, bare))
			}
		})
		if newer != "" && newer != own && name == "PATH" {
			t.Run("JDK 25", func(t *testing.T) {
				r := newReal(t, newer, path)
				r.seen()
				r.build(TuneOn)
				if _, archived := r.build(TuneOn); !archived {
					t.Error("the archive was not used")
				}
			})
		}
	}
}

// real builds hello with the real Maven and a store of its own.
type real struct {
	t                               *testing.T
	project, java, path, log, blobs string
	local                           *cache.Cache
}

func newReal(t *testing.T, java, path string) *real {
	root := t.TempDir()
	store, err := dir.Open(root, dir.Options{})
	if err != nil {
		t.Fatal(err)
	}
	warn := func(err error) { t.Errorf("cache: %v", err) }
	return &real{t, app(t, "hello"), java, path, filepath.Join(root, "loaded"), filepath.Join(root, "blobs", "sha256"), &cache.Cache{Blobs: store, Actions: store, Warn: warn}}
}

func (r *real) step(tune string) *Step {
	s := step(r.t, Config{Dir: r.project, Tune: tune}, "PATH="+r.path, "JAVA_HOME="+r.java, "MAVEN_OPTS=-Xlog:class+load:file="+r.log)
	s.deps.Local = r.local
	return s
}

// seen spares the first run, which only notes that the job was seen.
func (r *real) seen() {
	s := r.step(TuneOn)
	j, err := s.prepare(r.t.Context(), r.project)
	if err != nil {
		r.t.Fatal(err)
	}
	cache.Keep(r.t.Context(), r.local, s.archiveKey(j), archived{}, nil)
}

// build builds with the work in the background. The JVM's own log tells
// whether classes that are in no archive of the JDK's came from one.
func (r *real) build(tune string) (jar []byte, archived bool) {
	t := r.t
	t.Helper()
	if err := os.RemoveAll(filepath.Join(r.project, "target")); err != nil {
		t.Fatal(err)
	}
	run := runBeside(t, t.Context(), r.step(tune), func(what string, work func(context.Context) error) {
		if err := work(t.Context()); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	})
	said := run.said() + run.output()
	for _, never := range []string{"[cds]", "[aot]", "anew", "Picked up"} {
		if run.err != nil || strings.Contains(said, never) {
			t.Fatalf("%v, says %s\n%s", run.err, never, said)
		}
	}
	jar, err := os.ReadFile(run.out.Jar.Name)
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(r.log)
	if err != nil {
		t.Fatal(err)
	}
	shared := func(class string) bool { return bytes.Contains(text, []byte(class+" source: shared objects file")) }
	return jar, shared("com.sun.tools.javac.code.Symbol") && shared("org.codehaus.plexus.classworlds.launcher.Launcher")
}

// damage changes bytes in the middle of a store's only blob, not its size.
func damage(t *testing.T, blobs string) {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(blobs, "*"))
	if err != nil || len(found) != 1 {
		t.Fatalf("%q, %v", found, err)
	}
	if err := os.Chmod(found[0], 0o644); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(found[0], os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt([]byte("not what was there"), 9<<20); err != nil {
		t.Fatal(err)
	}
}
