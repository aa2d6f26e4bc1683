package image

import (
	"context"

	"github.com/klauspost/compress/zstd"

	"github.com/fastship/fastship/stages/internal/oci"
)

// Values of Config.Compression.
const (
	compressionAuto = "auto"
	compressionGzip = "gzip"
	compressionZstd = "zstd"
)

// settle decides auto for an image that is pushed, by asking who will pull it,
// once.
func (s *Step) settle(ctx context.Context) {
	s.settled.Do(func() { s.settleNow(ctx) })
}

func (s *Step) settleNow(ctx context.Context) {
	if s.config.Compression != "" && s.config.Compression != compressionAuto || !s.config.Pushed || s.deps.Zstd == nil {
		return
	}
	if s.deps.Zstd(ctx) {
		s.config.Compression = compressionZstd
	}
}

// zstd tells whether layers are compressed by zstd. Every reader of an OCI
// layout takes it: the layout has no form that is older than zstd layers are.
// Of who pulls from a registry that is only known by asking (settle): Docker
// before 23 fails on it (“invalid tar header”), in the middle of a rollout.
func (c Config) zstd() bool {
	return c.Compression == compressionZstd || c.Compression != compressionGzip && !c.Pushed
}

// codec compresses a layer of libraries or, without any, of the application
// alone. Jars that are compressed already gain next to nothing by more than
// the lightest level; rewritten ones a seventh, and that once for many pushes.
func (c Config) codec(libraries bool) oci.Codec {
	rewritten := libraries && c.Jars != jarsVerbatim
	switch {
	case c.zstd() && rewritten:
		return oci.Zstd(zstd.SpeedDefault)
	case c.zstd():
		return oci.Zstd(zstd.SpeedFastest)
	case rewritten:
		return oci.Gzip(6)
	}
	return oci.Gzip(1)
}

// baseCodec compresses what is made once in a long time, the linked base and
// the trained archive, and every pull of a pushed one gains by it. The best zstd
// takes 10 s of one processor and saves a tenth of the default's 31 MB: nothing
// for what stays on this machine.
func (c Config) baseCodec() oci.Codec {
	switch {
	case c.zstd() && c.Pushed:
		return oci.Zstd(zstd.SpeedBestCompression)
	case c.zstd():
		return oci.Zstd(zstd.SpeedDefault)
	}
	return oci.Gzip(6)
}
