// Java stands for a JVM in tests of training: FAKE in its environment says how
// the application and the JVM behave.
package main

import (
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"
)

func option(prefix string) string {
	for _, arg := range os.Args[1:] {
		if value, ok := strings.CutPrefix(arg, prefix); ok {
			return value
		}
	}
	return ""
}

func main() {
	fake := os.Getenv("FAKE")
	switch {
	case slices.Contains(os.Args, "-Xshare:dump"):
		list, err := os.ReadFile(option("-XX:SharedClassListFile="))
		if err != nil || fake == "no-dump" {
			fmt.Println("Error: cannot dump", err)
			os.Exit(1)
		}
		if fake == "slow-dump" {
			time.Sleep(time.Hour)
		}
		if fake == "empty-dump" {
			return
		}
		check(os.WriteFile(option("-XX:SharedArchiveFile="), list, 0o600))
	case slices.Contains(os.Args, "-Xshare:on"):
		if fake == "no-open" {
			fmt.Println("Error occurred during initialization of VM")
			os.Exit(1)
		}
	case slices.Contains(os.Args, "-version"):
		fmt.Fprintln(os.Stderr, `openjdk version "`+fake+`" 2025-01-01`)
	default:
		application(fake)
	}
}

func application(fake string) {
	if fake != "no-list" {
		classes := "java/lang/Object id: 0\norg/lib/A id: 1\ncom/example/Main id: 2\norg/snap/S id: 3\n"
		if fake == "early" {
			classes = "java/lang/Object id: 0\n"
		}
		check(os.WriteFile(option("-XX:DumpLoadedClassList="), []byte(classes), 0o644))
	}
	switch fake {
	case "fail":
		fmt.Println("org.springframework.X: no bean\n\tat a.B\nCaused by: java.net.ConnectException: Connection refused")
		os.Exit(1)
	case "hang":
		time.Sleep(time.Hour)
	case "serve":
		ended := make(chan os.Signal, 1)
		signal.Notify(ended, syscall.SIGTERM)
		go func() { check(http.ListenAndServe("127.0.0.1:8080", http.NotFoundHandler())) }()
		<-ended
		os.Exit(143)
	case "network":
		if _, err := http.Get("http://192.0.2.1/"); err == nil || !strings.Contains(err.Error(), "unreachable") {
			os.Exit(3)
		}
		if os.Getenv("SECRET") != "" || os.Getuid() != 65532 {
			os.Exit(4)
		}
	}
}

func check(err error) {
	if err != nil {
		fmt.Println("Error:", err)
		os.Exit(2)
	}
}
