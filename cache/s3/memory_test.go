package s3

import (
	crand "crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"io"
	"math/rand/v2"
	"net/url"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"testing"
	"time"

	"github.com/fastship/fastship/cache"
	"github.com/fastship/fastship/cache/s3/s3test"
)

// stream gives the same bytes for the same seed and cannot be read twice.
func stream(seed uint64, size int64) io.Reader {
	return io.LimitReader(rand.NewChaCha8([32]byte(binary.LittleEndian.AppendUint64(make([]byte, 24), seed))), size)
}

// TestMemory sends and fetches 16 blobs at once.
func TestMemory(t *testing.T) {
	if os.Getenv("FASTSHIP_INTEGRATION") == "" {
		t.Skip("set FASTSHIP_INTEGRATION=1 to run real servers")
	}
	s := openAt(t, "s3://"+s3test.Bucket+"/"+crand.Text()+"?path-style=true&region=us-east-1&endpoint="+url.QueryEscape(servers.Start(t, s3test.MinIO)), nil)
	sizes := []int64{16 << 20, 17 << 20} // the largest by one request, in parts
	digests := make([]cache.Digest, 16)
	for i := range digests {
		sum := sha256.New()
		if _, err := io.Copy(sum, stream(uint64(i), sizes[i%2])); err != nil {
			t.Fatal(err)
		}
		digests[i] = cache.FromSum(sum.Sum(nil))
	}
	debug.FreeOSMemory()
	stop, most := make(chan bool), make(chan uint64)
	go func() {
		var peak uint64
		for {
			m := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
			metrics.Read(m)
			peak = max(peak, m[0].Value.Uint64()-m[1].Value.Uint64())
			select {
			case <-stop:
				most <- peak
				return
			case <-time.After(5 * time.Millisecond):
			}
		}
	}()
	both(16, func(i int) {
		if err := s.Put(t.Context(), digests[i], sizes[i%2], stream(uint64(i), sizes[i%2])); err != nil {
			t.Error(err)
		}
	})
	both(16, func(i int) {
		r, err := s.Open(t.Context(), digests[i], 0, -1)
		if err != nil {
			t.Error(err)
			return
		}
		if n, err := io.Copy(io.Discard, r); err != nil || n != sizes[i%2] {
			t.Errorf("%d bytes, %v", n, err)
		}
		_ = r.Close()
	})
	stop <- true
	peak := <-most
	t.Logf("%d MB at most", peak/1e6)
	if peak > 150e6 {
		t.Errorf("%d MB at most", peak/1e6)
	}
}
