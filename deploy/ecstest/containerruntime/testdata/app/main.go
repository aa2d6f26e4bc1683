// App is the service that the tests put into images. Its environment says how
// it behaves.
package main

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"
)

func main() {
	fmt.Println("app", os.Args[1:], "uid", os.Getuid())
	if code := os.Getenv("EXIT"); code != "" {
		fmt.Fprintln(os.Stderr, "leaving with", code)
		n, _ := strconv.Atoi(code)
		os.Exit(n)
	}
	if len(os.Args) > 1 && os.Args[1] == "check" {
		_, err := os.Stat("/tmp/healthy")
		if err != nil {
			fmt.Println("no /tmp/healthy")
			os.Exit(1)
		}
		return
	}
	delay, _ := time.ParseDuration(os.Getenv("DELAY"))
	time.Sleep(delay)
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM)
	if address := os.Getenv("LISTEN"); address != "none" {
		if address == "" {
			address = ":8080"
		}
		go serve(address)
	}
	<-stop
	if os.Getenv("STUBBORN") != "" {
		select {}
	}
	fmt.Println("stopping")
}

func serve(address string) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println("listening on", l.Addr())
	_ = http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/healthy":
			_ = os.WriteFile("/tmp/healthy", nil, 0o644)
		case "/unhealthy":
			_ = os.Remove("/tmp/healthy")
		case "/exit":
			os.Exit(3)
		}
		if status, err := strconv.Atoi(os.Getenv("STATUS")); err == nil {
			w.WriteHeader(status)
		}
		fmt.Fprintf(w, "hello from %s %s\n", os.Getenv("VERSION"), r.URL.Path)
	}))
}
