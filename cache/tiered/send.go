package tiered

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/fastship/fastship/cache"
)

// maxSending bounds the actions that wait to be sent or are on their way.
const maxSending = 1000

// upload is an action on its way to the remote store.
type upload struct {
	action cache.Action
	again  bool // put anew while it was on its way
	cancel context.CancelFunc
}

// send starts sending an action in the background, after ctx's end too. An
// action that is put again on its way is sent again after it: the last wins.
func (s *Store) send(ctx context.Context, k cache.Key, a cache.Action) {
	if s.own == nil || !s.guard.mayWrite() {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if u, ok := s.sending[k]; ok {
		u.action, u.again = a, true
		return
	}
	if len(s.sending) >= maxSending {
		s.guard.say("queue", fmt.Errorf("more than %d results wait to be sent to the remote cache: the others are not", maxSending))
		return
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	u := &upload{action: a, again: true, cancel: cancel}
	s.sending[k] = u
	go s.run(ctx, k, u)
}

// withdraw ends an upload; the caller holds mu, and waits until it has ended.
func (s *Store) withdraw(k cache.Key) {
	for u, ok := s.sending[k]; ok; u, ok = s.sending[k] {
		u.again = false
		u.cancel()
		s.idle.Wait()
	}
}

// run sends an action until its last version is sent.
func (s *Store) run(ctx context.Context, k cache.Key, u *upload) {
	defer u.cancel()
	select {
	case s.workers <- struct{}{}:
		defer func() { <-s.workers }()
	case <-ctx.Done():
	}
	for {
		s.mu.Lock()
		if !u.again || ctx.Err() != nil {
			delete(s.sending, k)
			s.idle.Broadcast()
			s.mu.Unlock()
			return
		}
		a := u.action
		u.again = false
		s.mu.Unlock()
		if !s.guard.mayWrite() {
			continue
		}
		if err := s.sendAction(ctx, k, a); err != nil && ctx.Err() == nil && !errors.Is(err, cache.ErrAway) && !errors.Is(err, cache.ErrReadOnly) {
			s.guard.say("send", fmt.Errorf("send %s to the remote cache: %w", k, err))
		}
	}
}

// sendAction sends the blobs and then the action.
func (s *Store) sendAction(ctx context.Context, k cache.Key, a cache.Action) error {
	for _, b := range a.Blobs {
		if err := s.sendBlob(ctx, b); err != nil {
			return err
		}
	}
	return s.guard.do(ctx, 0, func(ctx context.Context, _ func()) error { return s.own.PutAction(ctx, k, a) })
}

// sendBlob sends a blob unless it is known to be in the other remote store. In
// the own one it is put even when it is there: that renews its last use, and
// gc cannot take what the action is about to rely on.
func (s *Store) sendBlob(ctx context.Context, b cache.Descriptor) error {
	s.mu.Lock()
	known := s.blobs[b.Digest]
	s.mu.Unlock()
	if known.from != nil && known.from != s.own {
		return nil
	}
	if _, err := s.local.Stat(ctx, b.Digest); err != nil {
		if _, remote := s.findBlob(ctx, b.Digest); remote == nil {
			return nil
		}
		return err
	}
	return s.guard.do(ctx, b.Size, func(ctx context.Context, alive func()) error {
		body := &lazy{open: func() (io.ReadCloser, error) { return s.local.Open(ctx, b.Digest, 0, -1) }}
		err := s.own.Put(ctx, b.Digest, b.Size, &transfer{Reader: body, alive: alive})
		if closing := body.Close(); err == nil {
			err = closing
		}
		return err
	})
}

// lazy opens at the first read: a blob already there is not read at all.
type lazy struct {
	open func() (io.ReadCloser, error)
	body io.ReadCloser
}

// Read implements io.Reader.
func (l *lazy) Read(p []byte) (int, error) {
	if l.body == nil {
		body, err := l.open()
		if err != nil {
			return 0, fmt.Errorf("%w: %w", errLocal, err)
		}
		l.body = body
	}
	return l.body.Read(p)
}

// Close implements io.Closer.
func (l *lazy) Close() error {
	if l.body == nil {
		return nil
	}
	return l.body.Close()
}

// wait waits for the uploads, and ends them when ctx ends.
func (s *Store) wait(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() {
		s.mu.Lock()
		n := len(s.sending)
		for _, u := range s.sending {
			u.cancel()
		}
		s.mu.Unlock()
		if n > 0 {
			s.guard.say("late", fmt.Errorf("%d results were not sent to the remote cache in time", n))
		}
	})
	defer stop()
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.sending) > 0 {
		s.idle.Wait()
	}
	return ctx.Err()
}
