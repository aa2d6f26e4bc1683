package cachetest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"sync"
	"testing"
	"time"

	"github.com/fastship/fastship/cache"
)

func testActions(t *testing.T, target Target, fresh freshFunc) {
	key := cache.NewKey("test", "1").Add("input", "x").Key()
	action := cache.Action{
		Outputs: json.RawMessage(`{"jar":"a.jar","sizes":[1,2]}`),
		Blobs:   []cache.Descriptor{{Name: "a.jar", MediaType: "application/java-archive", Digest: cache.Sum([]byte("a")), Size: 1}},
		Created: time.Date(2025, 3, 1, 12, 0, 0, 5, time.UTC),
	}
	t.Run("put, get, delete", func(t *testing.T) {
		address, s := fresh(t)
		wantNoAction(t, s.Actions, key)
		for range 2 {
			if err := s.Actions.PutAction(t.Context(), key, action); err != nil {
				t.Fatal(err)
			}
			wantAction(t, s.Actions, key, action)
		}
		wantAction(t, target.Open(t, address).Actions, key, action)
		wantNoAction(t, s.Actions, cache.NewKey("test", "2").Key())
		for range 2 {
			if err := s.Actions.DeleteAction(t.Context(), key); err != nil {
				t.Errorf("delete: %v", err)
			}
			wantNoAction(t, s.Actions, key)
		}
	})
	t.Run("the last writer wins", func(t *testing.T) {
		_, s := fresh(t)
		for i := range 3 {
			a := cache.Action{Outputs: json.RawMessage(fmt.Sprint(i)), Created: action.Created}
			if err := s.Actions.PutAction(t.Context(), key, a); err != nil {
				t.Fatal(err)
			}
			wantAction(t, s.Actions, key, a)
		}
	})
	t.Run("a cancelled context", func(t *testing.T) {
		_, s := fresh(t)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := s.Actions.PutAction(ctx, key, action); !errors.Is(err, context.Canceled) {
			t.Errorf("put: %v", err)
		}
		wantNoAction(t, s.Actions, key)
		if _, err := s.Actions.GetAction(ctx, key); !errors.Is(err, context.Canceled) {
			t.Errorf("get: %v", err)
		}
	})
	t.Run("side by side", func(t *testing.T) {
		_, s := fresh(t)
		var wg sync.WaitGroup
		for worker := range 6 {
			wg.Go(func() {
				for range 20 {
					a := cache.Action{Outputs: json.RawMessage(fmt.Sprintf(`[%d,"%x"]`, worker, content(uint64(worker), 200*worker))), Created: action.Created}
					if err := s.Actions.PutAction(t.Context(), key, a); err != nil {
						t.Error(err)
					}
					if got, err := s.Actions.GetAction(t.Context(), key); err != nil || !json.Valid(got.Outputs) {
						t.Errorf("get: %s, %v", got.Outputs, err)
					}
				}
			})
		}
		wg.Wait()
	})
	if target.DamageAction != nil {
		t.Run("damage", func(t *testing.T) {
			address, s := fresh(t)
			if err := s.Actions.PutAction(t.Context(), key, action); err != nil {
				t.Fatal(err)
			}
			target.DamageAction(t, address, key)
			wantNoAction(t, s.Actions, key)
			if err := s.Actions.PutAction(t.Context(), key, action); err != nil {
				t.Fatal(err)
			}
			wantAction(t, s.Actions, key, action)
		})
	}
}

func wantAction(t *testing.T, s cache.ActionStore, k cache.Key, want cache.Action) {
	t.Helper()
	if got, err := s.GetAction(t.Context(), k); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("get: %+v, %v; want %+v", got, err, want)
	}
}

func wantNoAction(t *testing.T, s cache.ActionStore, k cache.Key) {
	t.Helper()
	if a, err := s.GetAction(t.Context(), k); !errors.Is(err, cache.ErrNotFound) {
		t.Errorf("get an absent action: %+v, %v; want ErrNotFound", a, err)
	}
}
