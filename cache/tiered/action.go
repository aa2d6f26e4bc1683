package tiered

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/fastship/fastship/cache"
)

// renewAfter is the age after which an action that was used from the remote
// store is put there again, so that its gc sees that it is in use.
const renewAfter = 24 * time.Hour

// GetAction implements cache.ActionStore.
func (s *Store) GetAction(ctx context.Context, k cache.Key) (cache.Action, error) {
	a, err := s.local.GetAction(ctx, k)
	if err == nil || !errors.Is(err, cache.ErrNotFound) {
		return a, err
	}
	found, err := find(ctx, s, s.actions, k, func(ctx context.Context, r Remote) (cache.Action, error) { return r.GetAction(ctx, k) })
	if err != nil {
		return cache.Action{}, err
	}
	if found.from == nil {
		return cache.Action{}, fmt.Errorf("action %s: %w", k, cache.ErrNotFound)
	}
	return found.value, nil
}

// PutAction implements cache.ActionStore. It returns when the action is kept
// on this machine; Flush waits until it was sent.
func (s *Store) PutAction(ctx context.Context, k cache.Key, a cache.Action) error {
	if err := s.local.PutAction(ctx, k, a); err != nil {
		return err
	}
	s.mu.Lock()
	delete(s.actions, k)
	s.mu.Unlock()
	s.send(ctx, k, a)
	return nil
}

// DeleteAction implements cache.ActionStore, as Delete does for blobs.
func (s *Store) DeleteAction(ctx context.Context, k cache.Key) error {
	if err := s.local.DeleteAction(ctx, k); err != nil {
		return err
	}
	s.mu.Lock()
	s.actions[k] = answer[cache.Action]{}
	s.withdraw(k)
	s.mu.Unlock()
	return s.remove(ctx, func(ctx context.Context) error { return s.own.DeleteAction(ctx, k) })
}

// Flush keeps the remote actions that this run used on this machine, renews
// those that are old, and waits until everything is sent, at most until ctx
// ends: what is not sent by then is dropped, which is said. A run that only
// looked does not call it. The only error is the context's.
func (s *Store) Flush(ctx context.Context) error {
	s.mu.Lock()
	used := map[cache.Key]answer[cache.Action]{}
	for k, a := range s.actions {
		if a.from != nil {
			used[k] = a
			delete(s.actions, k)
		}
	}
	s.mu.Unlock()
	for k, a := range used {
		if err := s.local.PutAction(ctx, k, a.value); err != nil {
			s.guard.say("keep", fmt.Errorf("keep what came from the remote cache: %w", err))
		}
		if a.from == s.own && s.now().Sub(a.value.Created) > renewAfter {
			s.send(ctx, k, a.value)
		}
	}
	return s.wait(ctx)
}
