package container

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// defaultPath is the PATH of container engines.
const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// rootCapabilities are what a program that runs as root keeps: a container
// engine's default set without raw sockets, device nodes and audit.
var rootCapabilities = []uintptr{
	unix.CAP_CHOWN, unix.CAP_DAC_OVERRIDE, unix.CAP_FOWNER, unix.CAP_FSETID, unix.CAP_KILL,
	unix.CAP_SETGID, unix.CAP_SETUID, unix.CAP_SETPCAP, unix.CAP_SETFCAP, unix.CAP_NET_BIND_SERVICE, unix.CAP_SYS_CHROOT,
}

// prepare settles who and where the program is and takes from this thread,
// which forks it, what it must not have. The container's root must be /.
func (p *initProcess) prepare(spec Spec) error {
	who, err := resolveUser(spec.User)
	if err != nil {
		return err
	}
	p.args, p.dir = spec.Args, spec.Dir
	if p.dir == "" {
		p.dir = "/"
	}
	p.env = environment(spec, who)
	p.attr = &syscall.SysProcAttr{Setsid: true}
	if mapped, err := inUserNamespace(); err != nil {
		return err
	} else if !mapped {
		p.attr.Credential = &syscall.Credential{Uid: who.uid, Gid: who.gid, Groups: who.groups}
	} else if who.uid != 0 || who.gid != 0 {
		p.attr.Cloneflags = syscall.CLONE_NEWUSER
		p.attr.UidMappings = []syscall.SysProcIDMap{{ContainerID: int(who.uid), HostID: 0, Size: 1}}
		p.attr.GidMappings = []syscall.SysProcIDMap{{ContainerID: int(who.gid), HostID: 0, Size: 1}}
		p.attr.Credential = &syscall.Credential{Uid: who.uid, Gid: who.gid, NoSetGroups: true}
	}
	// So that it may open /dev/stdout and /dev/stderr again.
	for _, f := range []*os.File{os.Stdout, os.Stderr} {
		if p.attr.Credential != nil && p.attr.Cloneflags == 0 {
			_ = f.Chown(int(who.uid), int(who.gid))
		}
	}
	return dropPrivileges()
}

// dropPrivileges acts on what this thread's children may become, not on what
// this thread still has to do.
func dropPrivileges() error {
	for c := uintptr(0); c <= unix.CAP_LAST_CAP; c++ {
		if slices.Contains(rootCapabilities, c) {
			continue
		}
		// EINVAL: a capability that this kernel does not know.
		if err := unix.Prctl(unix.PR_CAPBSET_DROP, c, 0, 0, 0); err != nil && !errors.Is(err, unix.EINVAL) {
			return fmt.Errorf("drop capability %d: %w", c, err)
		}
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("set no_new_privs: %w", err)
	}
	return nil
}

// inUserNamespace tells whether this process is root by a map only.
func inUserNamespace() (bool, error) {
	raw, err := os.ReadFile("/proc/self/uid_map")
	if err != nil {
		return false, err
	}
	return !slices.Equal(strings.Fields(string(raw)), []string{"0", "0", "4294967295"}), nil
}

func environment(spec Spec, who user) []string {
	env := slices.Clone(spec.Env)
	add := func(key, value string) {
		if !slices.ContainsFunc(env, func(kv string) bool { return strings.HasPrefix(kv, key+"=") }) {
			env = append(env, key+"="+value)
		}
	}
	add("PATH", defaultPath)
	add("HOSTNAME", hostname(spec))
	add("HOME", who.home)
	return env
}

func hostname(spec Spec) string {
	if spec.Hostname == "" {
		return "container"
	}
	return spec.Hostname
}

// lookPath finds a program as a container engine does: by PATH of the
// container's own environment.
func lookPath(name string, env []string) (string, error) {
	if strings.Contains(name, "/") {
		return name, nil
	}
	for _, kv := range env {
		path, ok := strings.CutPrefix(kv, "PATH=")
		if !ok {
			continue
		}
		for _, dir := range filepath.SplitList(path) {
			candidate := filepath.Join(dir, name)
			if info, err := os.Stat(candidate); err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
				return candidate, nil
			}
		}
	}
	return "", fmt.Errorf("executable file not found in $PATH%w", quiet{syscall.ENOENT})
}

// quiet is a cause that adds nothing to the text.
type quiet struct{ error }

func (quiet) Error() string   { return "" }
func (q quiet) Unwrap() error { return q.error }

// startFailure says why a program could not be started; execve's own words
// mislead where a script's interpreter or the dynamic loader is what lacks.
func startFailure(path string, err error) error {
	if _, statErr := os.Stat(path); errors.Is(err, syscall.ENOENT) && statErr == nil {
		return errors.New("its interpreter or dynamic loader is not in the image")
	}
	return err
}
