package tree

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/fastship/fastship/cache"
)

const (
	pointerMagic = "fastship-tree 1 "
	maxSegments  = 64
)

// segmentRef names a stored segment.
type segmentRef struct {
	Digest cache.Digest `json:"digest"`
	Size   int64        `json:"size"` // stored bytes
}

type pointerBody struct {
	Segments []segmentRef `json:"segments"`
}

// encodePointer writes a pointer's value: a line with the body's sha256, then
// the body, JSON.
func encodePointer(segments []segmentRef) ([]byte, error) {
	body, err := json.Marshal(pointerBody{segments})
	if err != nil {
		return nil, err
	}
	return append([]byte(pointerMagic+cache.Sum(body).Hex()+"\n"), body...), nil
}

// decodePointer reads a pointer's value; ErrCorrupt, wrapped, when it is none.
func decodePointer(name string, value []byte) ([]segmentRef, error) {
	head, body, ok := bytes.Cut(value, []byte("\n"))
	if !ok || len(value) > cache.MaxPointer || string(head) != pointerMagic+cache.Sum(body).Hex() {
		return nil, fmt.Errorf("read pointer %s: its sum is wrong: %w", name, cache.ErrCorrupt)
	}
	var b pointerBody
	if err := json.Unmarshal(body, &b); err != nil {
		return nil, fmt.Errorf("read pointer %s: %w: %w", name, err, cache.ErrCorrupt)
	}
	if len(b.Segments) == 0 || len(b.Segments) > maxSegments {
		return nil, fmt.Errorf("read pointer %s: %d segments: %w", name, len(b.Segments), cache.ErrCorrupt)
	}
	for _, s := range b.Segments {
		if _, err := cache.ParseDigest(string(s.Digest)); err != nil || s.Size <= 0 || s.Size > maxSegment {
			return nil, fmt.Errorf("read pointer %s: segment %.80q of %d bytes: %w", name, s.Digest, s.Size, cache.ErrCorrupt)
		}
	}
	return b.Segments, nil
}
