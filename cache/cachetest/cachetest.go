// Package cachetest holds every store to the contracts of package cache: one
// suite that each of them passes.
//
// The suite starts the test binary again to have several processes at one
// store, so it is called from a test function of its own, once:
//
//	func TestStore(t *testing.T) { cachetest.Run(t, cachetest.Target{…}) }
package cachetest

import (
	"os"
	"testing"

	"github.com/fastship/fastship/cache"
)

// Target is how the suite gets at the stores under test.
type Target struct {
	// Make prepares an empty place for stores and returns its address, which
	// must mean the same in another process of this machine.
	Make func(t *testing.T) string
	// Open opens the stores at an address. It is called several times for
	// one address, by several processes.
	Open func(t *testing.T, address string) Stores
	// Damage changes a byte of a stored blob behind the store's back. Its
	// size stays.
	Damage func(t *testing.T, address string, d cache.Digest)
	// DamageAction does the same to an action.
	DamageAction func(t *testing.T, address string, k cache.Key)
}

// Stores are the stores under test. A nil one is left out.
type Stores struct {
	Blobs   cache.BlobStore // the suite also takes a cache.LocalStore as such
	Actions cache.ActionStore
	// Pointers are named bytes that move by compare-and-swap.
	Pointers cache.PointerStore
	// Listing is the whole store, asked to list its actions.
	Listing cache.Store
}

// Run runs the whole suite.
func Run(t *testing.T, target Target) {
	if role := os.Getenv(roleVariable); role != "" {
		playRole(t, target, role)
		return
	}
	fresh := func(t *testing.T) (string, Stores) {
		address := target.Make(t)
		return address, target.Open(t, address)
	}
	_, probe := fresh(t)
	if probe.Blobs != nil {
		t.Run("blobs", func(t *testing.T) { testBlobs(t, target, fresh) })
	}
	if _, ok := probe.Blobs.(cache.LocalStore); ok {
		t.Run("local", func(t *testing.T) {
			testLocal(t, func(t *testing.T) cache.LocalStore {
				_, s := fresh(t)
				return s.Blobs.(cache.LocalStore)
			})
		})
	}
	if probe.Actions != nil {
		t.Run("actions", func(t *testing.T) { testActions(t, target, fresh) })
	}
	if probe.Pointers != nil {
		t.Run("pointers", func(t *testing.T) { testPointers(t, target, fresh) })
	}
	if probe.Listing != nil {
		t.Run("list actions", func(t *testing.T) { testListActions(t, fresh) })
	}
	if probe.Blobs != nil && probe.Actions != nil {
		t.Run("processes", func(t *testing.T) { testProcesses(t, target) })
		t.Run("kill -9", func(t *testing.T) { testKill(t, target) })
	}
}

// InRole tells whether this process is one that the suite started: it must
// use the servers of the process that did.
func InRole() bool { return os.Getenv(roleVariable) != "" }

type freshFunc func(t *testing.T) (address string, s Stores)
