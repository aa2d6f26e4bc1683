package road

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// leastFree is the room, in bytes, below which a disk is no place for a cache:
// a build that downloads into it would soon fail for want of room.
const leastFree = 64 << 20

// roomFor tells whether a folder's disk has room. One that cannot be asked
// counts as having some.
func roomFor(dir string) error {
	var disk unix.Statfs_t
	if err := unix.Statfs(dir, &disk); err != nil {
		return nil
	}
	if free := float64(disk.Bavail) * float64(disk.Bsize); free < leastFree {
		return fmt.Errorf("the disk of %s has only %.1f MB free", dir, free/1e6)
	}
	return nil
}
