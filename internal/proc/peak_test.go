package proc

import (
	"os"
	"os/exec"
	"testing"
)

// A process's peak is its own, and an ended one has none.
func TestPeakMemory(t *testing.T) {
	if _, err := os.Stat("/proc/self/status"); err != nil {
		t.Skip("no /proc here")
	}
	ballast := make([]byte, 64<<20)
	for i := range ballast {
		ballast[i] = byte(i)
	}
	if own := PeakMemory(os.Getpid()); own < int64(len(ballast)) {
		t.Errorf("%d bytes with %d in use", own, len(ballast))
	}
	cmd := exec.CommandContext(t.Context(), "sleep", "0.2")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	peak := WatchMemory(cmd.Process.Pid)
	err := cmd.Wait()
	if most := peak(); err != nil || most == 0 {
		t.Errorf("%d bytes of a process that ended: %v", most, err)
	}
	if left := PeakMemory(cmd.Process.Pid); left != 0 {
		t.Errorf("%d bytes of a process that is no more", left)
	}
}
