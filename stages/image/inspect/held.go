package inspect

import (
	"bytes"
	"io"
	"os"

	"github.com/fastship/fastship/internal/scratch"
)

// inMemory is the largest jar that is looked into without a file, in bytes.
const inMemory = 8 << 20

// held keeps one jar at a time, to be read anywhere in.
type held struct {
	small bytes.Buffer
	large *os.File // nil before the first large one
}

// keep reads size bytes of r. What it kept before is gone.
func (k *held) keep(r io.Reader, size int64) (io.ReaderAt, error) {
	if size <= inMemory {
		k.small.Reset()
		_, err := io.CopyN(&k.small, r, size)
		return bytes.NewReader(k.small.Bytes()), err
	}
	if k.large == nil {
		var err error
		if k.large, err = scratch.File(); err != nil {
			return nil, err
		}
	}
	if _, err := k.large.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	_, err := io.CopyN(k.large, r, size)
	return k.large, err
}

func (k *held) close() {
	if k.large != nil {
		k.large.Close() // and gone
	}
}
