// Package train makes a class data archive for an application's start: it
// starts the application once in the very root file system that it will ship
// in, notes which classes the JVM loads, and has the JVM write those of the
// libraries, parsed and laid out in memory, into one file. A JVM that maps the
// file starts in about half the time.
//
// An archive over libraries alone survives every change of the application:
// the JVM compares its own class path with the beginning of the one it is
// started with. A JVM knows a jar of the class path by name, size and time
// only, and a class of the application found in an archive would be the old
// one: so the application's own classes stay out, unless the archive is made
// anew with each change of it (Request.Whole).
//
// What the JVM does by itself: classes of signed jars and of a class file
// format before Java 6 are left out of the archive, those of multi-release
// jars are taken from the directory of its version.
package train

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/fastship/fastship/cache"
	"github.com/fastship/fastship/internal/container"
	"github.com/fastship/fastship/internal/scratch"
	"github.com/fastship/fastship/runner"
	"github.com/fastship/fastship/stages/internal/oci"
)

// Version belongs into the key of an archive: another version makes another
// one of the same libraries.
const Version = "trained start-up 3"

// OldestJava is the first release whose JVM archives classes of the class path
// without a commercial licence (JEP 310; from 11 on without a flag).
const OldestJava = 11

// Folder is where in the image the archive is, and the files beside it that
// the JVM's command line names.
const Folder = "app/cds"

// Limits of one training, unless Request says otherwise: how long the
// application may take to start, and the JVM to write the archive.
const (
	startLimit = 2 * time.Minute
	dumpLimit  = 3 * time.Minute
)

// Request says what is trained.
type Request struct {
	Store  cache.LocalStore
	Layers []oci.Layer // the image's root, bottom first, their blobs in Store
	Codec  oci.Codec   // of the archive's layer

	Java    string   // the java program in the root
	Release int      // its Java release; 0 when unknown
	Env     []string // the image's whole environment
	User    string   // the image's user
	Dir     string   // the image's working directory

	Base    []string // the JVM flags that a start in the image begins with: the base's own
	Flags   []string // the user's JVM flags
	Options []string // what java -jar takes from the manifest, as JVM options
	Main    string   // the application's main class
	Args    []string // its arguments
	App     string   // the absolute path of the application's jar in the root

	// Libraries are the jars that the archive stands on, absolute paths in
	// the order of the class path; they go in front of App.
	Libraries []string
	// Others are further jars of the class path, whose classes stay out of
	// the archive as those of App do. App's manifest names them.
	Others []string
	// Whole takes the classes of App and Others too. The class path is then
	// that of java -jar App, and the archive fits to this App only.
	Whole bool

	Limit time.Duration // instead of the limits of start and archive, each; 0 keeps them
	Emit  func(runner.Body)
}

// Archive is a finished archive.
type Archive struct {
	Layer   oci.Layer `json:"layer"`   // holds Folder and nothing else
	Classes int       `json:"classes"` // how many names its class list has
	// Start tells how far the application came, for people; Ready whether it
	// came all the way.
	Start string `json:"start"`
	Ready bool   `json:"ready"`
}

// Refused tells that this application, with this JVM, gives no archive: to try
// again with the same would end the same way, unless it was only Slow.
type Refused struct {
	Reason string
	Slow   bool // the JVM's time ran out, perhaps on a busy machine
}

func (e *Refused) Error() string { return e.Reason }

// Arguments are the JVM's first arguments in an image that has the archive's
// layer. Those after them are the manifest's options and the user's flags.
func Arguments() []string { return []string{"@/" + Folder + "/" + argumentsFile} }

const steps = 4 // of Progress: unpack, start, archive, compress

// Run trains. Errors: *Refused; one of class fault.Missing where this machine
// allows no namespaces; the context's; others are faults of this machine.
// Nothing is left behind.
func Run(ctx context.Context, r Request) (Archive, error) {
	dir, remove, err := scratch.Dir(os.TempDir(), "fastship-train-")
	if err != nil {
		return Archive{}, fmt.Errorf("train the start: %w", err)
	}
	defer remove()
	defer func() { _ = container.RemoveAll(dir) }() // overlays leave folders that let nobody in
	t := &training{Request: r, dir: dir, root: filepath.Join(dir, "root"), work: filepath.Join(dir, "work")}
	a, err := t.run(ctx)
	if err != nil && ctx.Err() != nil {
		return a, context.Cause(ctx)
	}
	return a, err
}

type training struct {
	Request
	dir  string // of this training
	root string // the image's tree
	work string // a tree above it: what goes in, and finally the layer's files
	runs int
}

func (t *training) run(ctx context.Context) (Archive, error) {
	if err := container.Available(ctx); err != nil {
		return Archive{}, err
	}
	t.progress(0)
	if err := t.unpack(ctx); err != nil {
		return Archive{}, fmt.Errorf("train the start: %w", err)
	}
	if err := t.findRelease(ctx); err != nil {
		return Archive{}, err
	}
	t.progress(1)
	a, list, err := t.start(ctx)
	if err != nil {
		return a, err
	}
	t.progress(2)
	if err := t.dump(ctx, list); err != nil {
		return a, err
	}
	t.progress(3)
	a.Layer, err = t.layer(ctx)
	if err == nil {
		t.progress(steps)
	}
	return a, err
}

func (t *training) progress(done int64) {
	t.Emit(runner.Progress{What: "train the start", Unit: "steps", Done: done, Total: steps})
}

// execute runs a program in the image's root, with work laid over it.
func (t *training) execute(ctx context.Context, steady bool, out *tail, args ...string) (*container.Container, string, error) {
	t.runs++
	place := filepath.Join(t.dir, fmt.Sprintf("scratch-%d", t.runs))
	if err := os.Mkdir(place, 0o755); err != nil {
		return nil, "", fmt.Errorf("train the start: %w", err)
	}
	c, err := container.Run(ctx, container.Spec{
		Layers: []string{t.root, t.work}, Scratch: place, Args: slices.Concat([]string{t.Java}, args),
		Env: t.Env, User: t.User, Dir: t.Dir, Hostname: "training", Steady: steady,
		Stdout: out.add, Stderr: out.add,
	})
	return c, place, err
}

func (t *training) limit(otherwise time.Duration) time.Duration {
	if t.Limit > 0 {
		return t.Limit
	}
	return otherwise
}
