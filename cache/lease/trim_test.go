package lease

import (
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestCloseKeepsWhatItIsTold(t *testing.T) {
	p, c := pool(t, t.TempDir(), Options{}), repository(3)
	l := take(t, p, c)
	apply(t, l, c, c.fetch)
	touched, removed := "org/group0/a0/1.0/a0-1.0.jar", "org/group2/a2/1.0/a2-1.0.pom"
	for _, err := range []error{
		os.WriteFile(l.path("org/new.jar"), []byte("new"), 0o644),
		os.WriteFile(l.path("org/x.lastUpdated"), nil, 0o644),
		os.Chtimes(l.path(touched), time.Time{}, time.Now().Add(-time.Hour)), // the same content
		os.Remove(l.path(removed)),
		os.WriteFile(l.path(victim), []byte("edited"), 0o644),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	changes, err := l.Changes(t.Context())
	if err != nil || len(changes.Added) != 2 || len(changes.Edited) != 1 || len(changes.Removed) != 1 || changes.Removed[0] != removed {
		t.Fatalf("changes: %+v, %v", changes, err)
	}
	r, err := changes.Added[0].Open()
	if err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(r); err != nil || string(b) != "new" || changes.Added[0].Path != "org/new.jar" || changes.Added[0].Size != 3 {
		t.Errorf("added: %q, %v, %+v", b, err, changes.Added[0])
	}
	_ = r.Close()
	closeLease(t, l, "org/new.jar")
	left := maps.Clone(c)
	left["org/new.jar"] = "new"
	delete(left, removed)
	delete(left, victim)
	wantFiles(t, l.Dir(), left)
	l = take(t, p, left)
	if a := apply(t, l, left, noFetch); a.Kept.Files != 5 {
		t.Errorf("next: %+v", a)
	}
}

func TestTrim(t *testing.T) {
	root := t.TempDir()
	p := pool(t, root, Options{})
	var leases []*Lease
	for i := range 3 {
		c := content{fmt.Sprint("f", i): strings.Repeat("x", 1000)}
		l := take(t, p, c)
		apply(t, l, c, c.fetch)
		leases = append(leases, l)
	}
	for i, l := range leases[:2] {
		closeLease(t, l)
		old := time.Now().Add(time.Duration(i-10) * time.Hour)
		if err := os.Chtimes(filepath.Join(l.home, indexName), old, old); err != nil {
			t.Fatal(err)
		}
	}
	small := pool(t, root, Options{MaxBytes: 2500})
	if err := small.Trim(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantHomes(t, small, leases[1], leases[2])
	small = pool(t, root, Options{MaxBytes: 1})
	if err := small.Trim(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantHomes(t, small, leases[2]) // in use
	if err := leases[2].Discard(); err != nil {
		t.Fatal(err)
	}
	wantHomes(t, small)
	if err := os.MkdirAll(filepath.Join(root, "STRANDED", repositoryName), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(root, tmpName, "HALF"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := p.Trim(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantHomes(t, p)
	if left, err := os.ReadDir(filepath.Join(root, tmpName)); err != nil || len(left) != 0 {
		t.Errorf("left in tmp: %v, %v", left, err)
	}
}

func wantHomes(t *testing.T, p *Pool, want ...*Lease) {
	t.Helper()
	homes, err := p.homes()
	if err != nil || len(homes) != len(want) {
		t.Errorf("%d repositories, want %d; %v", len(homes), len(want), err)
	}
	for _, l := range want {
		if _, err := os.Stat(l.home); err != nil {
			t.Error(err)
		}
	}
}
