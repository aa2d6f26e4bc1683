package lease

import (
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

func stampOf(st *unix.Stat_t) stamp {
	return stamp{size: st.Size, mtime: st.Mtim.Nano(), ctime: st.Ctim.Nano(), inode: st.Ino}
}

// settle writes a file's changed pages out. From then on a write through a
// mapping faults again, and so moves the ctime; without it a program that had
// written to a page could change it once more unseen (mmap(2)).
func settle(f *os.File) error {
	const all = unix.SYNC_FILE_RANGE_WAIT_BEFORE | unix.SYNC_FILE_RANGE_WRITE | unix.SYNC_FILE_RANGE_WAIT_AFTER
	if unix.SyncFileRange(int(f.Fd()), 0, 0, all) == nil {
		return nil
	}
	return f.Sync() // slower, and on every file system
}

// bootID names this boot of the machine: after a power cut a file may have
// other bytes than its stat says.
func bootID() string {
	b, _ := os.ReadFile("/proc/sys/kernel/random/boot_id") // where it cannot be read, all boots are one
	return strings.TrimSpace(string(b))
}
