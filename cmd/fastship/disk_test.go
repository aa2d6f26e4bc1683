package main

import (
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

// TestFoldersThatCannotBeWritten runs where there is no room, and where
// nothing may be written: it says so with a remedy, before Maven starts.
func TestFoldersThatCannotBeWritten(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("mounting needs root")
	}
	need(t, "unshare")
	for _, c := range []struct{ name, mount, hint, last string }{
		{"full disk", "mount -t tmpfs -o size=64k tmpfs $1 && cp -r $2/. $1 && ! head -c 1M /dev/zero > $1/filler 2>/dev/null", "free some space on that disk", `error: .*no space left on device`},
		{"read-only folder", "mount --bind $2 $1 && mount -o remount,bind,ro $1", "make the project's folder writable", `error: .*read-only file system`},
	} {
		t.Run(c.name, func(t *testing.T) {
			project, place := app(t, "hello"), t.TempDir()
			cmd := program(t, place)
			inside := exec.Command("unshare", "--mount", "sh", "-c", c.mount+` && cd $1 && exec $3 run`, "sh", place, project, cmd.Path)
			inside.Env = cmd.Env
			out, err := inside.CombinedOutput()
			if code := inside.ProcessState.ExitCode(); code != 3 {
				t.Errorf("exit code %d (%v), want 3\n%s", code, err, out)
			}
			if last := lastOf(string(out)); !regexp.MustCompile(c.last).MatchString(last) {
				t.Errorf("last line %q, want %q", last, c.last)
			}
			if !strings.Contains(string(out), "\nhint: "+c.hint+"\n") {
				t.Errorf("no remedy %q in\n%s", c.hint, out)
			}
		})
	}
}
