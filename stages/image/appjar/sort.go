package appjar

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"path"
	"runtime"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/fastship/fastship/cache"
	"github.com/fastship/fastship/internal/zipfs"
)

// hash fills the digests of libraries and files, as many at once as there are
// processors. Jars that this build made are first given bytes that do not
// hang on the time of day.
func (a *App) hash(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(runtime.GOMAXPROCS(0))
	buffers := sync.Pool{New: func() any { return new([128 << 10]byte) }}
	each := func(name string, size int64, digest *cache.Digest, open func() (io.ReadCloser, error)) {
		group.Go(func() error {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			buffer := buffers.Get().(*[128 << 10]byte)
			defer buffers.Put(buffer)
			d, err := sum(open, size, buffer[:])
			if err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			*digest = d
			return nil
		})
	}
	for i := range a.Libraries {
		l := &a.Libraries[i]
		if named(l.Name, a.options.Modules) {
			l.settle()
		}
		if l.Entry.Size > 0 && a.options.Known != nil {
			l.Digest = a.options.Known(l.Entry)
		}
		if l.Digest == "" {
			each("library "+l.Name, l.Size, &l.Digest, l.Open)
		}
	}
	for i := range a.Files {
		if f := &a.Files[i]; f.Digest == "" {
			each(f.Path, f.Size, &f.Digest, f.Open)
		}
	}
	return group.Wait()
}

// sum reads size bytes by way of buffer, and refuses more and fewer.
func sum(open func() (io.ReadCloser, error), size int64, buffer []byte) (cache.Digest, error) {
	r, err := open()
	if err != nil {
		return "", err
	}
	defer r.Close()
	h := sha256.New()
	n, err := io.CopyBuffer(h, io.LimitReader(r, size+1), buffer)
	switch {
	case err != nil:
		return "", err
	case n > size:
		return "", fmt.Errorf("%w: more than the %d bytes that its entry says", zipfs.ErrFormat, size)
	case n < size:
		return "", fmt.Errorf("%w: %d bytes instead of %d", zipfs.ErrFormat, n, size)
	}
	return cache.FromSum(h.Sum(nil)), nil
}

// settle makes the library's bytes those of an own jar. One that is no clean
// archive stays as it is: others judge it.
func (l *Library) settle() {
	if l.Content == nil {
		return
	}
	content, size := l.Content, l.Size
	j, closer, err := openOwnJar(content, size)
	if err != nil {
		return
	}
	digest, settled, err := j.sum()
	if errors.Join(err, closer.Close()) != nil {
		return
	}
	l.Own, l.Content, l.Digest, l.Size = true, nil, digest, settled
	l.Open = func() (io.ReadCloser, error) {
		j, closer, err := openOwnJar(content, size)
		if err != nil {
			return nil, err
		}
		return j.open(closer), nil
	}
}

// named tells whether a library's file is one of names. Quarkus puts the group
// in front of a file's name.
func named(library string, names []string) bool {
	base := path.Base(library)
	return slices.ContainsFunc(names, func(n string) bool { return n != "" && (base == n || strings.HasSuffix(base, "."+n)) })
}

// assign gives every library its layer and keeps the layers that are used.
func (a *App) assign() {
	indexed := a.Layers != nil
	if !indexed {
		a.Layers, a.Layer = []string{Dependencies, Snapshots, Modules, Generated, Webapp, Application}, Application
	}
	used := map[string]bool{a.Layer: true}
	for i := range a.Libraries {
		l := &a.Libraries[i]
		switch {
		case l.Layer != "" && !usual(l.Layer):
			// The project's own layers.idx has a better idea.
		case named(l.Name, a.options.Modules):
			l.Layer = Modules
		case (l.Layer == "" && !indexed || l.Layer == Dependencies) && (named(l.Name, a.options.Snapshots) || !indexed && strings.Contains(l.Name, "SNAPSHOT")):
			l.Layer = Snapshots
		case l.Layer == "" && !indexed:
			l.Layer = Dependencies
		case l.Layer == "":
			l.Layer = a.Layer
		}
		used[l.Layer] = true
	}
	for _, f := range a.Files {
		used[f.Layer] = true
	}
	if used[Snapshots] && !slices.Contains(a.Layers, Snapshots) {
		a.Layers = slices.Insert(a.Layers, slices.Index(a.Layers, Dependencies)+1, Snapshots)
	}
	for _, name := range []string{Modules, Webapp} {
		if used[name] && !slices.Contains(a.Layers, name) {
			a.Layers = slices.Insert(a.Layers, slices.Index(a.Layers, a.Layer), name)
		}
	}
	a.Layers = slices.DeleteFunc(a.Layers, func(name string) bool { return !used[name] })
}

// usual tells a layer that Spring Boot's plug-ins make unasked.
func usual(layer string) bool {
	return layer == Dependencies || layer == Snapshots || layer == Application
}
