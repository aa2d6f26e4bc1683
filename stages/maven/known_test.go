package maven

import (
	"path/filepath"
	"testing"

	"github.com/fastship/fastship/cache"
	"github.com/fastship/fastship/cache/tree"
	"github.com/fastship/fastship/internal/fault"
)

func TestWhatMavenSaidBeforeIsRemembered(t *testing.T) {
	s := bare(t, Config{Dir: files(t, "pom.xml", "<project/>")})
	j, err := s.prepare(t.Context(), s.config.Dir)
	if err != nil || j.known || len(j.want.Releases) != 0 {
		t.Fatalf("before: %+v, %v", j, err)
	}
	cache.Keep(t.Context(), s.deps.Cache, j.key, asks{Releases: []int{17}}, nil)
	if j, err = s.prepare(t.Context(), s.config.Dir); err != nil || !j.known || last(j.want.Releases) != 17 {
		t.Errorf("after: %+v, %v", j, err)
	}
	cache.Keep(t.Context(), s.deps.Cache, j.key, asks{Releases: []int{99}}, nil)
	if j, err = s.prepare(t.Context(), s.config.Dir); err != nil || j.known {
		t.Errorf("a memory that no JDK fits blocks the run: %+v, %v", j, err)
	}
	s.config.Profiles = []string{"ci"}
	if other, err := s.prepare(t.Context(), s.config.Dir); err != nil || other.key == j.key {
		t.Errorf("the key does not see the profiles: %v", err)
	}
}

func TestProfilesInTheArgumentsCount(t *testing.T) {
	dir := files(t, "pom.xml", `<project><profiles><profile><id>new</id><properties><maven.compiler.release>99</maven.compiler.release></properties></profile></profiles></project>`)
	if err := bare(t, Config{Dir: dir}).Check(t.Context()); err != nil {
		t.Errorf("without the profile: %v", err)
	}
	for _, c := range []Config{{Profiles: []string{"new"}}, {Args: []string{"-Pnew"}}, {Args: []string{"-P", "x,new"}}} {
		c.Dir = dir
		mustFail(t, bare(t, c).Check(t.Context()), fault.Missing, "a JDK for Java 99")
	}
}

// BenchmarkPrepare is the stage's own time before Maven starts.
func BenchmarkPrepare(b *testing.B) {
	s := New(Config{Dir: "../../testdata/apps/orders"}, Deps{Cache: memory(), Environ: []string{"PATH=/usr/bin:/bin"}})
	for b.Loop() {
		if _, err := s.prepare(b.Context(), s.config.Dir); err != nil {
			b.Skip(err)
		}
	}
}

// Every run asks for the JDK before anything is known to have changed: that
// may not cost a request to a remote store. This one panics when it is asked.
func TestJDKAsksNoStore(t *testing.T) {
	s := bare(t, Config{Dir: files(t, "pom.xml", "<project/>"), Repository: "leased"})
	s.deps.Repositories = &Repositories{Trees: tree.New(tree.Config{Own: struct{ cache.Store }{}}), Shared: true}
	home, err := s.JDK(t.Context())
	if err != nil || filepath.Base(home) != "jdk" {
		t.Errorf("%q, %v", home, err)
	}
	s.config.Dir = t.TempDir()
	if _, err := s.JDK(t.Context()); err == nil {
		t.Error("a folder without a pom has a JDK")
	}
}
