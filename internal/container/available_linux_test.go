package container

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/fastship/fastship/internal/fault"
	"golang.org/x/sys/unix"
)

// refusedAs asks this test binary, started again, to give up what containers
// need, as "root" or as a "user", and then to "ask" whether it may run any.
const refusedAs = "FASTSHIP_TEST_REFUSED"

func refusedMain(as string) error {
	runtime.LockOSThread()
	switch as {
	case "root": // as in a container engine's container
		if err := unix.Prctl(unix.PR_CAPBSET_DROP, unix.CAP_SYS_ADMIN, 0, 0, 0); err != nil {
			return err
		}
	case "user": // as where an administrator turned them off
		if err := os.WriteFile("/proc/sys/user/max_user_namespaces", []byte("0"), 0); err != nil {
			return err
		}
		if err := syscall.Setuid(1000); err != nil {
			return err
		}
	case "ask":
		err := Available(context.Background())
		fmt.Printf("%d %v\n%s\n", fault.ClassOf(err), err, fault.HintOf(err))
		return nil
	}
	return syscall.Exec("/proc/self/exe", os.Args, []string{refusedAs + "=ask"})
}

func TestMachineThatAllowsNoNamespaces(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root to give up its rights")
	}
	for as, hint := range map[string]string{"root": "docker run --privileged", "user": "sysctl -w user.max_user_namespaces="} {
		t.Run(as, func(t *testing.T) {
			cmd := exec.Command("/proc/self/exe")
			cmd.Env = []string{refusedAs + "=" + as}
			if as == "user" { // whose limit is the namespace's own
				maps := []syscall.SysProcIDMap{{ContainerID: 0, HostID: 0, Size: 2000}}
				cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWUSER, UidMappings: maps, GidMappings: maps}
			}
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			if want := fmt.Sprintf("%d run a container: namespaces are not allowed here: ", fault.Missing); !strings.HasPrefix(string(out), want) || !strings.Contains(string(out), hint) {
				t.Errorf("%s", out)
			}
		})
	}
}
