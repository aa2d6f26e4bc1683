package cache

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"time"
)

// ErrMoved is returned, wrapped, when a pointer was moved by somebody else
// since it was read: read it again, merge, and move it once more.
var ErrMoved = errors.New("the pointer was moved meanwhile")

// MaxPointer bounds a pointer's value in bytes: it must fit one conditional
// request.
const MaxPointer = 1 << 20

// Pointer is a mutable name for a few bytes.
type Pointer struct {
	Name     string
	Value    []byte    // nil in a listing
	Version  string    // what PutPointer compares with; opaque, never empty
	Modified time.Time // by the store's clock
}

// PointerStore keeps mutable names, moved by compare-and-swap. A name is one
// or more segments joined by "/", each of letters, digits and any of "._-=+@%",
// neither "." nor "..", 512 bytes at most in all: CheckPointerName tells.
type PointerStore interface {
	// GetPointer returns ErrNotFound, wrapped, for an absent pointer. Its
	// errors name the pointer.
	GetPointer(ctx context.Context, name string) (Pointer, error)
	// PutPointer moves a pointer whose version is still old, the empty one
	// standing for an absent pointer, and returns its new version. ErrMoved
	// when it is another. Of several callers with the same old exactly one
	// succeeds.
	PutPointer(ctx context.Context, name string, value []byte, old string) (version string, err error)
	// ListPointers yields every pointer whose name begins with prefix, in no
	// promised order.
	ListPointers(ctx context.Context, prefix string) iter.Seq2[Pointer, error]
	// DeletePointer removes a pointer; an absent one is not an error.
	DeletePointer(ctx context.Context, name string) error
}

// ActionInfo is what a listing tells of an action.
type ActionInfo struct {
	Key      Key
	Modified time.Time // when it was last put
}

// Store is all that one place keeps for one scope of trust: a directory, or a
// prefix of a bucket.
type Store interface {
	BlobStore
	ActionStore
	PointerStore
	// ListActions yields every action, in no promised order.
	ListActions(ctx context.Context) iter.Seq2[ActionInfo, error]
}

// maxPointerName bounds a pointer's name in bytes, so that with a prefix it
// fits S3's 1,024.
const maxPointerName = 512

// CheckPointerName tells what is wrong with a pointer's name.
func CheckPointerName(name string) error {
	if len(name) > maxPointerName {
		return fmt.Errorf("pointer %.40s…: its name has %d bytes, more than %d", name, len(name), maxPointerName)
	}
	for segment := range strings.SplitSeq(name, "/") {
		if segment == "" || segment == "." || segment == ".." {
			return fmt.Errorf("pointer %q: %q is no segment of a name", name, segment)
		}
		if i := strings.IndexFunc(segment, notInPointerName); i >= 0 {
			return fmt.Errorf("pointer %q: %q may not stand in a name", name, segment[i:i+1])
		}
	}
	return nil
}

func notInPointerName(r rune) bool {
	return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune("._-=+@%", r))
}
