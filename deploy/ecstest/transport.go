package ecstest

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
)

// Transport returns a round tripper that hands every request to a Double, or to
// a handler in front of one, without a socket: whole rollouts run inside a
// testing/synctest bubble with it. The request's host does not matter.
func Transport(d http.Handler) http.RoundTripper { return transport{d} }

type transport struct{ double http.Handler }

// RoundTrip calls the handler. A cut connection is an io.ErrUnexpectedEOF, as
// one sees it from a socket that closes under a pending answer.
func (t transport) RoundTrip(r *http.Request) (resp *http.Response, err error) {
	if r.Body == nil {
		r = r.Clone(r.Context())
		r.Body = http.NoBody
	}
	defer r.Body.Close()
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	w := &recorder{header: http.Header{}, status: http.StatusOK}
	defer func() {
		switch p := recover(); p {
		case nil:
		case http.ErrAbortHandler:
			resp, err = nil, io.ErrUnexpectedEOF
		default:
			panic(p)
		}
	}()
	t.double.ServeHTTP(w, r)
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	return &http.Response{
		Status: fmt.Sprintf("%d %s", w.status, http.StatusText(w.status)), StatusCode: w.status,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: w.header, Body: io.NopCloser(&w.body), ContentLength: int64(w.body.Len()), Request: r,
	}, nil
}

// recorder keeps an answer in memory.
type recorder struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (w *recorder) Header() http.Header         { return w.header }
func (w *recorder) WriteHeader(status int)      { w.status = status }
func (w *recorder) Write(b []byte) (int, error) { return w.body.Write(b) }
