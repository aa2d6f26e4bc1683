package push

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/fastship/fastship/cache"
)

// session is an upload that a later run may go on with, should this one be
// killed. Its file is locked by who works on it; the kernel drops the lock
// with the process.
type session struct {
	file *os.File

	Location string `json:"location"`
	// Sent are the bytes that the registry confirmed, for registries that do
	// not tell.
	Sent int64 `json:"sent"`
}

// sessionLife is how long an upload may have rested. Registries purge theirs
// after a day to a week.
const sessionLife = 24 * time.Hour

// openSession takes a blob's session up, a new one where there is none. It is
// nil, and nothing outlives the process, where another process sends that blob
// right now or nothing can be written.
func openSession(dir, repo string, d cache.Digest) *session {
	if dir == "" || os.MkdirAll(dir, 0o700) != nil {
		return nil
	}
	f, err := os.OpenFile(filepath.Join(dir, fileName("upload", repo, string(d))), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil
	}
	if unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) != nil {
		f.Close()
		return nil
	}
	s := &session{}
	if info, err := f.Stat(); err != nil || time.Since(info.ModTime()) > sessionLife || json.NewDecoder(f).Decode(s) != nil {
		s = &session{}
	}
	s.file = f
	return s
}

// keep notes where the upload is. A note that cannot be written costs a later
// run its start from there.
func (s *session) keep(location string, sent int64) {
	if s == nil {
		return
	}
	s.Location, s.Sent = location, sent
	raw, err := json.Marshal(s)
	if err != nil || s.file.Truncate(0) != nil {
		return
	}
	_, _ = s.file.WriteAt(raw, 0) // half of it is no JSON, and then as good as none
}

// done forgets the session.
func (s *session) done() {
	if s != nil {
		_ = os.Remove(s.file.Name())
		s.file.Close()
	}
}

// leave keeps the session for a later run.
func (s *session) leave() {
	if s == nil {
		return
	}
	if s.Location == "" {
		s.done()
		return
	}
	s.file.Close()
}

// sweepSessions removes those that nobody came back for.
func sweepSessions(dir string) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return
	}
	for _, e := range entries {
		info, err := e.Info()
		if err == nil && strings.HasPrefix(e.Name(), "upload-") && time.Since(info.ModTime()) > sessionLife {
			_ = os.Remove(filepath.Join(dir, e.Name()))
		}
	}
}
