package main

import (
	"context"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"strings"
	"sync/atomic"
)

// meter stands before a registry and counts: requests, and the bytes of their
// bodies.
type meter struct {
	address  string
	requests atomic.Int64
	reads    atomic.Int64 // requests for a blob's bytes
	sent     atomic.Int64
}

func newMeter(ctx context.Context, to string) (*meter, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	m := &meter{address: l.Addr().String()}
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(&url.URL{Scheme: "http", Host: to})
		r.Out.Host = r.In.Host // where the registry says that uploads go on
	}}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		m.requests.Add(1)
		if r.Method == http.MethodGet && strings.Contains(r.URL.Path, "/blobs/sha256:") {
			m.reads.Add(1)
		}
		r.Body = countedBody{r.Body, &m.sent}
		proxy.ServeHTTP(w, r)
	})}
	context.AfterFunc(ctx, func() { server.Close() })
	go server.Serve(l)
	return m, nil
}

// count returns what f made the meter count.
func (m *meter) count(f func() error) (requests, reads, sent int64, err error) {
	requests, reads, sent = m.requests.Load(), m.reads.Load(), m.sent.Load()
	err = f()
	return m.requests.Load() - requests, m.reads.Load() - reads, m.sent.Load() - sent, err
}

type countedBody struct {
	io.ReadCloser
	n *atomic.Int64
}

func (c countedBody) Read(b []byte) (int, error) {
	n, err := c.ReadCloser.Read(b)
	c.n.Add(int64(n))
	return n, err
}

// writeNoise writes a file that no compressor makes smaller.
func writeNoise(path string, bytes int64) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	if _, err := io.CopyN(f, rand.NewChaCha8([32]byte{1}), bytes); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}
