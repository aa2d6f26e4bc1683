package proc

import "syscall"

// Darwin has no parent-death signal.
func sysProcAttr() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

// maxRSS is in bytes already, getrusage(2)'s unit on Darwin.
func maxRSS(u *syscall.Rusage) int64 { return u.Maxrss }
