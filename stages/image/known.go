package image

import (
	"context"
	"errors"

	"github.com/fastship/fastship/cache"
	"github.com/fastship/fastship/runner"
	"github.com/fastship/fastship/stages/image/appjar"
	"github.com/fastship/fastship/stages/image/inspect"
	"github.com/fastship/fastship/stages/image/jre"
	"github.com/fastship/fastship/stages/internal/oci"
	"github.com/fastship/fastship/stages/internal/stamp"
)

// applicationVersion changes whenever the same jar would give other layers,
// modules or warnings.
const applicationVersion = "6"

// application is all that an image takes from the jar. A known one spares
// reading the jar; base and labels are apart, so that another commit or
// another base keeps it.
type application struct {
	Kind     string      `json:"kind"`
	Release  int         `json:"release"` // the Java release that its classes need; 0 when unknown
	Warnings []string    `json:"warnings,omitempty"`
	Notes    []string    `json:"notes,omitempty"` // which libraries stayed as they are, and why
	Needs    jre.Needs   `json:"needs"`           // of the base; with a jlink base alone
	Layers   []oci.Layer `json:"layers"`          // bottom first
	Newest   newest      `json:"newest"`          // of the libraries
	// Inputs are the files of each layer, by its role.
	Inputs map[string][]inspect.Input `json:"inputs,omitempty"`
	Launch *launch                    `json:"launch,omitempty"` // nil when nobody asked: image.train: never
}

// warn says what the user should know of the jar.
func (a application) warn(env runner.Env) {
	for _, w := range a.Warnings {
		env.Emit(runner.Warning{Text: w})
	}
}

// note says what became of the libraries.
func (a application) note(env runner.Env) {
	for _, n := range a.Notes {
		env.Emit(runner.Note{Text: n})
	}
}

// name is the key of the application that in's jar holds; empty when the file
// is not, or not any more, the one that in tells of.
func (s *Step) name(book *stamp.Book, in In, targets []target) cache.Key {
	if in.Jar.Digest == "" || !book.Is(in.Jar.Name, in.Jar) {
		return ""
	}
	key := cache.NewKey("image application", applicationVersion).Add("jar", string(in.Jar.Digest)).
		Add("snapshots", in.Snapshots).Add("modules", in.Modules).Add("codecs", []string{s.config.codec(true).Name, s.config.codec(false).Name}).Add("jars", s.config.packing())
	if s.config.Train == trainNever {
		key = key.Add("train", trainNever)
	}
	if s.config.Main != "" {
		key = key.Add("main", s.config.Main)
	}
	if s.config.Base == jlink {
		id, err := targets[0].linker.Identity()
		if err != nil {
			return "" // linking will say why
		}
		key = key.Add("JDK", string(id)).Add("rules", string(jre.ModuleRules())).Add("modules", s.modules(targets[0].linker))
	}
	return key.Key()
}

// recall finds an application that was read before, its layers in the cache.
func (s *Step) recall(ctx context.Context, key cache.Key) (application, bool) {
	if key == "" {
		return application{}, false
	}
	app, _, ok := cache.Lookup[application](ctx, s.deps.Cache, key)
	return app, ok
}

// remember keeps an application whose jar was the same from its naming to the
// last byte read. What a jar names beside it is not covered by its digest.
func (s *Step) remember(ctx context.Context, book *stamp.Book, key cache.Key, in In, jar *appjar.App, app application) {
	if key == "" || jar.Beside || !book.Is(in.Jar.Name, in.Jar) {
		return
	}
	blobs := make([]cache.Descriptor, len(app.Layers))
	for i, l := range app.Layers {
		blobs[i] = l.Descriptor
	}
	cache.Keep(ctx, s.deps.Cache, key, app, blobs)
}

// lost tells that the cache turned out not to have, or to have broken, what
// its look-up promised.
func lost(err error) bool {
	return errors.Is(err, cache.ErrCorrupt) || errors.Is(err, cache.ErrNotFound)
}
