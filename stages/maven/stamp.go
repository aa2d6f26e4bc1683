package maven

import (
	"encoding/json"
	"os"
	"path/filepath"
	"time"

	"github.com/fastship/fastship/cache"
	"golang.org/x/sys/unix"
)

// stampFile holds the stamps of restored files, in the project's state folder.
const stampFile = "maven-stamps.json"

// stamp is what the kernel says of a file whose digest is known. ctime cannot
// be set by a program, so equal stamps mean equal bytes.
type stamp struct {
	Digest             cache.Digest
	Size, Mtime, Ctime int64 // bytes; nanoseconds
	Inode              uint64
}

// stamps are known digests by absolute path; what is not known is hashed.
type stamps struct {
	file    string // empty keeps none
	known   map[string]stamp
	changed bool
}

func (s *Step) stamps() *stamps {
	all := &stamps{known: map[string]stamp{}}
	if s.deps.State == "" {
		return all
	}
	all.file = filepath.Join(s.deps.State, stampFile)
	if text, err := os.ReadFile(all.file); err == nil && json.Unmarshal(text, &all.known) != nil {
		all.known = map[string]stamp{}
	}
	return all
}

func look(path string) (stamp, bool) {
	var st unix.Stat_t
	if unix.Lstat(path, &st) != nil || st.Mode&unix.S_IFMT != unix.S_IFREG {
		return stamp{}, false
	}
	return stamp{Size: st.Size, Mtime: st.Mtim.Nano(), Ctime: st.Ctim.Nano(), Inode: st.Ino}, true
}

// is tells whether a file holds these bytes.
func (all *stamps) is(path string, blob cache.Descriptor) bool {
	now, ok := look(path)
	if !ok || now.Size != blob.Size {
		return false
	}
	now.Digest = blob.Digest
	if all.known[path] == now {
		return true
	}
	started := time.Now()
	found, err := describe(path)
	if err != nil || found.Digest != blob.Digest {
		return false
	}
	after, _ := look(path)
	after.Digest = blob.Digest
	// A file written within the clock's tick may change once more unseen.
	if after == now && now.Ctime < started.Add(-20*time.Millisecond).UnixNano() {
		all.known[path], all.changed = now, true
	}
	return true
}

// save keeps the stamps; without them the files are hashed again.
func (all *stamps) save() {
	if all.file == "" || !all.changed {
		return
	}
	if text, err := json.Marshal(all.known); err == nil {
		_ = os.WriteFile(all.file, text, 0o644) // half a file is read as none
	}
}
