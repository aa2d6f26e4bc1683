package maven

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fastship/fastship/cache/tree"
	"github.com/fastship/fastship/internal/fault"
	"github.com/fastship/fastship/internal/mvntest"
)

func TestASecondHostDownloadsNothing(t *testing.T) {
	y := newYard(t, 5)
	first := y.newMachine(t).builds(t)
	wantDownloads(t, first, y.Needs(t)...)
	if !strings.Contains(first.said(), "note: saved 12 files of Maven's repository") {
		t.Errorf("said:\n%s", first.said())
	}
	m := y.newMachine(t)
	second := m.builds(t)
	wantDownloads(t, second)
	if second.writes != 0 {
		t.Errorf("%d writes with nothing new", second.writes)
	}
	if !strings.Contains(second.said(), "note: Maven's repository: 12 files, ") || !strings.Contains(second.said(), ", of branch main") {
		t.Errorf("said:\n%s", second.said())
	}
	if got, want := sortedNames(second.files), tracked(y.Needs(t)); !slices.Equal(got, want) {
		t.Errorf("kept %q, want %q", got, want)
	}
	warm := m.builds(t)
	wantDownloads(t, warm)
	if warm.repository != second.repository || warm.writes != 0 || warm.requests != 2 { // the two pointers
		t.Errorf("the warm host used %s after %s, with %d writes and %d requests", warm.repository, second.repository, warm.writes, warm.requests)
	}
	if entries, _ := os.ReadDir(filepath.Join(m.Home, ".m2")); len(entries) > 0 {
		t.Error("the user's own repository was written to")
	}
}

func sortedNames(files map[string]string) []string {
	var all []string
	for name := range files {
		all = append(all, name)
	}
	slices.Sort(all)
	return all
}

func TestOneNewArtifactIsSavedAlone(t *testing.T) {
	y := newYard(t, 5)
	y.newMachine(t).builds(t)
	extra := artifact("extra", "2")
	y.Publish(t, extra, "new")
	y.Need(t, append(y.Needs(t), extra)...)
	if err := os.WriteFile(filepath.Join(y.Dir, "pom.xml"), []byte(strings.Replace(mvntest.Pom, "</project>", "<dependencies/></project>", 1)), 0o644); err != nil {
		t.Fatal(err)
	}
	m := y.newMachine(t)
	before, requests := y.store.counts()
	b := m.builds(t)
	wantDownloads(t, b, extra)
	if !strings.Contains(b.said(), "saved 2 files") {
		t.Errorf("said:\n%s", b.said())
	}
	after, all := y.store.counts()
	if n := after - before; n == 0 || n > 5 {
		t.Errorf("%d writes for one artifact, want 1 to 5 (and %d requests in all)", n, all-requests)
	}
	wantDownloads(t, y.newMachine(t).builds(t))
}

func TestWhatAFailedBuildDownloadedIsSaved(t *testing.T) {
	y := newYard(t, 2)
	y.Act(t, "failed=1")
	b := y.newMachine(t).build(t, t.Context())
	if fault.ClassOf(b.err) != fault.BuildFailed || len(b.warnings()) > 0 {
		t.Errorf("%v, %q", b.err, b.warnings())
	}
	y.Act(t, "")
	wantDownloads(t, y.newMachine(t).builds(t))
}

// TestAKilledMavenLeavesNothing has a Maven that dies with a file half written.
func TestAKilledMavenLeavesNothing(t *testing.T) {
	for name, with := range map[string]struct {
		act  string
		kept bool // what an earlier build has saved
	}{
		"the first build": {`rm "$m2/org/x/big/1/big-1.jar.sha1"; head -c 1000 "$CENTRAL/org/x/big/1/big-1.jar" > "$m2/org/x/big/1/big-1.jar"; kill -9 $$`, false},
		"a later build":   {`head -c 1000 "$CENTRAL/org/x/big/1/big-1.jar" > "$m2/org/x/big/1/big-1.jar"; kill -9 $$`, true},
	} {
		t.Run(name, func(t *testing.T) {
			y := newYard(t, 2)
			m := y.newMachine(t)
			if with.kept {
				m.builds(t)
			}
			y.Act(t, with.act)
			b := m.build(t, t.Context())
			if fault.ClassOf(b.err) != fault.BuildFailed || b.writes > 0 || len(b.warnings()) > 0 {
				t.Errorf("%v, %d writes, %q", b.err, b.writes, b.warnings())
			}
			y.Act(t, "")
			again := m.builds(t)
			if with.kept {
				wantDownloads(t, again)
			} else {
				wantDownloads(t, again, y.Needs(t)...)
			}
			wantDownloads(t, y.newMachine(t).builds(t))
		})
	}
}

// TestCancelled ends a run while it restores, and while Maven runs: the
// repository is given back and nothing wrong is kept.
func TestCancelled(t *testing.T) {
	t.Run("restoring", func(t *testing.T) {
		y := newYard(t, 5)
		y.newMachine(t).builds(t)
		for _, op := range []string{"get pointer", "open"} {
			m := y.newMachine(t)
			ctx, cancel := context.WithCancel(t.Context())
			y.store.sick(func(ctx context.Context, asked string) error {
				if asked != op {
					return nil
				}
				cancel()
				<-ctx.Done()
				return ctx.Err()
			})
			b := m.build(t, ctx)
			y.store.sick(nil)
			if b.err == nil || b.repository != "" || len(b.warnings()) > 0 || b.writes > 0 {
				t.Errorf("%s: %v, in %q, %d writes, %q", op, b.err, b.repository, b.writes, b.warnings())
			}
			before := m.leases(t)
			wantDownloads(t, m.builds(t))
			if after := m.leases(t); len(before) == 1 && len(after) != 1 {
				t.Errorf("%s: the repository was not given back: %q", op, after)
			}
		}
	})
	t.Run("building", func(t *testing.T) {
		y := newYard(t, 5)
		m := y.newMachine(t)
		m.builds(t)
		y.Act(t, `echo broken > "$m2/org/x/lib1/1/lib1-1.jar"; mkdir -p "$m2/org/y"; echo part > "$m2/org/y/part"; touch "$HOST/ready"; sleep 60 & wait`)
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			for !isFile(filepath.Join(m.Host.Dir, "ready")) && ctx.Err() == nil {
				time.Sleep(10 * time.Millisecond)
			}
			cancel()
		}()
		b := m.build(t, ctx)
		if b.err == nil || b.writes > 0 {
			t.Errorf("%v, %d writes", b.err, b.writes)
		}
		if _, kept := b.files["org/y/part"]; kept || b.files[artifact("lib1", "1")] != "" {
			t.Errorf("kept of the cancelled build: %q", sortedNames(b.files))
		}
		y.Act(t, "")
		again := m.builds(t)
		wantDownloads(t, again)
		if again.repository != b.repository {
			t.Error("the repository was not given back")
		}
	})
}

// TestAnEditedJarPoisonsNobody has a build that changes a restored jar.
func TestAnEditedJarPoisonsNobody(t *testing.T) {
	for name, edit := range map[string]string{
		"in place":              `printf X | dd of="$f" conv=notrunc 2>/dev/null`,
		"with its old time":     `touch -r "$f" "$HOST/t"; printf X | dd of="$f" conv=notrunc 2>/dev/null; touch -r "$HOST/t" "$f"`,
		"by another file":       `echo other > "$HOST/x"; mv "$HOST/x" "$f"`,
		"removed":               `rm "$f"`,
		"and its tracking file": `echo other > "$f"; echo "big-1.jar>central=" > "$m2/org/x/big/1/_remote.repositories"`,
	} {
		t.Run(name, func(t *testing.T) {
			y := newYard(t, 1)
			m := y.newMachine(t)
			m.builds(t)
			y.Act(t, `f="$m2/`+artifact("big", "1")+`"; `+edit)
			b := m.build(t, t.Context())
			if name == "removed" {
				if w := b.warnings(); len(w) > 0 || b.err != nil {
					t.Errorf("%v, %q", b.err, w)
				}
			} else {
				wantWarning(t, b, "the build changed "+artifact("big", "1"), "the next build gets the originals")
			}
			if b.writes > 0 {
				t.Errorf("%d writes", b.writes)
			}
			y.Act(t, "")
			wantDownloads(t, m.builds(t))
			wantDownloads(t, y.newMachine(t).builds(t))
		})
	}
}

// TestMavensOwnNotesAreKept has a build that learns of another repository for
// a file that was restored, as Maven does.
func TestMavensOwnNotesAreKept(t *testing.T) {
	y := newYard(t, 1)
	m := y.newMachine(t)
	m.builds(t)
	tracking := "org/x/lib0/1/_remote.repositories"
	y.Act(t, `grep -q other "$m2/`+tracking+`" || echo "lib0-1.jar>other=" >> "$m2/`+tracking+`"`)
	if b := m.builds(t); !strings.Contains(b.said(), "saved 1 files") {
		t.Errorf("said:\n%s", b.said())
	}
	for what, b := range map[string]built{"the same host": m.builds(t), "another": y.newMachine(t).builds(t)} {
		if b.writes > 0 || !strings.Contains(b.files[tracking], "lib0-1.jar>other=") || !strings.Contains(b.files[tracking], "lib0-1.jar>central=") {
			t.Errorf("%s: %d writes, %q", what, b.writes, b.files[tracking])
		}
	}
}

// TestWhatIsNeverSaved has a build that leaves all sorts of files behind.
func TestWhatIsNeverSaved(t *testing.T) {
	y := newYard(t, 1)
	y.Act(t, `mkdir -p "$m2/g/a/1" "$m2/org/x/gone/1" "$m2/org/x/mine/1"
echo own > "$m2/g/a/1/a-1.jar"; echo "a-1.jar>=" > "$m2/g/a/1/_remote.repositories"; echo x > "$m2/g/a/maven-metadata-local.xml"
echo no > "$m2/org/x/gone/1/gone-1.jar.lastUpdated"
echo mine > "$m2/org/x/mine/1/mine-1.jar"; echo "mine-1.jar>=" > "$m2/org/x/mine/1/_remote.repositories"
echo part > "$m2/org/x/lib0/1/lib0-1-sources.jar.part"
echo stray > "$m2/stray.txt"; ln -s /etc/passwd "$m2/org/x/link"`)
	m := y.newMachine(t)
	b := m.builds(t)
	if got, want := sortedNames(b.files), tracked(y.Needs(t)); !slices.Equal(got, want) {
		t.Errorf("the host keeps %q, want %q", got, want)
	}
	y.Act(t, "")
	other := y.newMachine(t).builds(t)
	if got, want := sortedNames(other.files), tracked(y.Needs(t)); !slices.Equal(got, want) {
		t.Errorf("the store keeps %q, want %q", got, want)
	}
}

// TestSnapshotsLiveShort: what may change is restored within a day.
func TestSnapshotsLiveShort(t *testing.T) {
	for name, c := range map[string]struct {
		age      time.Duration
		download bool
	}{"the same day": {0, false}, "three days later": {72 * time.Hour, true}} {
		t.Run(name, func(t *testing.T) {
			y := newYard(t, 1)
			snapshot := "org/x/snap/1-SNAPSHOT/snap-1-SNAPSHOT.jar"
			y.Publish(t, snapshot, "this hour's")
			y.Need(t, append(y.Needs(t), snapshot)...)
			m := y.newMachine(t)
			m.trees.Now = func() time.Time { return time.Now().Add(-c.age) }
			first := m.builds(t)
			if !strings.Contains(first.said(), "saved 4 files") || !strings.Contains(first.said(), "saved 2 files") {
				t.Errorf("said:\n%s", first.said())
			}
			var want []string
			if c.download {
				want = []string{snapshot}
			}
			wantDownloads(t, y.newMachine(t).builds(t), want...)
		})
	}
}

// TestBranches: a new branch starts from what the best of its forebears has.
func TestBranches(t *testing.T) {
	y := newYard(t, 1)
	build := func(in In, base, standard string) built {
		m := y.newMachine(t)
		m.in, m.ci.BaseBranch, m.ci.DefaultBranch = in, base, standard
		return m.builds(t)
	}
	all := y.Needs(t)
	wantDownloads(t, build(In{Branch: "main"}, "", ""), all...)
	for _, c := range []struct{ branch, base, standard, from string }{
		{"one", "", "", "main"},          // by its name
		{"two", "one", "main", "one"},    // its base
		{"three", "gone", "two", "two"},  // the default
		{"two", "three", "main", "two"},  // its own again
		{"four", "gone", "lost", "main"}, // neither is known
		{"", "", "", "main"},             // a detached head
	} {
		b := build(In{Branch: c.branch}, c.base, c.standard)
		wantDownloads(t, b)
		if !strings.Contains(b.said(), ", of branch "+c.from) {
			t.Errorf("%+v: said\n%s", c, b.said())
		}
	}
	if b := build(In{Branch: "five", DefaultBranch: "two"}, "", ""); !strings.Contains(b.said(), ", of branch two") {
		t.Errorf("the clone's default branch: said\n%s", b.said())
	}
}

// TestTwoRunsAtOnce build on one host, in repositories of their own.
func TestTwoRunsAtOnce(t *testing.T) {
	y := newYard(t, 3)
	m := y.newMachine(t)
	m.builds(t)
	y.Act(t, `mkdir "$HOST/first" 2>/dev/null && for i in $(seq 500); do [ -e "$HOST/second" ] && break; sleep 0.02; done || touch "$HOST/second"`)
	results := make(chan built, 1)
	go func() { results <- m.build(t, t.Context()) }()
	b := m.build(t, t.Context())
	a := <-results
	for _, r := range []built{a, b} {
		if r.err != nil || len(r.warnings()) > 0 || r.writes > 0 {
			t.Errorf("%v, %q, %d writes", r.err, r.warnings(), r.writes)
		}
	}
	if used := m.Repositories(t); len(used) != 3 || used[1] == used[2] {
		t.Errorf("repositories %q", used)
	}
	if n := len(m.Downloads(t)); n != 4 {
		t.Errorf("%d downloads in all, want the first build's 4", n)
	}
}

// TestHostsThatSaveAtOnceLoseNothing: each adds an artifact of its own to the
// tree that both restored.
func TestHostsThatSaveAtOnceLoseNothing(t *testing.T) {
	y := newYard(t, 2)
	y.newMachine(t).builds(t)
	const hosts = 4
	all := y.Needs(t)
	done := make(chan built, hosts)
	for i := range hosts {
		extra := artifact("extra", string(rune('1'+i)))
		y.Publish(t, extra, "extra "+extra)
		all = append(all, extra)
		m := (&yard{y.Copy(t, extra), y.store}).newMachine(t)
		go func() { done <- m.build(t, t.Context()) }()
	}
	for range hosts {
		if b := <-done; b.err != nil || len(b.warnings()) > 0 {
			t.Errorf("%v, %q", b.err, b.warnings())
		}
	}
	y.Need(t, all...)
	wantDownloads(t, y.newMachine(t).builds(t))
}

// TestWhichRepository: fastship leases none where somebody named one.
func TestWhichRepository(t *testing.T) {
	elsewhere := t.TempDir()
	settings := filepath.Join(files(t, "settings.xml", "<settings><localRepository>"+elsewhere+"</localRepository></settings>"), "settings.xml")
	for name, c := range map[string]struct {
		config Config
		local  bool   // the store is this host's own
		want   string // below the home; "leased", or absolute
	}{
		"shared":               {Config{}, false, "leased"},
		"not shared":           {Config{}, true, ".m2/repository"},
		"leased":               {Config{Repository: "leased"}, true, "leased"},
		"user":                 {Config{Repository: "user"}, false, ".m2/repository"},
		"a path":               {Config{Repository: elsewhere}, false, elsewhere},
		"an argument":          {Config{Args: []string{"-Dmaven.repo.local=" + elsewhere}}, false, elsewhere},
		"an argument, leased":  {Config{Args: []string{"-Dmaven.repo.local=" + elsewhere}, Repository: "leased"}, false, "leased"},
		"the settings":         {Config{Settings: settings}, false, "settings"}, // Maven reads them itself
		"the settings, leased": {Config{Settings: settings, Repository: "leased"}, false, "leased"},
	} {
		t.Run(name, func(t *testing.T) {
			y := newYard(t, 1)
			m := y.newMachine(t)
			m.config, m.shared = c.config, !c.local
			plan, err := m.step(t, func(err error) { t.Error(err) }).Plan(t.Context(), In{Dir: y.Dir, Branch: "main"})
			if err != nil {
				t.Fatal(err)
			}
			b := m.builds(t)
			want := c.want
			switch {
			case want == "leased":
				if all := m.leases(t); len(all) != 1 || all[0] != b.repository {
					t.Errorf("used %s, want one of %q", b.repository, all)
				}
				if b.writes == 0 {
					t.Error("nothing was saved")
				}
				return
			case want == "settings": // the played Maven does not read them
				want = filepath.Join(m.Home, ".m2", "repository")
				if !strings.Contains(strings.Join(plan.Lines, "\n"), "in the repository "+elsewhere+": localRepository in settings.xml names it") {
					t.Errorf("plan:\n%s", strings.Join(plan.Lines, "\n"))
				}
			case !filepath.IsAbs(want):
				want = filepath.Join(m.Home, want)
			}
			if b.repository != want || b.writes+b.requests > 0 || len(m.leases(t)) > 0 {
				t.Errorf("used %s, want %s; %d requests, leases %q", b.repository, want, b.requests, m.leases(t))
			}
		})
	}
}

// TestPlanOfARepository names it and what would be restored, and writes
// nothing.
func TestPlanOfARepository(t *testing.T) {
	y := newYard(t, 3)
	m := y.newMachine(t)
	plan := func(want ...string) {
		t.Helper()
		writes, _ := y.store.counts()
		p, err := m.step(t, func(err error) { t.Error(err) }).Plan(t.Context(), In{Dir: y.Dir, Branch: "new"})
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range want {
			if !slices.ContainsFunc(p.Lines, func(l string) bool { return strings.HasPrefix(l, line) }) {
				t.Errorf("no line %q in\n%s", line, strings.Join(p.Lines, "\n"))
			}
		}
		if after, _ := y.store.counts(); after != writes {
			t.Errorf("%d writes", after-writes)
		}
		if left := contents(t, m.local); len(left) > 0 {
			t.Errorf("wrote %q", sortedNames(left))
		}
	}
	plan("in a repository of its own: the cache is shared with other hosts", "restore nothing: no build has saved one yet")
	y.newMachine(t).builds(t)
	plan("restore 8 files, 0.7 MB, of branch main")
	y.store.sick(func(context.Context, string) error { return os.ErrDeadlineExceeded })
	m = y.newMachine(t)
	p, err := m.step(t, func(error) {}).Plan(t.Context(), In{Dir: y.Dir, Branch: "new"})
	if err != nil || !strings.Contains(strings.Join(p.Lines, "\n"), "restore nothing: read pointer ") {
		t.Errorf("with a sick store: %v\n%s", err, strings.Join(p.Lines, "\n"))
	}
}

// TestPrunedToUse: what no build of a branch uses any more is not restored
// for ever.
func TestPrunedToUse(t *testing.T) {
	y := newYard(t, 2)
	day := func(days int) *machine {
		m := y.newMachine(t)
		m.trees = tree.Config{Now: func() time.Time { return time.Now().AddDate(0, 0, days) }}
		return m
	}
	day(-40).builds(t)
	y.Need(t, artifact("lib0", "1"))
	day(-5).builds(t)
	b := y.newMachine(t).builds(t)
	wantDownloads(t, b)
	if got, want := sortedNames(b.files), tracked(y.Needs(t)); !slices.Equal(got, want) {
		t.Errorf("restored %q, want %q", got, want)
	}
}
