package sandbox

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httputil"
	"sync/atomic"
)

// proxyHeader is set on answers that the proxy gives itself.
const proxyHeader = "Fastship-Sandbox"

// front is the load balancer: a reverse proxy over the service's healthy
// tasks, one after the other.
type front struct {
	routes  func() []string // host:port of healthy tasks
	service string
	turn    atomic.Uint64
}

var errNoTask = errors.New("no healthy task")

func (f *front) handler() http.Handler {
	transport := &http.Transport{MaxIdleConnsPerHost: 32, ResponseHeaderTimeout: 0}
	return &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.URL.Scheme = "http"
			r.Out.URL.Host = r.In.Host
			r.Out.Host = r.In.Host // applications make links of it
			r.SetXForwarded()
		},
		Transport:     balancer{f, transport},
		FlushInterval: -1, // server-sent events are not held back
		ErrorHandler:  f.refuse,
	}
}

func (f *front) refuse(w http.ResponseWriter, r *http.Request, err error) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	if errors.Is(err, errNoTask) {
		w.Header().Set(proxyHeader, "no-healthy-task")
		w.Header().Set("Retry-After", "1")
		w.WriteHeader(http.StatusServiceUnavailable)
		fmt.Fprintf(w, "fastship sandbox: service %s has no healthy task yet\n", f.service)
		return
	}
	w.Header().Set(proxyHeader, "bad-gateway")
	w.WriteHeader(http.StatusBadGateway)
	fmt.Fprintf(w, "fastship sandbox: service %s did not answer: %v\n", f.service, err)
}

// balancer sends each request to the next healthy task, and to another one
// where that has just gone away.
type balancer struct {
	front *front
	next  *http.Transport
}

func (b balancer) RoundTrip(r *http.Request) (*http.Response, error) {
	routes := b.front.routes()
	if len(routes) == 0 {
		return nil, errNoTask
	}
	turn := b.front.turn.Add(1)
	var err error
	for i := range routes {
		attempt := r.Clone(r.Context())
		attempt.URL.Host = routes[(turn+uint64(i))%uint64(len(routes))]
		var response *http.Response
		if response, err = b.next.RoundTrip(attempt); err == nil {
			return response, nil
		}
		// Only what has not been sent can be sent again.
		if e, ok := errors.AsType[*net.OpError](err); !ok || e.Op != "dial" || r.Body != nil && r.Body != http.NoBody {
			break
		}
	}
	return nil, err
}
