package aside

import (
	"runtime"

	"golang.org/x/sys/unix"
)

// niceness leaves a third of the time of a thread of normal priority, where both
// want the same processor (sched(7): weight 335 against 1024).
const niceness = 5

// lower gives the goroutine a thread of low priority, which ends with it: an
// unprivileged process cannot raise it again.
func lower() {
	runtime.LockOSThread()
	_ = unix.Setpriority(unix.PRIO_PROCESS, unix.Gettid(), niceness)
}
