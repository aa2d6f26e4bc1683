package push

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/fastship/fastship/cache"
	"github.com/fastship/fastship/internal/atomicfile"
	"github.com/fastship/fastship/stages/internal/oci/registry"
)

// memory is what this machine learnt of one registry. All of it is a hint that
// saves requests; none of it is believed where the registry says otherwise.
type memory struct {
	dir  string // empty: nothing outlives the process
	file string

	mu      sync.Mutex
	notes   notes
	changed bool
}

// notes are kept as JSON.
type notes struct {
	Registry string          `json:"registry"`
	Known    *registry.Known `json:"known,omitempty"`
	// NoSingle and NoPut are registries that refused a blob in the body of the
	// POST, or of the closing PUT; NoParts one in several PATCHes.
	NoSingle     bool                 `json:"noSingle,omitempty"`
	NoPut        bool                 `json:"noPut,omitempty"`
	NoParts      bool                 `json:"noParts,omitempty"`
	Repositories map[string]lastImage `json:"repositories,omitempty"`
}

// lastImage is the image that was pushed to a repository last.
type lastImage struct {
	Tag    string         `json:"tag"`
	Digest string         `json:"digest"`
	Blobs  []cache.Digest `json:"blobs"`
	Pushed []string       `json:"pushed"` // digests, this one last
	At     time.Time      `json:"at"`
}

const (
	maxRemembered = 100 // repositories of a registry
	maxPushed     = 16  // images of a repository
)

// openMemory reads what is known of a registry. It writes nothing; absent or
// broken notes are empty ones.
func openMemory(dir, host string) *memory {
	m := &memory{dir: dir, notes: notes{Registry: host}}
	if dir == "" {
		return m
	}
	m.file = filepath.Join(dir, fileName("registry", host))
	var read notes
	if raw, err := os.ReadFile(m.file); err == nil && json.Unmarshal(raw, &read) == nil && read.Registry == host {
		m.notes = read
	}
	return m
}

// fileName gives what parts name a file of its own, that tells nothing.
func fileName(kind string, parts ...string) string {
	h := sha256.New()
	for _, p := range parts {
		h.Write([]byte(p))
		h.Write([]byte{0})
	}
	return kind + "-" + hex.EncodeToString(h.Sum(nil)[:12]) + ".json"
}

func (m *memory) read() notes {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.notes
}

func (m *memory) change(f func(*notes)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f(&m.notes)
	m.changed = true
}

func (m *memory) last(repo string) lastImage {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.notes.Repositories[repo]
}

// pushed notes that a repository holds an image under a tag.
func (m *memory) pushed(repo, tag string, i image) {
	m.change(func(n *notes) {
		all := map[string]lastImage{}
		oldest := repo
		for name, other := range n.Repositories {
			all[name] = other // a copy: readers may hold the old one
			if name != repo && (oldest == repo || other.At.Before(all[oldest].At)) {
				oldest = name
			}
		}
		if _, ok := all[repo]; !ok && len(all) >= maxRemembered {
			delete(all, oldest)
		}
		now := lastImage{Tag: tag, Digest: i.root.digest, At: time.Now().UTC().Truncate(time.Second)}
		for _, b := range i.blobs {
			now.Blobs = append(now.Blobs, b.Digest)
		}
		now.Pushed = append(slices.DeleteFunc(slices.Clone(all[repo].Pushed), func(d string) bool { return d == i.root.digest }), i.root.digest)
		now.Pushed = now.Pushed[max(0, len(now.Pushed)-maxPushed):]
		all[repo] = now
		n.Repositories = all
	})
}

// holder names another repository that was seen to hold a blob.
func (m *memory) holder(repo string, d cache.Digest) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	for name, i := range m.notes.Repositories {
		if name != repo && slices.Contains(i.Blobs, d) {
			return name
		}
	}
	return ""
}

// save keeps the notes for the next run. Of two runs at once the later one's
// are kept: they are hints.
func (m *memory) save() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.dir == "" || !m.changed {
		return nil
	}
	raw, err := json.Marshal(m.notes)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(m.dir, 0o700); err != nil {
		return err
	}
	m.changed = false
	sweepSessions(m.dir)
	return atomicfile.Write(m.file, raw, 0o600)
}
