package mvn

import (
	"context"
	"errors"
	"io/fs"
	"reflect"
	"slices"
	"testing"
	"testing/fstest"
)

func TestSelectFiles(t *testing.T) {
	file := func(s string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(s), Mode: 0o644} }
	const hello = "aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d" // sha1 of "hello"
	repo := fstest.MapFS{
		"g/a/1/_remote.repositories":             file("#NOTE\na-1.jar>central=\na-1.pom>central=\na-1.jar.asc>central=\nbad-1.jar>central=\nmixed-1.jar>central=\nmixed-1.jar>=\nlink-1.jar>central=\n"),
		"g/a/1/a-1.jar":                          file("hello"),
		"g/a/1/a-1.jar.sha1":                     file(hello + "  a-1.jar\n"),
		"g/a/1/a-1.jar.md5":                      file("x"),
		"g/a/1/a-1.jar.asc":                      file("asked for by name"),
		"g/a/1/a-1.pom.asc":                      file("x"),
		"g/a/1/a-1.pom":                          file("<project/>"),
		"g/a/1/bad-1.jar":                        file("hellO"),
		"g/a/1/bad-1.jar.sha1":                   file("SHA1(bad-1.jar)= " + hello),
		"g/a/1/mixed-1.jar":                      file("downloaded, then installed"),
		"g/a/1/link-1.jar":                       {Data: []byte("/etc/passwd"), Mode: fs.ModeSymlink | 0o777},
		"g/a/1/half-1.jar":                       file("no tracking"),
		"g/a/1/a-1.jar.123.tmp":                  file("x"),
		"g/a/1/a-1.jar.part":                     file("x"),
		"g/a/1/gone-1.jar.lastUpdated":           file("x"),
		"g/a/maven-metadata-central.xml":         file("<metadata/>"),
		"g/a/maven-metadata-local.xml":           file("<metadata/>"),
		"g/a/resolver-status.properties":         file("x"),
		"g/here/1/_remote.repositories":          file("here-1.jar>=\n"),
		"g/here/1/here-1.jar":                    file("x"),
		"g/none/maven-metadata-central.xml":      file("<metadata/>"),
		"g/s/1-SNAPSHOT/_remote.repositories":    file("s-1-SNAPSHOT.jar>corp=\n"),
		"g/s/1-SNAPSHOT/s-1-SNAPSHOT.jar":        file("x"),
		"com/example/own/1/own-1.jar":            file("x"),
		"com/example/own/1/_remote.repositories": file("own-1.jar>central=\n"),
		".locks/a":                               file("x"),
	}
	paths := slices.Collect(func(yield func(string) bool) {
		for p := range repo {
			if !yield(p) {
				return
			}
		}
	})
	got, err := SelectFiles(t.Context(), repo, append(paths, "g/a/1/vanished.jar"), []*Project{{Group: "com.example", Artifact: "own", Version: "1"}})
	if err != nil {
		t.Fatal(err)
	}
	want := Selection{
		Release: []string{"g/a/1/_remote.repositories", "g/a/1/a-1.jar", "g/a/1/a-1.jar.asc", "g/a/1/a-1.pom"},
		Mutable: []string{"g/a/maven-metadata-central.xml", "g/a/resolver-status.properties", "g/s/1-SNAPSHOT/_remote.repositories", "g/s/1-SNAPSHOT/s-1-SNAPSHOT.jar"},
		Left: map[Left][]string{
			LeftChecksum:   {"g/a/1/a-1.jar.md5", "g/a/1/a-1.jar.sha1", "g/a/1/a-1.pom.asc", "g/a/1/bad-1.jar.sha1"},
			LeftUnfinished: {".locks/a", "g/a/1/a-1.jar.123.tmp", "g/a/1/a-1.jar.part"},
			LeftNotFound:   {"g/a/1/gone-1.jar.lastUpdated"},
			LeftInstalled:  {"g/a/1/mixed-1.jar", "g/here/1/here-1.jar", "g/a/maven-metadata-local.xml"},
			LeftReactor:    {"com/example/own/1/own-1.jar"},
			LeftUntracked:  {"g/a/1/half-1.jar"},
			LeftLonely:     {"com/example/own/1/_remote.repositories", "g/here/1/_remote.repositories", "g/none/maven-metadata-central.xml"},
			LeftDamaged:    {"g/a/1/bad-1.jar"},
			LeftIrregular:  {"g/a/1/link-1.jar"},
		},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	stopped, stop := context.WithCancel(t.Context())
	stop()
	if _, err := SelectFiles(stopped, repo, paths, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("stopped: %v", err)
	}
}
