package proc

import "syscall"

func sysProcAttr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// maxRSS converts from KiB, getrusage(2)'s unit on Linux.
func maxRSS(u *syscall.Rusage) int64 { return u.Maxrss << 10 }
