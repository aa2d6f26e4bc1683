package proc

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// PeakMemory is the most memory that a process had itself, in bytes (VmHWM,
// proc_pid_status(5)); zero once it has ended, and where there is no /proc.
func PeakMemory(pid int) int64 {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kib, _ := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
			return kib << 10
		}
	}
	return 0
}

// WatchMemory samples a process's PeakMemory until peak is called, which
// returns the largest: the kernel's accounting at the end would count the
// process's children in.
func WatchMemory(pid int) (peak func() int64) {
	done, result := make(chan struct{}), make(chan int64)
	go func() {
		var most int64
		for tick := time.NewTicker(5 * time.Millisecond); ; {
			select {
			case <-done:
				tick.Stop()
				result <- most
				return
			case <-tick.C:
				most = max(most, PeakMemory(pid))
			}
		}
	}()
	return func() int64 { close(done); return <-result }
}
