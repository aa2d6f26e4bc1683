package cache

import (
	"context"
	"encoding/json"
	"time"
)

// Action is finished work: its outputs as JSON and the blobs they refer to.
type Action struct {
	Outputs json.RawMessage `json:"outputs"`
	Blobs   []Descriptor    `json:"blobs,omitempty"`
	Created time.Time       `json:"created"`
}

// ActionStore keeps actions by key, with BlobStore's promises on concurrency
// and kill -9. The last writer of a key wins.
type ActionStore interface {
	// GetAction returns ErrNotFound, wrapped, for an absent or unreadable
	// action.
	GetAction(ctx context.Context, k Key) (Action, error)
	PutAction(ctx context.Context, k Key, a Action) error
	DeleteAction(ctx context.Context, k Key) error
}

// Cache is what stages are given: blobs on this machine and the actions whose
// outputs they are.
type Cache struct {
	Blobs   LocalStore
	Actions ActionStore
	// Warn is told of every fault that the cache hid by falling back to
	// plain work; nil drops them.
	Warn func(error)
}
