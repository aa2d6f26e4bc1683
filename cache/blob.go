package cache

import (
	"context"
	"errors"
	"io"
	"iter"
	"time"
)

// ErrNotFound is returned, wrapped, for a blob or an action that a store does
// not hold. It is an ordinary answer, never a fault.
var ErrNotFound = errors.New("not found in the cache")

// ErrCorrupt is returned, wrapped, when bytes do not have the digest or size
// they are named by. Whoever meets it treats the blob as missing.
var ErrCorrupt = errors.New("content does not match its digest")

// ErrReadOnly is returned, wrapped, by a write to a store that may only be
// read: S3's 403, a read-only file system. Writing again is of no use.
var ErrReadOnly = errors.New("the cache may only be read")

// ErrAway is returned, wrapped with its cause, by every request to a remote
// store that is left alone for the rest of the run, because it was silent or
// failed for too long. It comes at once.
var ErrAway = errors.New("the remote cache is left alone in this run")

// BlobInfo is what a store knows of a blob without reading it.
type BlobInfo struct {
	Digest   Digest
	Size     int64     // bytes
	LastUsed time.Time // the later of written and last opened, to the day
}

// BlobStore keeps immutable bytes by digest. Every method may be called from
// several goroutines and several processes at once; a blob is there whole or
// not at all, also after kill -9 in the middle of a Put.
//
// Errors: ErrNotFound and ErrCorrupt as documented, the context's error, else
// the store's own fault. Cachetest holds each sentence of this contract.
type BlobStore interface {
	// Open returns n bytes of the blob from offset off on; n < 0 means to
	// its end. A reader that reaches the end of a whole blob (off 0, n < 0)
	// verifies the digest and returns ErrCorrupt instead of io.EOF when it
	// does not match. ErrNotFound when the blob is absent.
	Open(ctx context.Context, d Digest, off, n int64) (io.ReadCloser, error)
	// Put stores what r gives under d, which must match: ErrCorrupt, and
	// nothing kept, when it does not. A blob already there is left alone
	// and r may be left unread.
	Put(ctx context.Context, d Digest, size int64, r io.Reader) error
	// Stat tells a blob's size without reading it. ErrNotFound when absent.
	Stat(ctx context.Context, d Digest) (BlobInfo, error)
	// List yields every blob, in no promised order.
	List(ctx context.Context) iter.Seq2[BlobInfo, error]
	// Delete removes a blob; an absent one is not an error.
	Delete(ctx context.Context, d Digest) error
}

// BlobWriter writes a blob whose digest is known only at its end.
type BlobWriter interface {
	io.Writer
	// Commit makes the bytes written so far a blob and returns its
	// descriptor (digest and size).
	Commit() (Descriptor, error)
	// Abort drops what was written. After Commit it does nothing, so it can
	// be deferred.
	Abort()
}

// LocalStore is a BlobStore on this machine's disk: it writes blobs in one
// pass, names their files, and keeps unpacked trees.
type LocalStore interface {
	BlobStore
	// Create starts a blob that is hashed while it is written.
	Create(ctx context.Context) (BlobWriter, error)
	// Path names the file that holds a blob, to be read or hard-linked and
	// never written. ErrNotFound when absent.
	Path(d Digest) (string, error)
	// Expanded returns a directory that fill filled once for this digest: on
	// a hit fill is not called. The directory is read-only by convention and
	// is not evicted before release is called. Two callers at once get the
	// same one; a failing or killed fill leaves nothing that is trusted.
	Expanded(ctx context.Context, d Digest, fill func(dir string) error) (dir string, release func(), err error)
}
