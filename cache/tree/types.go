package tree

import (
	"context"
	"io"
	"io/fs"

	"github.com/fastship/fastship/cache"
)

// Sink takes one file. It is called from several goroutines and reads r to
// its end, which is io.EOF only when size and digest are right, else an error
// that wraps cache.ErrCorrupt or the source's: what was written is then to be
// dropped, and the same entry may come once more. Its own error ends the Fetch.
type Sink func(ctx context.Context, e Entry, r io.Reader) error

// File is a file to save.
type File struct {
	Path   string
	Size   int64 // bytes
	Mode   fs.FileMode
	Digest cache.Digest // "": Save hashes it
	Note   string       // 4,096 bytes at most
	Open   func() (io.ReadCloser, error)
}

// Change is what a build made of a tree.
type Change struct {
	Pointer string   // moved, or made
	From    *Tree    // what the build started from; nil: nothing
	Used    []string // paths of From that it used
	Add     []File   // new and changed files
}

// Saved tells what a Save did.
type Saved struct {
	Requests int   // calls of Own and Base
	Bytes    int64 // sent
	Files    int   // whose contents were sent
	Tree     *Tree // what the pointer names now
}
