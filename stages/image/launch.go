package image

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"runtime"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/fastship/fastship/cache"
	"github.com/fastship/fastship/stages/image/appjar"
	"github.com/fastship/fastship/stages/image/train"
)

// launch is what is to be known of a jar to start it from a class path that
// begins with its released libraries, instead of by java -jar. The order then
// is: released libraries, app.jar, and what its Class-Path names beside them.
type launch struct {
	Main      string       `json:"main"`
	Options   []string     `json:"options,omitempty"` // what java -jar takes from the manifest, as JVM options
	Native    bool         `json:"native,omitempty"`  // the manifest allows native access, which Java 22 and later read
	App       cache.Digest `json:"app"`               // of app.jar
	Libraries []pathJar    `json:"libraries"`         // released ones, in the order of the class path
	Others    []pathJar    `json:"others,omitempty"`  // snapshots and modules of the project
	Never     string       `json:"never,omitempty"`   // why no archive goes with it at all
	Behind    string       `json:"behind,omitempty"`  // why app.jar cannot come behind the libraries
}

// pathJar is a jar of the class path.
type pathJar struct {
	Path   string       `json:"path"` // app/lib/x.jar
	Digest cache.Digest `json:"digest"`
}

// launchOf reads from the jar what launching it takes. files are its layers'.
func (s *Step) launchOf(ctx context.Context, jar *appjar.App, files map[string][]layerFile) (*launch, error) {
	l := &launch{Main: jar.Main}
	for _, layer := range files {
		for _, f := range layer {
			if f.Path == home+"/app.jar" {
				l.App = f.Digest
			}
		}
	}
	l.readManifest(jar)
	var released, others []appjar.Library
	last := -1 // the place of the last released library
	for i, library := range jar.Libraries {
		file := pathJar{home + "/lib/" + library.Name, library.Digest}
		if strings.HasPrefix(library.Name, "spring-boot-devtools-") {
			l.Never = "Spring DevTools load the application by a class loader of their own"
		}
		if !isReleased(jar, library) {
			l.Others, others = append(l.Others, file), append(others, library)
			continue
		}
		l.Libraries, released, last = append(l.Libraries, file), append(released, library), i
	}
	switch {
	case l.Never != "":
	case jar.Kind != appjar.SpringBoot && jar.Kind != appjar.Thin && jar.Kind != appjar.Shaded && jar.Kind != appjar.Plain:
		l.Never = "a " + jar.Kind + " application has a class loader of its own"
	case len(jar.Files) > 0:
		l.Behind = fmt.Sprintf("it has more beside its jars (%s)", jar.Files[0].Path)
	case len(released) == 0:
		l.Behind = "it has no released libraries beside its own jar (image.train: full trains that jar, at each change)"
	default:
		names, err := s.libraryNames(ctx, released)
		if err != nil {
			return nil, err
		}
		before := others[:0:0]
		for i, library := range jar.Libraries {
			if i < last && !isReleased(jar, library) {
				before = append(before, library)
			}
		}
		if l.Behind, err = hidden(jar, before, names); err != nil || l.Behind != "" {
			return l, err
		}
		// The first jar's manifest is what a class gets that asks for it by name.
		class, err := jar.Mentions("META-INF/MANIFEST.MF")
		if class != "" {
			l.Behind = class + " reads META-INF/MANIFEST.MF by its name, and a library's would come first"
		}
		return l, err
	}
	return l, nil
}

// isReleased tells the libraries that an archive may stand on from those that
// change as often as the application.
func isReleased(jar *appjar.App, l appjar.Library) bool {
	return !l.Own && l.Layer != jar.Layer && l.Layer != appjar.Snapshots && l.Layer != appjar.Modules && l.Layer != appjar.Generated
}

// readManifest turns into options what java -jar takes from a manifest
// (java.util.jar's specification, “Main Attributes”).
func (l *launch) readManifest(jar *appjar.App) {
	for _, pair := range [][2]string{{"Add-Exports", "--add-exports="}, {"Add-Opens", "--add-opens="}} {
		for what := range strings.FieldsSeq(jar.Attribute(pair[0])) {
			l.Options = append(l.Options, pair[1]+what+"=ALL-UNNAMED")
		}
	}
	l.Native = jar.Attribute("Enable-Native-Access") == "ALL-UNNAMED"
	if agent := jar.Attribute("Launcher-Agent-Class"); agent != "" {
		l.Never = "the jar's manifest starts an agent (" + agent + ")"
	}
}

// options are the JVM options that stand for the manifest.
func (l *launch) options(release int) []string {
	if l.Native && release >= 22 {
		return append(l.Options[:len(l.Options):len(l.Options)], "--enable-native-access=ALL-UNNAMED")
	}
	return l.Options
}

// hidden tells what a library would hide from the application, or from a
// snapshot that comes before it, once the released ones come first.
func hidden(jar *appjar.App, before []appjar.Library, names train.Names) (string, error) {
	for _, name := range jar.Names() {
		if names.Has(name) {
			return fmt.Sprintf("%s is in the application and in a library, and the library's would come first", name), nil
		}
	}
	for _, library := range before {
		z, closer, err := library.Archive()
		if err != nil {
			continue // no archive: the JVM finds nothing in it either
		}
		for _, f := range z.File {
			if names.Has(f.Name) {
				closer.Close()
				return fmt.Sprintf("%s is in %s and in a released library, whose would come first", f.Name, library.Name), nil
			}
		}
		if err := closer.Close(); err != nil {
			return "", err
		}
	}
	return "", nil
}

// libraryNames are the entries of the released libraries: read once for a set
// of them, then one small blob of the cache.
func (s *Step) libraryNames(ctx context.Context, libraries []appjar.Library) (train.Names, error) {
	digests := make([]cache.Digest, len(libraries))
	for i, l := range libraries {
		digests[i] = l.Digest
	}
	key := cache.NewKey("image library names", train.Version).Add("libraries", digests).Key()
	if blob, _, ok := cache.Lookup[cache.Descriptor](ctx, s.deps.Cache, key); ok {
		if names, err := s.readNames(ctx, blob); err == nil {
			return names, nil
		}
	}
	names, err := readLibraries(ctx, libraries)
	if err != nil {
		return nil, err
	}
	raw := names.Bytes()
	blob := cache.Descriptor{Name: "names", MediaType: "application/octet-stream", Digest: cache.Sum(raw), Size: int64(len(raw))}
	if err := s.deps.Cache.Blobs.Put(ctx, blob.Digest, blob.Size, bytes.NewReader(raw)); err == nil {
		cache.Keep(ctx, s.deps.Cache, key, blob, []cache.Descriptor{blob})
	}
	return names, nil
}

func (s *Step) readNames(ctx context.Context, blob cache.Descriptor) (train.Names, error) {
	r, err := s.deps.Cache.Blobs.Open(ctx, blob.Digest, 0, -1)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	raw, err := io.ReadAll(r)
	if err != nil {
		return nil, err
	}
	return train.Parse(raw)
}

func readLibraries(ctx context.Context, libraries []appjar.Library) (train.Names, error) {
	sets := make([]train.Names, len(libraries))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(runtime.GOMAXPROCS(0))
	for i, l := range libraries {
		group.Go(func() error {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			z, closer, err := l.Archive()
			if err != nil {
				return nil // no archive: the JVM finds nothing in it either
			}
			defer closer.Close()
			sets[i] = train.NamesOf(z)
			return nil
		})
	}
	err := group.Wait()
	return train.Join(sets), err
}
