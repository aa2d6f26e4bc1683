package aside

import (
	"runtime"

	"golang.org/x/sys/unix"
)

// niceness leaves a third of the time of a thread of normal priority, where both
// want the same processor (sched(7): weight 335 against 1024).
const niceness = 5

// lower gives the goroutine a thread of lower priority than it had, which ends
// with it: an unprivileged process cannot raise it again.
func lower() {
	runtime.LockOSThread()
	thread := unix.Gettid()
	if kernels, err := unix.Getpriority(unix.PRIO_PROCESS, thread); err == nil {
		usual := 20 - kernels // getpriority(2): the kernel's are 40 to 1
		_ = unix.Setpriority(unix.PRIO_PROCESS, thread, usual+niceness)
	}
}
