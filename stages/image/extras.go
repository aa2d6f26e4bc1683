package image

import (
	"context"
	"fmt"
	"time"

	"github.com/fastship/fastship/cache"
	"github.com/fastship/fastship/internal/sizes"
	"github.com/fastship/fastship/stages/image/extra"
	"github.com/fastship/fastship/stages/internal/oci"
	"github.com/fastship/fastship/stages/internal/stamp"
)

// extraLayer is the role of the layer that holds image.files. It is on top:
// what the user puts there is what the container sees.
const extraLayer = "files"

// extraEntry is what the layer's key says of one entry.
type extraEntry struct {
	Path   string       `json:"path"`
	Mode   uint32       `json:"mode"`
	UID    int          `json:"uid"`
	GID    int          `json:"gid"`
	Time   int64        `json:"time"`             // Unix; 0 for the layer's own
	Digest cache.Digest `json:"digest,omitempty"` // empty for folders
}

// extras makes the layer of image.files, or takes it from the cache: a file
// whose stamp is known is not read. Without any files there is no layer.
func (s *Step) extras(ctx context.Context, book *stamp.Book) (layers []oci.Layer, written int, err error) {
	found, err := extra.Find(ctx, s.config.Dir, s.config.Files)
	if err != nil || len(found) == 0 {
		return nil, 0, err
	}
	keyed := make([]extraEntry, len(found))
	files := make([]oci.File, len(found))
	for i, e := range found {
		keyed[i] = extraEntry{Path: e.Path, Mode: uint32(e.Mode), UID: e.UID, GID: e.GID, Time: seconds(e.Time)}
		files[i] = oci.File{Path: e.Path, Mode: e.Mode, UID: e.UID, GID: e.GID, ModTime: e.Time, Size: e.Size}
		if e.Mode.IsDir() {
			continue
		}
		d, err := book.Digest(e.Source)
		if err != nil {
			return nil, 0, fmt.Errorf("image.files: %w", err)
		}
		keyed[i].Digest, files[i].Size = d.Digest, d.Size
		files[i].Open = layerFile{Path: e.Path, Digest: d.Digest, open: e.Open}.verified
	}
	codec := s.config.codec(false).Within(s.budget)
	key := cache.NewKey("image files", "1").Add("codec", codec.Name).Add("files", keyed).Key()
	layer, _, hit, err := cache.Do(ctx, s.deps.Cache, key, func(ctx context.Context) (oci.Layer, []cache.Descriptor, error) {
		l, err := oci.WriteLayer(ctx, s.deps.Cache.Blobs, extraLayer, files, codec)
		return l, []cache.Descriptor{l.Descriptor}, err
	})
	if err != nil {
		return nil, 0, err
	}
	if !hit {
		written = 1
	}
	layer.Descriptor.Name = extraLayer
	return []oci.Layer{layer}, written, nil
}

// planExtras tells of the layer, where the files are there already.
func (s *Step) planExtras(ctx context.Context) []string {
	found, err := extra.Find(ctx, s.config.Dir, s.config.Files)
	if err != nil || len(found) == 0 {
		return nil
	}
	files, size, noun := 0, int64(0), "files"
	for _, e := range found {
		if !e.Mode.IsDir() {
			files++
			size += e.Size
		}
	}
	if files == 1 {
		noun = "file"
	}
	return []string{fmt.Sprintf("layer %s: %d %s, %s", extraLayer, files, noun, sizes.Text(size))}
}

func seconds(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.Unix()
}
