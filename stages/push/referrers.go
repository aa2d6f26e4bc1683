package push

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/fastship/fastship/cache"
	"github.com/fastship/fastship/internal/pause"
	"github.com/fastship/fastship/stages/internal/oci"
)

// tagOf is the tag that lists an image's referrers where a registry does not
// (distribution-spec v1.1, “Referrers Tag Schema”).
func tagOf(image manifest) string { return strings.Replace(image.digest, ":", "-", 1) }

// referrerIndex is an index whose entries are kept as they are, so that what
// others wrote of theirs is not lost.
type referrerIndex struct {
	SchemaVersion int               `json:"schemaVersion"`
	MediaType     string            `json:"mediaType"`
	Manifests     []json.RawMessage `json:"manifests"`
	Annotations   map[string]string `json:"annotations,omitempty"`
}

// maxTurns bounds how often the list is written when others write it, too.
const maxTurns = 6

// refer adds artifacts to the tag that lists the image's referrers. A tag has
// no compare-and-swap: two writers may read the same list, and the later write
// loses the earlier one's entries. So each reads again what it wrote, and the
// loser adds its own once more.
func (r *repository) refer(ctx context.Context, image manifest, artifacts []artifact) error {
	tag := tagOf(image)
	for turn := range maxTurns {
		list, err := r.readReferrers(ctx, tag)
		if err != nil {
			return err
		}
		added, err := list.add(artifacts)
		if err != nil || !added {
			return err
		}
		raw, err := json.Marshal(list)
		if err != nil {
			return fmt.Errorf("write the list of referrers: %w", err)
		}
		if turn > 0 {
			if err := pause.For(ctx, time.Duration(50+rand.IntN(400))*time.Millisecond); err != nil {
				return err
			}
		}
		if _, err := r.putManifest(ctx, tag, manifest{digest: string(cache.Sum(raw)), mediaType: oci.MediaTypeIndex, raw: raw}); err != nil {
			return fmt.Errorf("write the list of referrers %s: %w", tag, err)
		}
	}
	return fmt.Errorf("write the list of referrers %s: others wrote it at the same time, %d times", tag, maxTurns)
}

func (r *repository) readReferrers(ctx context.Context, tag string) (referrerIndex, error) {
	list := referrerIndex{SchemaVersion: 2, MediaType: oci.MediaTypeIndex}
	m, ok, err := r.manifestOf(ctx, tag)
	if err != nil || !ok {
		return list, err
	}
	if m.mediaType != oci.MediaTypeIndex {
		return list, fmt.Errorf("the tag %s is of type %s and no list of referrers", tag, m.mediaType)
	}
	if err := json.Unmarshal(m.raw, &list); err != nil {
		return list, fmt.Errorf("read the list of referrers %s: %w", tag, err)
	}
	return list, nil
}

// add puts in the artifacts that are not there, and tells whether any were
// not.
func (x *referrerIndex) add(artifacts []artifact) (bool, error) {
	there := map[string]bool{}
	for _, raw := range x.Manifests {
		var l link
		if err := json.Unmarshal(raw, &l); err != nil {
			return false, errors.New("the list of referrers holds what is no descriptor")
		}
		there[l.Digest] = true
	}
	added := false
	for _, a := range artifacts {
		if there[a.digest] {
			continue
		}
		l := a.link()
		l.ArtifactType, l.Annotations = a.kind, a.notes
		raw, err := json.Marshal(l)
		if err != nil {
			return false, err
		}
		x.Manifests = append(x.Manifests, raw)
		added = true
	}
	return added, nil
}
