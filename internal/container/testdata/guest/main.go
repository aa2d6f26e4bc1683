// Guest is what the tests run in containers: its first argument says what it
// does.
package main

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

func main() {
	switch os.Args[1] {
	case "exit":
		code, _ := strconv.Atoi(os.Args[2])
		os.Exit(code)
	case "report":
		report()
	case "sleep":
		fmt.Println("asleep")
		time.Sleep(time.Hour)
	case "die":
		_ = syscall.Kill(os.Getpid(), syscall.SIGTERM)
		time.Sleep(time.Hour)
	case "serve":
		serve(os.Args[2])
	case "term": // ends well on SIGTERM
		c := make(chan os.Signal, 1)
		signal.Notify(c, syscall.SIGTERM)
		fmt.Println("ready")
		<-c
		fmt.Println("bye")
	case "stubborn":
		signal.Ignore(syscall.SIGTERM)
		fmt.Println("ready")
		time.Sleep(time.Hour)
	case "orphans":
		orphans()
	case "sleeper":
		time.Sleep(time.Hour)
	case "lines":
		fmt.Print("one\ntwo\n\nlast without an end")
		fmt.Fprint(os.Stderr, strings.Repeat("x", 100_000)+"\n")
	case "steady":
		mode, err := os.ReadFile("/proc/self/personality")
		stat, _ := os.ReadFile("/proc/self/stat")
		fields := strings.Fields(string(stat)[strings.LastIndexByte(string(stat), ')')+1:])
		fmt.Println("processors", runtime.NumCPU(), "policy", fields[38]) // proc(5): field 41
		fmt.Println("personality", strings.TrimSpace(string(mode)), err)
	case "write":
		for _, path := range os.Args[2:] {
			fmt.Println(path, os.WriteFile(path, []byte("hi"), 0o644))
		}
	}
}

func report() {
	var inherited []string
	for fd := 3; fd < 100; fd++ {
		if target, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", fd)); err == nil && !strings.HasPrefix(target, "anon_inode:") {
			inherited = append(inherited, target)
		}
	}
	fmt.Println("descriptors:", inherited) // none but the Go runtime's own
	wd, _ := os.Getwd()
	host, _ := os.Hostname()
	status, _ := os.ReadFile("/proc/self/status")
	groups, _ := os.Getgroups()
	fmt.Printf("uid=%d gid=%d groups=%v pid1=%t dir=%s host=%s\n", os.Getuid(), os.Getgid(), groups, os.Getpid() == 1, wd, host)
	for line := range strings.Lines(string(status)) {
		if strings.HasPrefix(line, "Cap") || strings.HasPrefix(line, "NoNewPrivs") {
			fmt.Println(strings.Join(strings.Fields(line), ""))
		}
	}
	for _, kv := range os.Environ() {
		fmt.Println("env:", kv)
	}
	interfaces, _ := net.Interfaces()
	for _, i := range interfaces {
		fmt.Println("interface:", i.Name, i.Flags)
	}
	for _, file := range []string{"/dev/null", "/dev/urandom", "/proc/self/exe", "/proc/kcore", "/proc/keys"} {
		f, err := os.Open(file)
		n := 0
		if err == nil {
			n, _ = f.Read(make([]byte, 8))
		}
		fmt.Println("open:", file, err == nil, n)
	}
	f, err := os.OpenFile("/dev/stdout", os.O_WRONLY, 0)
	if err == nil {
		fmt.Fprintln(f, "again through /dev/stdout")
	} else {
		fmt.Println(err)
	}
}

func serve(address string) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println("listening")
	_ = http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "hello from %d", os.Getuid())
	}))
}

// orphans leaves processes behind that PID 1 has to reap, and one that runs on.
func orphans() {
	self := "/proc/self/exe"
	for range 20 {
		// The middle one ends at once, so that its child is an orphan.
		cmd := exec.Command(self, "exit", "0")
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		_ = cmd.Start()
	}
	last := exec.Command(self, "sleeper")
	last.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	_ = last.Start()
	fmt.Println("left", last.Process.Pid)
}
