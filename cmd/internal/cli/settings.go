package cli

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/fastship/fastship/cmd/internal/spec"
	"github.com/fastship/fastship/internal/fault"
)

// settings are what the environment says of fastship itself.
type settings struct {
	home       string // the user's home folder, empty when there is none
	cacheDir   string // FASTSHIP_CACHE_DIR, else fastship in the user's cache folder
	cacheBytes int64  // FASTSHIP_CACHE_SIZE, 0 for the default
	store      string // FASTSHIP_CACHE_STORE, which overrules cache.store; empty: it stands
}

func (e Env) settings() (settings, error) {
	var s settings
	s.home, _ = e.Getenv("HOME")
	s.cacheDir, _ = e.Getenv("FASTSHIP_CACHE_DIR")
	if s.cacheDir == "" {
		base, _ := e.Getenv("XDG_CACHE_HOME")
		switch {
		case base != "":
		case s.home != "":
			base = filepath.Join(s.home, ".cache")
		default:
			base = filepath.Join(os.TempDir(), "fastship-"+strconv.Itoa(os.Getuid()))
		}
		s.cacheDir = filepath.Join(base, "fastship")
	}
	if !filepath.IsAbs(s.cacheDir) {
		return s, fault.New(fault.BadInput, "give the folder's whole path", "FASTSHIP_CACHE_DIR %s is not absolute", s.cacheDir)
	}
	size, _ := e.Getenv("FASTSHIP_CACHE_SIZE")
	var err error
	if s.cacheBytes, err = parseBytes(size); err != nil {
		return s, fault.New(fault.BadInput, "give a number of bytes, or one with K, M, G or T behind it", "FASTSHIP_CACHE_SIZE %s: %w", size, err)
	}
	s.store, _ = e.Getenv("FASTSHIP_CACHE_STORE")
	if err := spec.CheckStore(s.store); s.store != "" && err != nil {
		return s, fault.New(fault.BadInput, "write dir, or s3://bucket/prefix?region=…, as for cache.store", "FASTSHIP_CACHE_STORE: %w", err)
	}
	return s, nil
}

// parseBytes reads a size like 20G, in powers of 1024. Empty gives 0.
func parseBytes(s string) (int64, error) {
	if s == "" {
		return 0, nil
	}
	digits := strings.TrimSuffix(strings.TrimSuffix(strings.ToUpper(s), "B"), "I")
	shift := 0
	for i, unit := range []string{"K", "M", "G", "T"} {
		if rest, ok := strings.CutSuffix(digits, unit); ok {
			digits, shift = rest, 10*(i+1)
		}
	}
	n, err := strconv.ParseUint(digits, 10, 63-shift)
	if err != nil {
		return 0, err
	}
	return int64(n) << shift, nil
}
