// Greeter is the service that the tests roll out.
package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"
)

func main() {
	if code, err := strconv.Atoi(os.Getenv("EXIT")); err == nil {
		fmt.Println("leaving with", code)
		os.Exit(code)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	server := &http.Server{Addr: ":9090", Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "version %s for %s\n", os.Getenv("VERSION"), r.Host)
	})}
	go func() { _ = server.ListenAndServe() }()
	<-ctx.Done()
	grace, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = server.Shutdown(grace)
}
