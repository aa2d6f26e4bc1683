package main

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"os"
	"path/filepath"
	"runtime"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/rogpeppe/go-internal/testscript"
)

// writeJar is "jar FILE [NAME=TEXT...]": a jar that starts example.Main, with
// more entries.
func writeJar(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: jar FILE [NAME=TEXT...]")
	}
	f, err := os.Create(ts.MkAbs(args[0]))
	ts.Check(err)
	defer f.Close()
	w := zip.NewWriter(f)
	add := func(name, text string) {
		e, err := w.Create(name)
		ts.Check(err)
		_, err = e.Write([]byte(text))
		ts.Check(err)
	}
	add("META-INF/MANIFEST.MF", "Manifest-Version: 1.0\r\nMain-Class: example.Main\r\n\r\n")
	const class = "\xca\xfe\xba\xbe\x00\x00\x00\x3d" // Java 17
	add("example/Main.class", class)
	for _, entry := range args[1:] {
		for i := range entry {
			if entry[i] == '=' {
				text := entry[i+1:]
				if text == "CLASS" {
					text = class
				}
				add(entry[:i], text)
				break
			}
		}
	}
	ts.Check(w.Close())
}

// writeJavaBase is "javabase DIR": an OCI layout of an image that has Java, as
// far as its variables and names of files go.
func writeJavaBase(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: javabase DIR")
	}
	var files bytes.Buffer
	w := tar.NewWriter(&files)
	ts.Check(w.WriteHeader(&tar.Header{Name: "opt/java/bin/java", Mode: 0o755}))
	ts.Check(w.Close())
	image, err := mutate.AppendLayers(empty.Image, static.NewLayer(files.Bytes(), types.OCIUncompressedLayer))
	ts.Check(err)
	image, err = mutate.ConfigFile(image, &v1.ConfigFile{
		OS: "linux", Architecture: runtime.GOARCH,
		Config: v1.Config{Env: []string{"JAVA_HOME=/opt/java", "JAVA_VERSION=17.0.9"}},
		RootFS: must(image.ConfigFile()).RootFS,
	})
	ts.Check(err)
	dir := ts.MkAbs(args[0])
	ts.Check(os.MkdirAll(filepath.Dir(dir), 0o755))
	path, err := layout.Write(dir, empty.Index)
	ts.Check(err)
	ts.Check(path.AppendImage(image))
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
