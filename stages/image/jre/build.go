package jre

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/fastship/fastship/cache"
	"github.com/fastship/fastship/internal/fault"
	"github.com/fastship/fastship/runner"
	"github.com/fastship/fastship/stages/internal/oci"
)

// Request says which base is wanted.
type Request struct {
	JDK     JDK      // that the base is made of
	Linker  JDK      // the one on this machine whose jlink makes it: JDK itself, or one of the same release
	Modules []string // complete, as Modules gives them
	Natives []Native // what the application's jars load, as Inspect gives it
	// Certificates are authorities that the image trusts besides the JDK's.
	Certificates []Certificate
	// Debug adds a shell with the usual tools.
	Debug bool
	Codec oci.Codec // how the layer is compressed
	Emit  func(runner.Body)

	reads bool // look up alone: make nothing
}

// Base is a Java run-time environment in one layer, and what an image on it
// has to say in its configuration.
type Base struct {
	Layer    oci.Layer `json:"layer"`
	Packages []Package `json:"packages"` // of the distribution, that the layer has parts of
	System   System    `json:"system"`
	JavaPath string    `json:"javaPath"` // of the java program: /opt/java/bin/java
	Env      []string  `json:"env"`      // NAME=value
	User     string    `json:"user"`     // uid:gid of an account without rights
	Flags    []string  `json:"flags"`    // that java has to be started with; replaced by JAVA_TOOL_OPTIONS all the same
	Name     string    `json:"name"`     // for people: jlink of JDK 17.0.15 (Debian)
}

// recipe changes whenever the same inputs would give another layer.
const recipe = "3"

// Build returns the base that the request describes: from the cache when one
// was linked before from the same JDK, shared libraries, certificates, fonts
// and locale, else by linking it. The layer's bytes depend on these and the
// codec alone. Errors are of class fault.ImageFailed; a cancel leaves nothing
// behind.
func Build(ctx context.Context, c *cache.Cache, r Request) (Base, error) {
	base, err := build(ctx, c, r)
	if err != nil {
		err = fmt.Errorf("link a base from %s: %w", r.JDK, err)
	}
	return base, fault.As(fault.ImageFailed, err)
}

// Lookup returns the base that Build would take from the cache; ok is false
// where it would link one. It only reads.
func Lookup(ctx context.Context, c *cache.Cache, r Request) (base Base, ok bool) {
	r.reads = true
	_, _, key, err := r.inputs(ctx, c)
	if err != nil {
		return Base{}, false // Build says why
	}
	l, _, ok := cache.Lookup[linked](ctx, c, key)
	return r.base(l), ok
}

func build(ctx context.Context, c *cache.Cache, r Request) (Base, error) {
	around, tools, key, err := r.inputs(ctx, c)
	if err != nil {
		return Base{}, err
	}
	l, _, _, err := cache.Do(ctx, c, key, func(ctx context.Context) (linked, []cache.Descriptor, error) {
		sweep()
		l, err := r.make(ctx, c, around, tools)
		return l, []cache.Descriptor{l.Descriptor}, err
	})
	return r.base(l), err
}

// inputs finds what goes into the layer beside the JDK, and the layer's key.
func (r Request) inputs(ctx context.Context, c *cache.Cache) (system, tools, cache.Key, error) {
	var t tools
	around, err := surroundings(r.JDK, r.desktop())
	if err != nil {
		return around, t, "", err
	}
	trusted, err := r.trust(ctx, c)
	if err != nil {
		return around, t, "", err
	}
	around.files = append(around.files, trusted...)
	if r.Debug {
		t = findTools(r.JDK.Root)
	}
	key, err := r.key(around, t)
	return around, t, key, err
}

// base is what an image says of a linked layer.
func (r Request) base(l linked) Base {
	path := "/" + javaHome + "/bin"
	if r.Debug {
		path += ":/usr/bin:/bin"
	}
	return Base{
		Layer:    l.Layer,
		Packages: l.Packages,
		System:   l.System,
		JavaPath: "/" + javaHome + "/bin/java",
		Env:      []string{"PATH=" + path, "JAVA_HOME=/" + javaHome, "LANG=C.UTF-8"},
		Flags:    r.flags(),
		User:     fmt.Sprintf("%d:%d", userID, userID),
		Name:     r.name(),
	}
}

// linked is a base's layer, and where its parts come from: found out on the
// machine that linked it.
type linked struct {
	oci.Layer
	Packages []Package `json:"packages,omitempty"`
	System   System    `json:"system"`
}

// name tells people what the base is.
func (r Request) name() string {
	if r.JDK.Major < 9 {
		return "jre of " + r.JDK.String()
	}
	return fmt.Sprintf("jlink of %s (%d modules)", r.JDK, len(r.Modules))
}

// flags lead the JVM to its default options where they are not inside it.
func (r Request) flags() []string {
	if r.JDK.linksOptions() {
		return nil
	}
	return []string{"-XX:Flags=/" + optionsFile}
}

func (r Request) desktop() bool { return slices.Contains(r.Modules, "java.desktop") }

// key names everything that the layer is made of, by content: the same JDK on
// another machine of the same distribution has the same key.
func (r Request) key(around system, tools tools) (cache.Key, error) {
	jdk, err := r.JDK.identity()
	if err != nil {
		return "", err
	}
	// Which libraries the linked image needs is known only when it stands;
	// those of the whole JDK include them.
	libs, err := needed(r.JDK.Root, r.JDK.runtime(), r.desktop(), r.Natives, tools.programs())
	if err != nil {
		return "", err
	}
	ids, err := libs.identity()
	if err != nil {
		return "", err
	}
	key := cache.NewKey("jlink base", recipe).Add("jdk", string(jdk)).Add("modules", r.Modules).
		Add("libraries", ids).Add("options", r.JDK.defaultOptions()).Add("codec", r.Codec.Name)
	toolIDs, err := tools.identity()
	if err != nil {
		return "", err
	}
	if r.Debug {
		key = key.Add("tools", toolIDs)
	}
	for _, f := range around.files {
		key = key.Add(f.path, string(cache.Sum(f.data)))
	}
	return key.Key(), nil
}

// make links the base and writes its layer.
func (r Request) make(ctx context.Context, c *cache.Cache, around system, tools tools) (linked, error) {
	start := time.Now()
	r.note("making a base: %s", r.name())
	dir, release, err := workspace()
	if err != nil {
		return linked{}, err
	}
	defer release()
	home, fixed, err := link(ctx, r, dir)
	if err != nil {
		return linked{}, err
	}
	libs, err := needed(r.JDK.Root, home, r.desktop(), r.Natives, tools.programs())
	if err != nil {
		return linked{}, err
	}
	r.warn(fixed, libs, around, tools)
	files, err := runtimeEntries(r.JDK.Root, home)
	if err != nil {
		return linked{}, err
	}
	more, err := libs.entries()
	if err != nil {
		return linked{}, err
	}
	programs, err := tools.entries()
	if err != nil {
		return linked{}, err
	}
	more = append(more, programs...)
	var l linked
	if l.System, err = distribution(r.JDK.Root); err != nil {
		return linked{}, err
	}
	if l.Packages, err = packagesOf(r.JDK.Root, append(libs.origins(r.JDK), tools.origins()...)); err != nil {
		return linked{}, err
	}
	told, err := packageEntries(r.JDK.Root, l.Packages)
	if err != nil {
		return linked{}, err
	}
	l.Layer, err = oci.WriteLayer(ctx, c.Blobs, "base", slices.Concat(files, more, around.entries(), told), r.Codec)
	if err == nil {
		r.note("made the base in %.1f s: %.1f MB, %.1f MB compressed", time.Since(start).Seconds(),
			float64(l.Uncompressed)/1e6, float64(l.Descriptor.Size)/1e6)
	}
	return l, err
}

func (r Request) note(format string, args ...any) {
	r.Emit(runner.Note{Text: fmt.Sprintf(format, args...)})
}

// warn tells what this machine could not give.
func (r Request) warn(fixed bool, libs libraries, around system, tools tools) {
	if !fixed {
		r.Emit(runner.Warning{Text: "class data cannot be archived the same way each time here (it takes chrt, taskset, setarch -R and a short TMPDIR): linked again, this base will have another digest"})
	}
	where := "this machine"
	if libs.root != "/" {
		where = "the system in " + libs.root
	}
	for _, m := range libs.missing {
		r.Emit(runner.Warning{Text: where + " does not have " + m + ": it will be missing in the image too"})
	}
	for _, e := range expired(r.Certificates, time.Now()) {
		r.Emit(runner.Warning{Text: e})
	}
	if r.Debug && len(tools.files) == 0 {
		r.Emit(runner.Warning{Text: where + " has neither busybox nor /bin/sh: the image has no shell, whatever image.debug says"})
	}
	for _, l := range around.lacking {
		r.Emit(runner.Warning{Text: l})
	}
}
