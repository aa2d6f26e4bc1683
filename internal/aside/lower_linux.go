package aside

import (
	"runtime"

	"golang.org/x/sys/unix"
)

// niceness gives way to what others do with all but a tenth of a processor
// (sched(7): weight 110 against 1024), so that nobody who waits for the work
// waits forever.
const niceness = 10

// lower gives the goroutine a thread of low priority, which ends with it: an
// unprivileged process cannot raise it again.
func lower() {
	runtime.LockOSThread()
	_ = unix.Setpriority(unix.PRIO_PROCESS, unix.Gettid(), niceness)
}
