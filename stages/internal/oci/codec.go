package oci

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"

	"github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/zstd"
)

// Media types of the OCI image specification, v1.1.
const (
	MediaTypeIndex     = "application/vnd.oci.image.index.v1+json"
	MediaTypeManifest  = "application/vnd.oci.image.manifest.v1+json"
	MediaTypeConfig    = "application/vnd.oci.image.config.v1+json"
	MediaTypeLayerGzip = "application/vnd.oci.image.layer.v1.tar+gzip"
	MediaTypeLayerZstd = "application/vnd.oci.image.layer.v1.tar+zstd"
)

// library is the compressor's version: another version may give other bytes
// for the same tar, so it is part of a codec's name. A test compares it with
// go.mod.
const library = "klauspost/compress v1.20.3"

// Codec compresses a layer in blocks of a fixed size, each on its own, so
// that the output does not depend on how many are compressed at once. Layers
// that are written with codecs of one budget share its memory.
type Codec struct {
	// Name says everything that decides the output for a given tar: format,
	// level, block size, library and its version. It belongs into the key of
	// whatever is made with the codec.
	Name string
	// MediaType is that of a layer compressed this way.
	MediaType string

	blockSize int
	memory    int64 // bytes that a block takes while it is compressed, at most
	budget    *Budget
	summed    bool // the trailer has a checksum of the tar
	header    []byte
	newBlock  func() (block, error)
	newStream func() (stream, error) // instead of newBlock
	trailer   func(crc uint32, size int64) []byte
}

// Within is the codec with its memory out of b. A codec that nothing was said
// of has a budget of its own.
func (c Codec) Within(b *Budget) Codec {
	c.budget = b
	return c
}

// block compresses one block at a time: src appended to dst. One goroutine
// uses it at a time.
type block func(dst, src []byte) ([]byte, error)

// stream is a block's compressor that needs little of it in memory at once: size
// bytes of src.
type stream func(dst io.Writer, src io.Reader, size int64) error

// Gzip is the codec that every runtime reads. Levels are 1 (fastest) to 9.
// The blocks are joined into one gzip member by empty stored blocks (RFC
// 1951, 3.2.4), the way pigz does it, without sharing a dictionary.
func Gzip(level int) Codec {
	const size = 1 << 20
	return Codec{
		Name:      fmt.Sprintf("gzip -%d blocks of %d, %s", level, size, library),
		MediaType: MediaTypeLayerGzip,
		blockSize: size,
		memory:    4 * size,
		budget:    NewBudget(0),
		summed:    true,
		// RFC 1952: deflate, no flags, no time, no extra flags, unknown system.
		header: []byte{0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255},
		newBlock: func() (block, error) {
			w, err := flate.NewWriter(nil, level)
			if err != nil {
				return nil, fmt.Errorf("start gzip -%d: %w", level, err)
			}
			return func(dst, src []byte) ([]byte, error) {
				out := appender(dst)
				w.Reset(&out)
				if _, err := w.Write(src); err != nil {
					return nil, err
				}
				return out, w.Flush()
			}, nil
		},
		trailer: func(crc uint32, size int64) []byte {
			b := []byte{3, 0} // an empty last block of fixed codes ends the stream
			b = binary.LittleEndian.AppendUint32(b, crc)
			return binary.LittleEndian.AppendUint32(b, uint32(size))
		},
	}
}

// zstdWindow is how far back in a frame a match may lie: what RFC 8878
// (3.1.1.1.2) asks every decoder to support.
const zstdWindow = 8 << 20

// Zstd is smaller and unpacks ten times as fast as gzip, but Docker before 23
// cannot read it. Levels are the library's, 1 (fastest) to 4 (best). Each
// block is a frame of its own (RFC 8878, 3.1: frames may follow each other).
// The best level, for what is made once, is zstdBest's.
func Zstd(level zstd.EncoderLevel) Codec {
	if level >= zstd.SpeedBestCompression {
		return zstdBest()
	}
	const size = zstdWindow
	return Codec{
		Name:      fmt.Sprintf("zstd %s frames of %d window of %d without checksums, %s", level, size, zstdWindow, library),
		MediaType: MediaTypeLayerZstd,
		blockSize: size,
		// The block, as much again where it does not compress, and the
		// compressor's window and tables.
		memory: 2*size + zstdWindow + 2<<20,
		budget: NewBudget(0),
		newBlock: func() (block, error) {
			e, err := newZstd(level)
			if err != nil {
				return nil, err
			}
			return func(dst, src []byte) ([]byte, error) { return e.EncodeAll(src, dst), nil }, nil
		},
		trailer: func(uint32, int64) []byte { return nil },
	}
}

// zstdBest has frames of twice the window, which saves a hundredth. A
// compressor of this level has 34 MiB of tables besides its window: with its
// block in memory too, two of them would leave nothing for anybody else.
func zstdBest() Codec {
	const level, size = zstd.SpeedBestCompression, 2 * zstdWindow
	return Codec{
		Name:      fmt.Sprintf("zstd %s streamed frames of %d window of %d without checksums, %s", level, size, zstdWindow, library),
		MediaType: MediaTypeLayerZstd,
		blockSize: size,
		memory:    36<<20 + zstdWindow,
		budget:    NewBudget(0),
		newStream: func() (stream, error) {
			e, err := newZstd(level)
			if err != nil {
				return nil, err
			}
			return func(dst io.Writer, src io.Reader, size int64) error {
				e.ResetContentSize(dst, size)
				if _, err := e.ReadFrom(src); err != nil {
					return err
				}
				return e.Close()
			}, nil
		},
		trailer: func(uint32, int64) []byte { return nil },
	}
}

// newZstd makes frames without checksums of their own: whoever unpacks a layer
// compares the digest of the blob and that of the tar, and would do a third sum
// for nothing.
func newZstd(level zstd.EncoderLevel) (*zstd.Encoder, error) {
	e, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(level), zstd.WithEncoderConcurrency(1), zstd.WithEncoderCRC(false),
		zstd.WithWindowSize(zstdWindow), zstd.WithLowerEncoderMem(true)) // one window of history instead of two
	if err != nil {
		return nil, fmt.Errorf("start zstd %s: %w", level, err)
	}
	return e, nil
}

// appender is an io.Writer onto a byte slice.
type appender []byte

func (a *appender) Write(p []byte) (int, error) {
	*a = append(*a, p...)
	return len(p), nil
}

// checksum continues a gzip trailer's CRC.
func checksum(crc uint32, p []byte) uint32 { return crc32.Update(crc, crc32.IEEETable, p) }
