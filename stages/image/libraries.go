package image

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"path"
	"runtime"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/fastship/fastship/cache"
	"github.com/fastship/fastship/internal/aside"
	"github.com/fastship/fastship/stages/image/jre"
	"github.com/fastship/fastship/stages/image/stored"
	"github.com/fastship/fastship/stages/internal/oci"
)

// Values of Config.Jars.
const (
	jarsStored   = "stored"
	jarsVerbatim = "verbatim"
)

// packing names what is done to libraries on their way into a layer; it
// belongs into the key of whatever holds them.
func (c Config) packing() string {
	if c.Jars == jarsVerbatim {
		return jarsVerbatim
	}
	return stored.Version
}

func (s *Step) codecOf(files []layerFile) oci.Codec {
	return s.config.codec(slices.ContainsFunc(files, func(f layerFile) bool { return f.library })).Within(s.budget)
}

// madeLayer is a layer and what became of its libraries.
type madeLayer struct {
	oci.Layer
	// Verbatim says which libraries stayed as they are though they should not
	// have, and why.
	Verbatim []string `json:"verbatim,omitempty"`
}

// writeLayer writes one layer. Whether a jar can be rewritten is known for
// sure when the last byte of it was inflated. To do that beforehand would cost
// as much as the rewriting itself, and honest jars are what they say: so one
// that is not begins the layer anew, without rewriting that jar.
// watch sees the libraries on their way.
func (s *Step) writeLayer(ctx context.Context, role string, files []layerFile, watch *jre.Watch) (madeLayer, error) {
	stays := map[string]string{} // path in the image → why
	for {
		ready, err := s.ready(ctx, files, stays, watch)
		if err != nil {
			return madeLayer{}, err
		}
		l, err := oci.WriteLayer(ctx, s.deps.Cache.Blobs, role, ready, s.codecOf(files))
		if refused, ok := errors.AsType[*refusal](err); ok && ctx.Err() == nil {
			stays[refused.path] = refused.Reason
			continue
		}
		made := madeLayer{Layer: l}
		for _, p := range slices.Sorted(maps.Keys(stays)) {
			made.Verbatim = append(made.Verbatim, fmt.Sprintf("%s stays as it is in the image: %s", path.Base(p), stays[p]))
		}
		return made, err
	}
}

// refusal is a library that was found not to be rewritable while it was
// written.
type refusal struct {
	path string
	*stored.Unfaithful
}

func (r *refusal) Unwrap() error { return r.Unfaithful }

// ready makes the entries of a layer, and adds to stays the libraries whose
// directories show already that they cannot be rewritten.
func (s *Step) ready(ctx context.Context, files []layerFile, stays map[string]string, watch *jre.Watch) ([]oci.File, error) {
	out := make([]oci.File, len(files))
	reasons := make([]string, len(files))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(runtime.GOMAXPROCS(0))
	for i, f := range files {
		out[i] = oci.File{Path: f.Path, Mode: 0o644, ModTime: modTime(f.Digest), Size: f.size, Open: f.verified}
		if reason, stay := stays[f.Path]; stay || !f.library || s.config.packing() == jarsVerbatim {
			reasons[i] = reason
			continue
		}
		group.Go(func() error {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			size, err := f.rewrittenSize()
			if u, ok := errors.AsType[*stored.Unfaithful](err); ok {
				reasons[i] = u.Reason
				return nil
			}
			out[i].Size, out[i].Write = size, func(w io.Writer) (err error) {
				aside.Do(ctx, func() { err = f.rewrite(w, watch) })
				return err
			}
			if err != nil {
				return fmt.Errorf("read %s: %w", path.Base(f.Path), err)
			}
			return nil
		})
	}
	err := group.Wait()
	for i, reason := range reasons {
		if reason != "" {
			stays[files[i].Path] = reason
		}
	}
	return out, err
}

// rewrittenSize is how much rewrite will write. The jar's directory is
// not kept for that: those of a large application's libraries add up.
func (f layerFile) rewrittenSize() (int64, error) {
	j, closer, err := f.jar()
	if err != nil {
		return 0, err
	}
	return j.Size(), closer.Close()
}

func (f layerFile) jar() (*stored.Jar, io.Closer, error) {
	if f.content == nil {
		return nil, nil, &stored.Unfaithful{Reason: "it is compressed within the application's jar, and too large to unpack in memory"}
	}
	r, closer, err := f.content()
	if err != nil {
		return nil, nil, err
	}
	j, err := stored.Read(r, f.size)
	if err != nil {
		closer.Close()
		return nil, nil, err
	}
	return j, closer, nil
}

// rewrite writes the library's new bytes. It ends well only if the original's
// are those that the layer's key was made of.
func (f layerFile) rewrite(w io.Writer, watch *jre.Watch) error {
	j, closer, err := f.jar()
	if err != nil {
		return f.refused(err)
	}
	defer closer.Close()
	view, look := watch.View(f.Digest), stored.Look(nil)
	if view != nil {
		look = view.Entry
	}
	digest, err := j.Rewrite(w, look)
	switch {
	case err != nil:
		return f.refused(err)
	case digest != f.Digest:
		return f.changed()
	case view != nil:
		view.Keep()
	}
	return nil
}

func (f layerFile) changed() error { return fmt.Errorf("%s changed while it was read", f.Path) }

// refused tells writeLayer which library it is that cannot be rewritten.
func (f layerFile) refused(err error) error {
	if u, ok := errors.AsType[*stored.Unfaithful](err); ok {
		return &refusal{f.Path, u}
	}
	return err
}

// layerKey names a layer's content: the codec, what is done to libraries, and
// each jar's place and sha256.
func (s *Step) layerKey(files []layerFile) cache.Key {
	key := cache.NewKey("image layer", "2").Add("codec", s.codecOf(files).Name)
	if slices.ContainsFunc(files, func(f layerFile) bool { return f.library }) {
		key = key.Add("jars", s.config.packing())
	}
	return key.Add("files", files).Key()
}
