package main

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/fastship/fastship/internal/mvntest"
)

// pushed and pull are what GitHub tells a build of main, and of pull request
// number of a branch.
func pushed() []string {
	return []string{"CI=true", "GITHUB_ACTIONS=true", "GITHUB_EVENT_NAME=push", "GITHUB_REPOSITORY=o/r", "GITHUB_REF=refs/heads/main", "GITHUB_REF_NAME=main", "GITHUB_REF_TYPE=branch"}
}

func pull(number, branch string) []string {
	return []string{
		"CI=true", "GITHUB_ACTIONS=true", "GITHUB_EVENT_NAME=pull_request", "GITHUB_REPOSITORY=o/r",
		"GITHUB_REF=refs/pull/" + number + "/merge", "GITHUB_REF_NAME=" + number + "/merge", "GITHUB_HEAD_REF=" + branch, "GITHUB_BASE_REF=main",
	}
}

// TestAPullRequestIsReadByNoOther: it starts from what trusted builds kept and
// finds again what it kept itself, in a scope of its own here and afar;
// nothing of it reaches another pull request or a trusted build.
func TestAPullRequestIsReadByNoOther(t *testing.T) {
	integration(t)
	t.Parallel()
	b, p := newBucket(t), newProject(t, 3)
	extra := mvntest.Artifact("extra", "1")
	p.Publish(t, extra, "as published")
	trusted := b.newPlaying(t, p)
	trusted.environ = pushed()
	trusted.build(t).wants(t, 4)
	before := b.objects(t)

	// The pull request forges the artifact that it adds, as a build can.
	evil := b.newPlaying(t, p.Copy(t, extra))
	evil.environ, evil.local = pull("7", "evil"), trusted.local // on the same machine
	evil.project.Act(t, `f="$m2/`+extra+`"; rm "$f.sha1"; echo forged > "$f"`)
	evil.build(t).wants(t, 1)
	after := b.objects(t)
	for key, sum := range before {
		if after[key] != sum {
			t.Errorf("the pull request changed %s", key)
		}
	}
	added := slices.DeleteFunc(slices.Collect(maps.Keys(after)), func(key string) bool { return before[key] != "" })
	if len(added) == 0 {
		t.Error("the pull request kept nothing")
	}
	scopes := map[string]bool{}
	for _, key := range added {
		rest, ok := strings.CutPrefix(key, "team/v1/untrusted/")
		if !ok {
			t.Errorf("the pull request wrote %s", key)
		}
		name, _, _ := strings.Cut(rest, "/")
		scopes[name] = true
	}
	if len(scopes) != 1 {
		t.Errorf("scopes %v", scopes)
	}
	own := evil.Repositories(t)[0]
	if dir := filepath.Join(evil.local, "scopes") + string(filepath.Separator); !strings.HasPrefix(own, dir) {
		t.Errorf("its repository is %s, not below %s", own, dir)
	}
	if kept, err := os.ReadFile(filepath.Join(own, filepath.FromSlash(extra))); err != nil || string(kept) != "forged\n" {
		t.Fatalf("the forgery did not succeed: %q, %v", kept, err)
	}

	// Its second build, on another host, finds what the first one kept.
	again := b.newPlaying(t, p.Copy(t, extra))
	again.environ = evil.environ
	if r := again.run(t); len(r.downloads) > 0 || !slices.Equal(again.Wrong(t), []string{extra}) {
		t.Errorf("its own second build downloaded %q and was given %q wrong\n%s", r.downloads, again.Wrong(t), r.said)
	}

	// Nobody else does: playing.build fails on a wrong byte.
	other := b.newPlaying(t, p.Copy(t, extra))
	other.environ, other.local = pull("8", "evil"), trusted.local
	other.build(t).wants(t, 1)
	merged := b.newPlaying(t, p.Copy(t, extra))
	merged.environ, merged.local = pushed(), trusted.local
	merged.build(t).wants(t, 1)
	elsewhere := b.newPlaying(t, p.Copy(t, extra))
	elsewhere.environ = pushed()
	elsewhere.build(t).wants(t, 0) // merged kept it
}

// TestAPullRequestsJobIsNotTaken: its known jobs skip no trusted build; a
// trusted one skips those of the pull request.
func TestAPullRequestsJobIsNotTaken(t *testing.T) {
	integration(t)
	t.Parallel()
	b, p := newBucket(t), newProject(t, 1)
	evil := b.newPlaying(t, p)
	evil.environ = pull("7", "evil")
	ran := func(h *playing) bool {
		before := len(h.Repositories(t))
		cmd := h.command(t, t.Context())
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return len(h.Repositories(t)) > before
	}
	if !ran(evil) || ran(evil) {
		t.Error("the pull request's own second build is not skipped")
	}
	trusted := b.newPlaying(t, p.Copy(t))
	trusted.environ, trusted.local = pushed(), evil.local
	if !ran(trusted) {
		t.Error("a trusted build took the pull request's job")
	}
	next := b.newPlaying(t, p.Copy(t))
	next.environ = pull("9", "good")
	if ran(next) {
		t.Error("a pull request did not take the trusted job")
	}
}
