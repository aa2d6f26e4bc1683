package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"syscall"
	"testing"

	"github.com/fastship/fastship/internal/fault"
	"github.com/fastship/fastship/runner"
)

func TestEveryClassHasItsOwnExitCode(t *testing.T) {
	codes := map[int]fault.Class{}
	for class := fault.Internal; class <= fault.RolloutTimedOut; class++ {
		code := exitCode(fmt.Errorf("wrapped: %w", fault.New(class, "", "cause")))
		if other, taken := codes[code]; taken {
			t.Errorf("classes %d and %d both exit with %d", class, other, code)
		}
		codes[code] = class
		if !strings.Contains(exitTable(), fmt.Sprintf("  %3d  ", code)) {
			t.Errorf("the help does not say %d", code)
		}
	}
	for err, want := range map[error]int{
		nil: 0, errors.New("nobody classified it"): 1,
		&signalled{syscall.SIGINT}: 130, &signalled{syscall.SIGTERM}: 143,
	} {
		if got := exitCode(err); got != want {
			t.Errorf("%v: exit code %d, want %d", err, got, want)
		}
	}
}

func TestCauseIsTheFirstFinding(t *testing.T) {
	first := fault.New(fault.BadInput, "mend it", "fastship.yaml:1:2: wrong\n  1 | a\n    | ^")
	got := causeOf(runner.Findings{first, errors.New("no JDK")})
	if got.line != "fastship.yaml:1:2: wrong" || got.detail != "  1 | a\n    | ^" || got.hint != "mend it" {
		t.Errorf("got %+v", got)
	}
	if len(got.others) != 1 || got.others[0] != "no JDK" {
		t.Errorf("others: %q", got.others)
	}
}

func TestParseBytes(t *testing.T) {
	for text, want := range map[string]int64{"": 0, "0": 0, "1024": 1024, "1k": 1024, "20G": 20 << 30, "2GiB": 2 << 30, "3mb": 3 << 20, "1T": 1 << 40} {
		if got, err := parseBytes(text); err != nil || got != want {
			t.Errorf("%q: got %d, %v; want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"lots", "-1", "1.5G", "G", "B", "9999999T", "1 G"} {
		if got, err := parseBytes(text); err == nil {
			t.Errorf("%q: got %d, want an error", text, got)
		}
	}
}

// TestCauseHasARemedy: what the disk refuses has one remedy everywhere, unless
// whoever met it knew better.
func TestCauseHasARemedy(t *testing.T) {
	for want, err := range map[string]error{
		"free some space on that disk": fault.New(fault.ImageFailed, "buy a disk", "write x: %w", syscall.ENOSPC),
		"name another place":           fmt.Errorf("write x: %w", &fs.PathError{Op: "open", Path: "x", Err: syscall.EROFS}),
		"give this user the right":     fmt.Errorf("write x: %w", &fs.PathError{Op: "open", Path: "x", Err: syscall.EACCES}),
		"ask her":                      fault.New(fault.ImageFailed, "ask her", "write x: %w", syscall.EACCES),
	} {
		if got := causeOf(err).hint; !strings.HasPrefix(got, want) {
			t.Errorf("%v: %q", err, got)
		}
	}
}
