package containerruntime

import (
	"context"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fastship/fastship/internal/container"
)

// forwarder makes a container's port reachable on this machine's loopback.
type forwarder struct {
	listener net.Listener
	cancel   context.CancelFunc
	port     atomic.Int64 // inside
	open     sync.WaitGroup
}

func forward(c *container.Container) (*forwarder, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background()) // until close
	f := &forwarder{listener: l, cancel: cancel}
	f.open.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			f.open.Go(func() { f.serve(ctx, c, conn) })
		}
	})
	return f, nil
}

func (f *forwarder) address() string { return f.listener.Addr().String() }

// serve joins a connection with one to the container's port; whoever is
// refused inside is cut off here.
func (f *forwarder) serve(ctx context.Context, c *container.Container, outside net.Conn) {
	defer outside.Close()
	dialing, cancel := context.WithTimeout(ctx, 10*time.Second)
	inside, err := c.Dial(dialing, int(f.port.Load()))
	cancel()
	if err != nil {
		return
	}
	defer inside.Close()
	stop := context.AfterFunc(ctx, func() {
		outside.Close()
		inside.Close()
	})
	defer stop()
	var both sync.WaitGroup
	both.Go(func() { pipe(inside, outside) })
	both.Go(func() { pipe(outside, inside) })
	both.Wait()
}

// pipe copies to the end and passes the end on.
func pipe(to, from net.Conn) {
	_, _ = io.Copy(to, from)
	if half, ok := to.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite()
	}
}

func (f *forwarder) close() {
	f.listener.Close()
	f.cancel()
	f.open.Wait()
}
