package container

import (
	"cmp"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// raiseLoopback brings up the one device of this network namespace.
func raiseLoopback() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("raise lo: %w", err)
	}
	defer unix.Close(fd)
	lo, err := unix.NewIfreq("lo")
	if err != nil {
		return fmt.Errorf("raise lo: %w", err)
	}
	lo.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	if err := unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, lo); err != nil {
		return fmt.Errorf("raise lo: %w", err)
	}
	return nil
}

// listening reads this network namespace's listening TCP sockets, each port
// once, sorted. A port is Loopback when no socket on it is bound to more.
func listening() ([]Listener, error) {
	loopback := map[int]bool{}
	for _, file := range []string{"/proc/self/net/tcp", "/proc/self/net/tcp6"} {
		raw, err := os.ReadFile(file)
		if errors.Is(err, fs.ErrNotExist) {
			continue // a kernel without IPv6
		}
		if err != nil {
			return nil, err
		}
		for line := range strings.Lines(string(raw)) {
			l, ok := parseSocket(line)
			if !ok {
				continue
			}
			only, seen := loopback[l.Port]
			loopback[l.Port] = l.Loopback && (only || !seen)
		}
	}
	var all []Listener
	for port, only := range loopback {
		all = append(all, Listener{Port: port, Loopback: only})
	}
	slices.SortFunc(all, func(a, b Listener) int { return cmp.Compare(a.Port, b.Port) })
	return all, nil
}

// parseSocket reads a line of /proc/net/tcp or tcp6: "sl local_address
// rem_address st …", addresses in hexadecimal words of host byte order. The
// state of a listening socket is 0A (TCP_LISTEN).
func parseSocket(line string) (Listener, bool) {
	f := strings.Fields(line)
	if len(f) < 4 || f[3] != "0A" {
		return Listener{}, false
	}
	address, port, _ := strings.Cut(f[1], ":")
	number, err := strconv.ParseUint(port, 16, 16)
	raw, err2 := hex.DecodeString(address)
	if err != nil || err2 != nil {
		return Listener{}, false
	}
	return Listener{Port: int(number), Loopback: isLoopback(raw)}, true
}

// isLoopback reads little-endian words, as every platform of fastship's has
// them: 127.0.0.0/8, ::1, and ::ffff:127.0.0.0/104.
func isLoopback(address []byte) bool {
	switch len(address) {
	case 4:
		return address[3] == 127
	case 16:
		word := func(i int) string { return hex.EncodeToString(address[4*i : 4*i+4]) }
		if word(0) != "00000000" || word(1) != "00000000" {
			return false
		}
		return word(2) == "00000000" && word(3) == "01000000" || word(2) == "ffff0000" && address[15] == 127
	}
	return false
}
