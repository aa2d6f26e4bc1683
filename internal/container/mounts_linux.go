package container

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// probe does what every container needs and the kernel may refuse.
func probe() error {
	if err := private(); err != nil {
		return err
	}
	if err := mountProc(); err != nil {
		return err
	}
	if err := unix.Mount("tmpfs", "/proc", "tmpfs", 0, ""); err != nil {
		return fmt.Errorf("mount a tmpfs: %w", err)
	}
	return raiseLoopback()
}

// enter makes the container around this process: its root becomes /.
func enter(spec Spec) error {
	unix.Umask(0)
	if err := private(); err != nil {
		return err
	}
	root, err := mountRoot(spec)
	if err != nil {
		return err
	}
	devices, err := openDevices()
	if err != nil {
		return err
	}
	defer closeAll(devices)
	if err := pivot(root); err != nil {
		return err
	}
	// From here on paths are resolved in the new root, symlinks of the
	// image's included; the old one, still mounted under it, is needed until
	// /proc and /dev stand.
	if err := mountProc(); err != nil {
		return err
	}
	if err := mountDev(devices); err != nil {
		return err
	}
	if err := maskProc(); err != nil {
		return err
	}
	mountSys()
	if err := unix.Unmount(".", unix.MNT_DETACH); err != nil {
		return fmt.Errorf("unmount the old root: %w", err)
	}
	if err := os.Chdir("/"); err != nil {
		return err
	}
	if err := settle(spec); err != nil {
		return err
	}
	unix.Umask(0o022)
	return raiseLoopback()
}

// private keeps every mount that follows from this machine's other processes.
func private() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make the mounts private: %w", err)
	}
	return nil
}

// mountRoot mounts the layers under the scratch directory and returns where.
func mountRoot(spec Spec) (string, error) {
	dirs := map[string]string{}
	for _, name := range []string{"upper", "work", "root"} {
		dirs[name] = filepath.Join(spec.Scratch, name)
		if err := os.Mkdir(dirs[name], 0o755); err != nil {
			return "", fmt.Errorf("make the container's scratch: %w", err)
		}
	}
	overlayErr := overlay(spec.Layers, dirs["upper"], dirs["work"], dirs["root"])
	if overlayErr == nil {
		return dirs["root"], nil
	}
	for _, layer := range spec.Layers {
		if err := copyTree(layer, dirs["root"]); err != nil {
			return "", fmt.Errorf("copy the root (overlay: %w): %w", overlayErr, err)
		}
	}
	if err := unix.Mount(dirs["root"], dirs["root"], "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
		return "", fmt.Errorf("bind the root: %w", err)
	}
	return dirs["root"], nil
}

func overlay(layers []string, upper, work, root string) error {
	escape := strings.NewReplacer(`\`, `\\`, `:`, `\:`, `,`, `\,`).Replace
	lower := make([]string, len(layers))
	for i, dir := range layers {
		lower[len(layers)-1-i] = escape(dir) // overlayfs wants the highest first
	}
	options := "lowerdir=" + strings.Join(lower, ":") + ",upperdir=" + escape(upper) + ",workdir=" + escape(work)
	if len(options) >= os.Getpagesize()-64 {
		return unix.E2BIG // mount(2) would cut it off
	}
	mapped, err := inUserNamespace()
	if err != nil {
		return err
	}
	if mapped {
		options += ",userxattr" // trusted.* attributes are out of reach there
	}
	// volatile (Linux 5.10): nobody needs the scratch after a crash, so that
	// unmounting need not wait for the disk.
	err = unix.Mount("overlay", root, "overlay", 0, options+",volatile")
	if errors.Is(err, unix.EINVAL) {
		err = unix.Mount("overlay", root, "overlay", 0, options)
	}
	return err
}

// pivot makes root this process's root; its working directory is the old one.
func pivot(root string) error {
	if err := os.Chdir(root); err != nil {
		return err
	}
	old, err := unix.Open("/", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(old)
	if err := unix.PivotRoot(".", "."); err != nil {
		return fmt.Errorf("pivot into the root: %w", err)
	}
	return unix.Fchdir(old)
}

func mountProc() error {
	if err := os.MkdirAll("/proc", 0o555); err != nil {
		return err
	}
	if err := unix.Mount("proc", "/proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		return fmt.Errorf("mount /proc: %w", err)
	}
	return nil
}

// devices are taken from this machine: an unprivileged user cannot make any.
var devices = []string{"null", "zero", "full", "random", "urandom", "tty"}

func openDevices() ([]*os.File, error) {
	var files []*os.File
	for _, name := range devices {
		f, err := os.OpenFile("/dev/"+name, unix.O_PATH|unix.O_CLOEXEC, 0)
		if err != nil {
			closeAll(files)
			return nil, err
		}
		files = append(files, f)
	}
	return files, nil
}

func closeAll(files []*os.File) {
	for _, f := range files {
		f.Close()
	}
}

func mountDev(files []*os.File) error {
	if err := os.MkdirAll("/dev", 0o755); err != nil {
		return err
	}
	if err := unix.Mount("tmpfs", "/dev", "tmpfs", unix.MS_NOSUID|unix.MS_NOEXEC, "mode=755,size=64k"); err != nil {
		return fmt.Errorf("mount /dev: %w", err)
	}
	for i, name := range devices {
		target := "/dev/" + name
		if err := os.WriteFile(target, nil, 0o666); err != nil {
			return err
		}
		if err := unix.Mount(fmt.Sprintf("/proc/self/fd/%d", files[i].Fd()), target, "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("bind %s: %w", target, err)
		}
	}
	for name, target := range map[string]string{"fd": "/proc/self/fd", "stdin": "/proc/self/fd/0", "stdout": "/proc/self/fd/1", "stderr": "/proc/self/fd/2"} {
		if err := os.Symlink(target, "/dev/"+name); err != nil {
			return err
		}
	}
	if err := os.Mkdir("/dev/shm", 0o777); err != nil {
		return err
	}
	return unix.Mount("tmpfs", "/dev/shm", "tmpfs", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "mode=1777,size=64m")
}

// maskProc hides what root could read of this machine, or change on it,
// through /proc: the lists of the OCI runtime specification's default
// configuration (maskedPaths, readonlyPaths).
func maskProc() error {
	for _, name := range []string{"kcore", "keys", "latency_stats", "timer_list", "timer_stats", "sched_debug"} {
		err := unix.Mount("/dev/null", "/proc/"+name, "", unix.MS_BIND, "")
		if err != nil && !errors.Is(err, unix.ENOENT) {
			return fmt.Errorf("mask /proc/%s: %w", name, err)
		}
	}
	for _, name := range []string{"bus", "fs", "irq", "sys", "sysrq-trigger"} {
		path := "/proc/" + name
		err := unix.Mount(path, path, "", unix.MS_BIND|unix.MS_REC, "")
		if err == nil {
			err = readonly(path)
		}
		if err != nil && !errors.Is(err, unix.ENOENT) {
			return fmt.Errorf("make %s read-only: %w", path, err)
		}
	}
	return nil
}

// readonly remounts a mount read-only with its other flags kept: in a user
// namespace they are locked and must be named.
func readonly(path string) error {
	var st unix.Statfs_t
	if err := unix.Statfs(path, &st); err != nil {
		return err
	}
	kept := uintptr(st.Flags) & (unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC | unix.MS_NOATIME | unix.MS_NODIRATIME | unix.MS_RELATIME)
	return unix.Mount("", path, "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY|kept, "")
}

// mountSys gives programs /sys to read, where that is allowed; they do well
// without.
func mountSys() {
	if os.MkdirAll("/sys", 0o555) == nil {
		_ = unix.Mount("sysfs", "/sys", "sysfs", unix.MS_RDONLY|unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "")
	}
}

// settle writes what depends on the spec: host name, working directory,
// whether the root can be written.
func settle(spec Spec) error {
	name := hostname(spec)
	if err := unix.Sethostname([]byte(name)); err != nil {
		return fmt.Errorf("set the host name: %w", err)
	}
	if err := os.MkdirAll("/etc", 0o755); err != nil {
		return err
	}
	hosts := "127.0.0.1 localhost " + name + "\n::1 localhost ip6-localhost ip6-loopback\n"
	for file, text := range map[string]string{"/etc/hosts": hosts, "/etc/hostname": name + "\n"} {
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			return fmt.Errorf("write the host's name: %w", err)
		}
	}
	if spec.Dir != "" {
		if err := os.MkdirAll(spec.Dir, 0o755); err != nil {
			return fmt.Errorf("make the working directory: %w", err)
		}
	}
	if spec.ReadonlyRoot {
		if err := readonly("/"); err != nil {
			return fmt.Errorf("make the root read-only: %w", err)
		}
	}
	return nil
}
