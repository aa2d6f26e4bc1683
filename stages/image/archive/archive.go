// Package archive writes an image as a docker-archive: the tar that docker
// save writes and docker load reads, on every engine since 1.10.
//
// Engines before 23 cannot read zstd, so no layer in the archive is: where an
// image has one, all its layers are unpacked, since readers (crane, for one)
// take an archive's layers for all compressed or all not. Gzip stays gzip.
package archive

import (
	"archive/tar"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// Manifest is one item of an archive's manifest.json, its first entry.
type Manifest struct {
	Config   string   // the config's entry: SHA256.json
	RepoTags []string // names with tags
	Layers   []string // the layers' entries, bottom first
}

// Plan is an archive that is known but not written.
type Plan struct {
	image  v1.Image
	config []byte
	text   []byte // manifest.json
	layers []layer
	skip   int
}

type layer struct {
	v1.Layer
	name   string
	unpack bool
}

// New plans an archive of image under those names (name:tag). The first skip
// layers are named and left out, for an engine that has them.
func New(image v1.Image, names []string, skip int) (*Plan, error) {
	p := &Plan{image: image, skip: skip}
	var err error
	if p.config, err = image.RawConfigFile(); err != nil {
		return nil, err
	}
	id, err := image.ConfigName()
	if err != nil {
		return nil, err
	}
	layers, err := image.Layers()
	if err != nil {
		return nil, err
	}
	m := Manifest{Config: id.Hex + ".json", RepoTags: names, Layers: []string{}}
	unpack, err := zstdIn(layers)
	if err != nil {
		return nil, err
	}
	for _, l := range layers {
		// An unpacked layer is named by its diff ID, so that an archive is
		// known by its manifest alone.
		name, err := l.Digest()
		if unpack {
			name, err = l.DiffID()
		}
		if err != nil {
			return nil, err
		}
		p.layers = append(p.layers, layer{l, name.Hex + ".tar", unpack})
		m.Layers = append(m.Layers, name.Hex+".tar")
	}
	p.text, err = json.Marshal([]Manifest{m})
	return p, err
}

func zstdIn(layers []v1.Layer) (bool, error) {
	for _, l := range layers {
		mediaType, err := l.MediaType()
		if err != nil {
			return false, err
		}
		if strings.HasSuffix(string(mediaType), "zstd") {
			return true, nil
		}
	}
	return false, nil
}

// Same tells whether r begins an archive that this one would be, which only a
// whole archive can: it is there by renaming.
func (p *Plan) Same(r io.Reader) bool {
	t := tar.NewReader(r)
	h, err := t.Next()
	if err != nil || h.Name != "manifest.json" || h.Size != int64(len(p.text)) {
		return false
	}
	b, err := io.ReadAll(t)
	return err == nil && string(b) == string(p.text)
}

// Write writes the archive in one pass: manifest.json, config, layers from the
// bottom. Nothing in it is of this machine. A layer that is not what its
// digest says is an error, and what was written until then is no archive.
func (p *Plan) Write(ctx context.Context, w io.Writer) error {
	t := tar.NewWriter(w)
	if err := text(t, "manifest.json", p.text); err != nil {
		return err
	}
	id, err := p.image.ConfigName()
	if err != nil {
		return err
	}
	if err := text(t, id.Hex+".json", p.config); err != nil {
		return err
	}
	for i, l := range p.layers {
		twice := slices.ContainsFunc(p.layers[min(p.skip, i):i], func(o layer) bool { return o.name == l.name })
		if i < p.skip || twice {
			continue
		}
		if err := l.write(ctx, t); err != nil {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			return fmt.Errorf("write layer %d to the archive: %w", i+1, err)
		}
	}
	return t.Close()
}

func text(t *tar.Writer, name string, content []byte) error {
	if err := t.WriteHeader(header(name, int64(len(content)))); err != nil {
		return err
	}
	_, err := t.Write(content)
	return err
}

func header(name string, size int64) *tar.Header {
	return &tar.Header{Typeflag: tar.TypeReg, Name: name, Size: size, Mode: 0o444, ModTime: time.Unix(1, 0).UTC()}
}

// write adds one layer. A tar's header comes first and holds the size, so one
// that is unpacked on the way is unpacked twice: in memory of a few blocks,
// and zstd at near a gigabyte a second.
func (l layer) write(ctx context.Context, t *tar.Writer) error {
	size, err := l.Size()
	open, want := l.Compressed, l.Digest
	if l.unpack {
		open, want = l.Uncompressed, l.DiffID
		size, err = l.measure(ctx)
	}
	if err != nil {
		return err
	}
	digest, err := want()
	if err != nil {
		return err
	}
	if err := t.WriteHeader(header(l.name, size)); err != nil {
		return err
	}
	r, err := open()
	if err != nil {
		return err
	}
	defer r.Close()
	got, n, err := v1.SHA256(io.TeeReader(&stopped{ctx, r}, t))
	if err != nil {
		return err
	}
	if got != digest || n != size {
		return fmt.Errorf("%s is broken: its %d bytes are %s", digest, n, got)
	}
	return nil
}

func (l layer) measure(ctx context.Context) (int64, error) {
	r, err := l.Uncompressed()
	if err != nil {
		return 0, err
	}
	defer r.Close()
	return io.Copy(io.Discard, &stopped{ctx, r})
}

// stopped ends a read when its context has.
type stopped struct {
	ctx context.Context
	r   io.Reader
}

func (s *stopped) Read(p []byte) (int, error) {
	if s.ctx.Err() != nil {
		return 0, context.Cause(s.ctx)
	}
	return s.r.Read(p)
}
