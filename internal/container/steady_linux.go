package container

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	personality       = 0x0040000  // ADDR_NO_RANDOMIZE, linux/personality.h
	personalityUnread = 0xffffffff // asks and changes nothing
	schedBatch        = 3          // SCHED_BATCH, linux/sched.h
)

// steady makes what this thread forks run as much the same as can be each
// time. All of it is inherited; what is refused (Docker's seccomp profile
// forbids the first) is done without.
func steady() {
	if is, _, errno := unix.Syscall(unix.SYS_PERSONALITY, personalityUnread, 0, 0); errno == 0 {
		_, _, _ = unix.Syscall(unix.SYS_PERSONALITY, is|personality, 0, 0)
	}
	var allowed, one unix.CPUSet
	if err := unix.SchedGetaffinity(0, &allowed); err == nil {
		for cpu := range len(allowed) * 64 {
			if allowed.IsSet(cpu) {
				one.Set(cpu)
				_ = unix.SchedSetaffinity(0, &one)
				break
			}
		}
	}
	var priority int32 // struct sched_param: SCHED_BATCH has 0 only
	_, _, _ = unix.Syscall(unix.SYS_SCHED_SETSCHEDULER, 0, schedBatch, uintptr(unsafe.Pointer(&priority)))
}
