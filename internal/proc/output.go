package proc

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"time"
)

// outputs are the pipes between a child and its line functions, and the one
// that feeds it. They are our own, not os/exec's: its WaitDelay closes a pipe
// with the child's last words still in it when the reader of lines is slow,
// and waits for ever for a blocked reader of the input.
type outputs struct {
	stdin  *os.File // our end of the child's input, when it is fed
	feed   io.Reader
	pipes  []*output
	theirs []*os.File // the ends that only the child may keep open
	wg     sync.WaitGroup
	done   chan struct{}
}

type output struct {
	file  *os.File
	lines *Lines
}

// connect gives the child its input, and a pipe for each stream that somebody
// listens to.
func (o *outputs) connect(cmd *exec.Cmd, c Cmd) error {
	switch in := c.Stdin.(type) {
	case nil:
	case *os.File:
		cmd.Stdin = in
	default:
		theirs, ours, err := o.pipe(cmd)
		if err != nil {
			return err
		}
		o.theirs = append(o.theirs, theirs)
		o.stdin, o.feed, cmd.Stdin = ours, in, theirs
	}
	for _, stream := range []struct {
		tell func(string)
		to   *io.Writer
	}{{c.Stdout, &cmd.Stdout}, {c.Stderr, &cmd.Stderr}} {
		if stream.tell == nil {
			continue
		}
		ours, theirs, err := o.pipe(cmd)
		if err != nil {
			return err
		}
		o.theirs = append(o.theirs, theirs)
		o.pipes = append(o.pipes, &output{ours, NewLines(stream.tell)})
		*stream.to = theirs
	}
	return nil
}

func (o *outputs) pipe(cmd *exec.Cmd) (r, w *os.File, err error) {
	if r, w, err = os.Pipe(); err != nil {
		return nil, nil, fmt.Errorf("open a pipe to %s: %w", cmd.Path, err)
	}
	return r, w, nil
}

// start reads the pipes until their end, once the child has its own ends.
func (o *outputs) start() {
	for _, f := range o.theirs {
		_ = f.Close()
	}
	o.theirs = nil
	for _, p := range o.pipes {
		o.wg.Go(p.read)
	}
	if o.stdin != nil {
		// Nobody waits for the feeder: a Read that blocks cannot be ended
		// from here. close, at the latest, makes its next Write fail.
		go func(w *os.File, r io.Reader) {
			_, _ = io.Copy(w, r) // EPIPE: the child did not want the rest
			_ = w.Close()
		}(o.stdin, o.feed)
	}
	o.done = make(chan struct{})
	go func() { o.wg.Wait(); close(o.done) }()
}

// wait returns when all pipes are at their end, at most d later.
func (o *outputs) wait(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-o.done:
	case <-timer.C:
	}
}

// abandon makes the readers take what is in the pipes by now and stop, then
// waits for them.
func (o *outputs) abandon() {
	for _, p := range o.pipes {
		_ = p.file.SetReadDeadline(time.Now()) // fails only on a closed pipe, whose reader has ended
	}
	<-o.done
}

func (o *outputs) close() {
	if o.stdin != nil {
		_ = o.stdin.Close()
	}
	for _, f := range o.theirs {
		_ = f.Close()
	}
	for _, p := range o.pipes {
		_ = p.file.Close()
	}
}

// pipeMax is the most that a pipe can hold (pipe(7), pipe-max-size).
const pipeMax = 1 << 20

func (p *output) read() {
	buf := make([]byte, 32<<10)
	defer p.lines.Flush()
	for {
		n, err := p.file.Read(buf)
		_, _ = p.lines.Write(buf[:n])
		if errors.Is(err, os.ErrDeadlineExceeded) {
			break // abandoned
		}
		if err != nil {
			return
		}
	}
	for left := pipeMax; left > 0; {
		_ = p.file.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
		n, err := p.file.Read(buf)
		_, _ = p.lines.Write(buf[:n])
		if err != nil {
			return
		}
		left -= n
	}
}
