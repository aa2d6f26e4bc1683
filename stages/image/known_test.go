package image

import (
	"archive/zip"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/fastship/fastship/cache"
	"github.com/fastship/fastship/runner"
	"github.com/fastship/fastship/stages/internal/stamp"
)

// known is a step, and a jar with its digest, settled long enough to be
// stamped.
func known(t *testing.T) (*Step, In) {
	t.Helper()
	in := digested(t, bootJar(t, t.TempDir(), time.Now(), nil))
	time.Sleep(40 * time.Millisecond)
	c := Config{Base: "oci:" + baseLayout(t, runtime.GOARCH), Layout: t.TempDir()}
	memory := newCache(t)
	memory.Warn = nil
	return New(c, Deps{Cache: memory, State: t.TempDir()}), in
}

func digested(t *testing.T, in In) In {
	t.Helper()
	var book *stamp.Book
	d, err := book.Digest(in.Jar.Name)
	if err != nil {
		t.Fatal(err)
	}
	in.Jar.Digest, in.Jar.Size = d.Digest, d.Size
	return in
}

func (s *Step) mustRun(t *testing.T, in In) runner.Result[Out] {
	t.Helper()
	r, err := s.Run(t.Context(), (&told{}).env(), in)
	if err != nil {
		t.Fatal(err)
	}
	if err := validImage(read(t, s.config.Layout, r.Out.Digest)); err != nil {
		t.Error(err)
	}
	return r
}

// plant marks the remembered application: what shows the mark did not read
// the jar.
func plant(t *testing.T, s *Step, in In) {
	t.Helper()
	key := s.name(stamp.Open(s.deps.State), in, make([]target, 1))
	app, ok := s.recall(t.Context(), key)
	if !ok {
		t.Fatal("the application is not remembered")
	}
	app.Kind = "planted"
	var blobs []cache.Descriptor
	for _, l := range app.Layers {
		blobs = append(blobs, l.Descriptor)
	}
	cache.Keep(t.Context(), s.deps.Cache, key, app, blobs)
}

func TestKnownJarIsNotReadAgain(t *testing.T) {
	s, in := known(t)
	first := s.mustRun(t, in)
	plant(t, s, in)
	again := s.mustRun(t, in)
	if again.Out.Kind != "planted" || again.Status != runner.Cached || again.Out.Digest != first.Out.Digest {
		t.Errorf("again: %q, %+v", again.Status, again.Out)
	}
	other := in
	other.Revision, other.Created = "ffff", in.Created.Add(time.Hour) // a commit that changes documentation
	next := s.mustRun(t, other)
	if next.Out.Kind != "planted" || next.Out.Digest == first.Out.Digest {
		t.Errorf("another commit: %+v", next.Out)
	}
	for i, l := range first.Out.Layers {
		if l != next.Out.Layers[i] {
			t.Errorf("layer %s was made again", l.Name)
		}
	}
	m, err := read(t, s.config.Layout, next.Out.Digest).Manifest()
	if err != nil || m.Annotations["org.opencontainers.image.revision"] != "ffff" {
		t.Errorf("%v, %v", m.Annotations, err)
	}
}

func TestChangedJarIsReadAgain(t *testing.T) {
	s, in := known(t)
	s.mustRun(t, in)
	plant(t, s, in)
	info, err := os.Stat(in.Jar.Name)
	if err != nil {
		t.Fatal(err)
	}
	// Another content under the old digest, as --from may bring it.
	bootJar(t, filepath.Dir(in.Jar.Name), info.ModTime(), map[string]string{"BOOT-INF/classes/message.txt": "HELLO"})
	if err := os.Chtimes(in.Jar.Name, info.ModTime(), info.ModTime()); err != nil {
		t.Fatal(err)
	}
	if r := s.mustRun(t, in); r.Out.Kind == "planted" {
		t.Error("a changed jar was taken for the known one")
	}
	snapshots := digested(t, in)
	s.mustRun(t, snapshots)
	plant(t, s, snapshots)
	snapshots.Snapshots = []string{"small-1.0.jar"}
	if r := s.mustRun(t, snapshots); r.Out.Kind == "planted" {
		t.Error("other snapshots were taken for the known ones")
	}
}

func TestKnownJarOfALostLayerIsReadAgain(t *testing.T) {
	for name, damage := range map[string]func(path string) error{
		"evicted": os.Remove,
		"cut":     func(path string) error { return errors.Join(os.Chmod(path, 0o644), os.Truncate(path, 3)) },
		"flipped": func(path string) error {
			b, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			b[len(b)/2] ^= 1
			return errors.Join(os.Remove(path), os.WriteFile(path, b, 0o444))
		},
	} {
		t.Run(name, func(t *testing.T) {
			s, in := known(t)
			first := s.mustRun(t, in)
			plant(t, s, in)
			path, err := s.deps.Cache.Blobs.Path(first.Out.Layers[1].Digest)
			if err != nil {
				t.Fatal(err)
			}
			if err := damage(path); err != nil {
				t.Fatal(err)
			}
			s.config.Layout = t.TempDir() // which has to take every blob anew
			if r := s.mustRun(t, in); r.Out.Kind == "planted" || r.Out.Digest != first.Out.Digest {
				t.Errorf("%+v, want %s", r.Out, first.Out.Digest)
			}
		})
	}
}

// A layout that lost a blob, or has one of another size, gets it back.
func TestKnownJarMendsTheLayout(t *testing.T) {
	s, in := known(t)
	first := s.mustRun(t, in)
	for _, l := range first.Out.Layers {
		path := filepath.Join(s.config.Layout, "blobs", "sha256", l.Digest.Hex())
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		if l.Name == "application" {
			if err := os.WriteFile(path, []byte("short"), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	if r := s.mustRun(t, in); r.Out.Digest != first.Out.Digest {
		t.Errorf("%+v", r.Out)
	}
}

func TestThinJarIsNeverKnown(t *testing.T) {
	s, in := known(t)
	dir := t.TempDir()
	in.Jar.Name = filepath.Join(dir, "thin.jar")
	writeZip(t, in.Jar.Name, "META-INF/MANIFEST.MF", "Manifest-Version: 1.0\nMain-Class: a.Main\nClass-Path: lib/x.jar\n\n", "a/Main.class", "\xca\xfe\xba\xbe\x00\x00\x00\x3d")
	if err := os.Mkdir(filepath.Join(dir, "lib"), 0o755); err != nil {
		t.Fatal(err)
	}
	lib := filepath.Join(dir, "lib", "x.jar")
	in = digested(t, in)
	bare := s.mustRun(t, in).Out
	writeZip(t, lib, "one", "1")
	one := s.mustRun(t, in)
	writeZip(t, lib, "two", strings.Repeat("2", 99))
	if two := s.mustRun(t, in); bare.Kind != "plain" || one.Out.Kind != "thin" || one.Out.Digest == two.Out.Digest {
		t.Errorf("a changed library is not in the image: %+v", two.Out)
	}
}

func writeZip(t *testing.T, path string, namesAndTexts ...string) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	w := zip.NewWriter(f)
	for i := 0; i < len(namesAndTexts); i += 2 {
		e, err := w.Create(namesAndTexts[i])
		if err == nil {
			_, err = e.Write([]byte(namesAndTexts[i+1]))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(w.Close(), f.Close()); err != nil {
		t.Fatal(err)
	}
}
