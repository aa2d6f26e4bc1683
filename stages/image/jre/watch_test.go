package jre

import (
	"archive/zip"
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/fastship/fastship/cache"
	"github.com/fastship/fastship/stages/image/stored"
)

// pass shows a jar's content to a view on its way into a layer.
func pass(t testing.TB, content []byte, view *View) {
	t.Helper()
	j, err := stored.Read(bytes.NewReader(content), int64(len(content)))
	if err == nil {
		_, err = j.Rewrite(io.Discard, view.Entry)
	}
	if err != nil {
		t.Fatal(err)
	}
	view.Keep()
}

// watched is a library and how often it was opened.
func watched(content []byte) (jar Jar, opened *int) {
	jar, opened = jarOf("x.jar", content), new(int)
	jar.Digest = cache.Sum(content)
	open := jar.Open
	jar.Open = func() (*zip.Reader, io.Closer, error) {
		*opened++
		return open()
	}
	return jar, opened
}

// sightseeing has one entry of each sort.
func sightseeing() map[string]string {
	return map[string]string{
		"a/A.class":                           classFile("java/sql/Date", "(ILjava/awt/Font;)V"),
		"a/Text.class":                        "not a class",
		"a/Empty.class":                       "",
		"a/messages_de.properties":            "a=b",
		"META-INF/versions/21/a/A.class":      classFile("jdk/jfr/Event"),
		"META-INF/versions/21/native/liba.so": "no library",
		"META-INF/services/java.sql.Driver":   "a.D",
	}
}

func TestWatchSparesReading(t *testing.T) {
	content := archiveOf(t, sightseeing())
	jar, opened := watched(content)
	want, err := scanJar(t.Context(), jarOf("x.jar", content))
	if err != nil {
		t.Fatal(err)
	}
	c, w := newCache(t), NewWatch([]Jar{jar, {Name: "the application"}})
	go func() {
		pass(t, content, w.View(jar.Digest))
		w.Close()
	}()
	for _, watch := range []*Watch{w, nil} { // seen, and kept
		got, err := scan(t.Context(), c, []Jar{jar}, watch)
		if err != nil || !reflect.DeepEqual(got[0], want) {
			t.Errorf("got %+v, %v\nwant %+v", got, err, want)
		}
	}
	if *opened != 0 {
		t.Errorf("opened %d times", *opened)
	}
}

// TestWatchOfWhatIsNotSeen: what does not come, or not as a whole, is read.
func TestWatchOfWhatIsNotSeen(t *testing.T) {
	large := sightseeing()
	large["a/Large.class"] = classFile("java/util/prefs/Preferences") + strings.Repeat("x", 3<<20)
	for name, look := range map[string]func(w *Watch, content []byte, d cache.Digest){
		"in the cache":  func(*Watch, []byte, cache.Digest) {},
		"not to be had": func(w *Watch, content []byte, d cache.Digest) { w.View(d).Entry("a/A.class", nil) },
		"too large":     func(w *Watch, content []byte, d cache.Digest) { pass(t, content, w.View(d)) },
	} {
		t.Run(name, func(t *testing.T) {
			content := archiveOf(t, large)
			jar, opened := watched(content)
			w := NewWatch([]Jar{jar})
			look(w, content, jar.Digest)
			w.Close()
			got, err := scan(t.Context(), newCache(t), []Jar{jar}, w)
			if err != nil || *opened != 1 || got[0].Packages[len(got[0].Packages)-1] != "java/util/prefs" {
				t.Errorf("opened %d times: %v, %v", *opened, got, err)
			}
		})
	}
}

// TestWatchLooksAtNothingKnown: nobody looks where the cache has the answer,
// nor at what is no library.
func TestWatchLooksAtNothingKnown(t *testing.T) {
	content := archiveOf(t, sightseeing())
	jar, _ := watched(content)
	c := newCache(t)
	if _, err := referencesOf(t.Context(), c, []Jar{jar}, nil); err != nil {
		t.Fatal(err)
	}
	own := jar
	own.Own, own.Digest = true, cache.Sum(nil)
	w := NewWatch([]Jar{jar, own})
	if w.View(jar.Digest) == nil || w.View(own.Digest) != nil {
		t.Error("looks at the wrong ones before anything is known")
	}
	if _, err := referencesOf(t.Context(), c, []Jar{jar}, w); err != nil || w.View(jar.Digest) != nil {
		t.Errorf("looks at a known one: %v", err)
	}
	var none *Watch
	if none.Close(); none.View(jar.Digest) != nil {
		t.Error("no watch looks")
	}
}

// TestWatchOfRealJars compares a view of every jar below FASTSHIP_JARS, a
// Maven repository for instance, with what reading it gives.
func TestWatchOfRealJars(t *testing.T) {
	dir := os.Getenv("FASTSHIP_JARS")
	if dir == "" {
		t.Skip("set FASTSHIP_JARS to a folder of jars")
	}
	seen, partial := 0, 0
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) != ".jar" {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		jar, _ := watched(content)
		w := NewWatch([]Jar{jar})
		view := w.View(jar.Digest)
		j, err := stored.Read(bytes.NewReader(content), int64(len(content)))
		if err == nil {
			_, err = j.Rewrite(io.Discard, view.Entry)
		}
		if _, ok := errors.AsType[*stored.Unfaithful](err); ok {
			return nil
		}
		view.Keep()
		w.Close()
		got, ok := w.wait(t.Context(), jar.Digest)
		if !ok {
			partial++
			return nil
		}
		want, err := scanJar(t.Context(), jar)
		if err != nil {
			return err
		}
		if seen++; !reflect.DeepEqual(got, want) {
			t.Errorf("%s: saw %+v, reading gives %+v", path, got, want)
		}
		return nil
	})
	if err != nil || seen == 0 {
		t.Fatalf("%d jars: %v", seen, err)
	}
	t.Logf("%d jars seen, %d in part", seen, partial)
}
