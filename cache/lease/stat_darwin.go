package lease

import (
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

func stampOf(st *unix.Stat_t) stamp {
	return stamp{size: st.Size, mtime: st.Mtim.Nano(), ctime: st.Ctim.Nano(), inode: st.Ino}
}

// settle writes a file's changed pages out, so that the next write through a
// mapping moves the ctime.
func settle(f *os.File) error { return f.Sync() }

// bootID names this boot of the machine: after a power cut a file may have
// other bytes than its stat says.
func bootID() string {
	t, err := unix.SysctlTimeval("kern.boottime")
	if err != nil {
		return ""
	}
	return strconv.FormatInt(t.Sec, 10)
}
