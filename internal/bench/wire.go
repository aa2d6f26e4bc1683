package main

import (
	"context"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// wire stands between a client and a server on loopback as a long link would:
// one bandwidth for all connections in each direction, a delay, a handshake,
// and TCP's slow start, by which a new connection sends ten segments in its
// first round trip and twice as many in each that follows.
type wire struct {
	address string
	to      string
	rate    float64 // bytes per second, each way
	trip    time.Duration
	up      link
	down    link
}

const (
	chunk         = 32 << 10
	initialWindow = 10 * 1460 // RFC 6928
	maxWindow     = 8 << 20
)

// link is one direction: bytes leave it one after the other.
type link struct {
	mu    sync.Mutex
	free  time.Time // when the last byte under way has left
	bytes atomic.Int64
}

// pass books n bytes and returns when the last of them leaves.
func (l *link) pass(n int, rate float64) time.Time {
	l.bytes.Add(int64(n))
	l.mu.Lock()
	defer l.mu.Unlock()
	if now := time.Now(); l.free.Before(now) {
		l.free = now
	}
	l.free = l.free.Add(time.Duration(float64(n) / rate * float64(time.Second)))
	return l.free
}

func newWire(ctx context.Context, to string, rate float64, trip time.Duration) (*wire, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	w := &wire{address: l.Addr().String(), to: to, rate: rate, trip: trip}
	context.AfterFunc(ctx, func() { l.Close() })
	go func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			go w.carry(client)
		}
	}()
	return w, nil
}

func (w *wire) carry(client net.Conn) {
	defer client.Close()
	time.Sleep(w.trip) // SYN and its answer
	server, err := net.Dial("tcp", w.to)
	if err != nil {
		return
	}
	defer server.Close()
	var both sync.WaitGroup
	both.Go(func() { w.pump(server, client, &w.up) })
	both.Go(func() { w.pump(client, server, &w.down) })
	both.Wait()
}

// flight is what a connection has sent: it arrives after half a round trip,
// and its acknowledgement after a whole one.
type flight struct {
	b    []byte
	sent time.Time
}

// pump moves bytes one way until their end, which it passes on.
func (w *wire) pump(to, from net.Conn, l *link) {
	arriving, acknowledged := make(chan flight, maxWindow/1460), make(chan flight, maxWindow/1460)
	var done sync.WaitGroup
	done.Go(func() {
		defer close(acknowledged)
		for f := range arriving {
			time.Sleep(time.Until(f.sent.Add(w.trip / 2)))
			if _, err := to.Write(f.b); err != nil {
				from.Close()
			}
			acknowledged <- f
		}
		if c, ok := to.(*net.TCPConn); ok {
			c.CloseWrite()
		}
	})
	window, out := initialWindow, 0
	take := func(f flight) {
		time.Sleep(time.Until(f.sent.Add(w.trip)))
		out -= len(f.b)
		window = min(window+len(f.b), maxWindow)
	}
	for {
		for out >= window {
			take(<-acknowledged)
		}
		b := make([]byte, min(chunk, window-out))
		n, err := from.Read(b)
		if n > 0 {
			arriving <- flight{b[:n], l.pass(n, w.rate)}
			out += n
		}
		for more := true; more; { // what was acknowledged while this read waited
			select {
			case f := <-acknowledged:
				take(f)
			default:
				more = false
			}
		}
		if err != nil {
			if err != io.EOF {
				to.Close()
			}
			break
		}
	}
	close(arriving)
	done.Wait()
}
