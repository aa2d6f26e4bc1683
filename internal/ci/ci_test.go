package ci_test

import (
	"strings"
	"testing"

	"github.com/fastship/fastship/internal/ci"
)

func environment(vars string) ci.Environment {
	return func(name string) (string, bool) {
		for _, v := range strings.Fields(vars) {
			if value, ok := strings.CutPrefix(v, name+"="); ok {
				return value, true
			}
		}
		return "", false
	}
}

func TestDetect(t *testing.T) {
	for name, c := range map[string]struct {
		vars  string
		want  ci.Info
		scope string
	}{
		"a laptop": {"HOME=/home/me", ci.Info{}, "trusted"},
		"generic":  {"CI=true", ci.Info{Provider: "generic"}, "trusted"},
		"github, a push": {
			"CI=true GITHUB_ACTIONS=true GITHUB_EVENT_NAME=push GITHUB_REF=refs/heads/main GITHUB_REF_NAME=main GITHUB_HEAD_REF= GITHUB_REPOSITORY=acme/orders GITHUB_SHA=abc GITHUB_SERVER_URL=https://github.com GITHUB_RUN_ID=7",
			ci.Info{Provider: "github", Repository: "acme/orders", Branch: "main", Commit: "abc", URL: "https://github.com/acme/orders/actions/runs/7"}, "trusted",
		},
		"github, a pull request": {
			"GITHUB_ACTIONS=true GITHUB_EVENT_NAME=pull_request GITHUB_REF=refs/pull/123/merge GITHUB_REF_NAME=123/merge GITHUB_HEAD_REF=fix GITHUB_BASE_REF=main GITHUB_REPOSITORY=acme/orders",
			ci.Info{Provider: "github", PullRequest: true, Number: "123", Repository: "acme/orders", Branch: "fix", BaseBranch: "main"}, "untrusted/acme-orders-pr-123-",
		},
		"github, the head with the base's rights": {
			"GITHUB_ACTIONS=true GITHUB_EVENT_NAME=pull_request_target GITHUB_REF=refs/heads/main GITHUB_REF_NAME=main GITHUB_HEAD_REF=fix GITHUB_BASE_REF=main",
			ci.Info{Provider: "github", PullRequest: true, Branch: "fix", BaseBranch: "main"}, "untrusted/branch-fix",
		},
		"gitlab, a branch": {
			"GITLAB_CI=true CI_PROJECT_PATH=acme/orders CI_COMMIT_BRANCH=dev CI_DEFAULT_BRANCH=main CI_COMMIT_SHA=abc CI_PIPELINE_SOURCE=push CI_JOB_URL=https://gitlab.com/j/1",
			ci.Info{Provider: "gitlab", Repository: "acme/orders", Branch: "dev", DefaultBranch: "main", Commit: "abc", URL: "https://gitlab.com/j/1"}, "trusted",
		},
		"gitlab, a merge request of a fork": {
			"GITLAB_CI=true CI_PIPELINE_SOURCE=merge_request_event CI_MERGE_REQUEST_IID=5 CI_MERGE_REQUEST_SOURCE_BRANCH_NAME=fix CI_MERGE_REQUEST_TARGET_BRANCH_NAME=main CI_MERGE_REQUEST_SOURCE_PROJECT_PATH=eve/orders CI_MERGE_REQUEST_PROJECT_PATH=acme/orders",
			ci.Info{Provider: "gitlab", PullRequest: true, Fork: true, Number: "5", Branch: "fix", BaseBranch: "main"}, "untrusted/pr-5",
		},
		"gitlab, an external pull request": {
			"GITLAB_CI=true CI_PIPELINE_SOURCE=external_pull_request_event CI_EXTERNAL_PULL_REQUEST_IID=6 CI_EXTERNAL_PULL_REQUEST_SOURCE_REPOSITORY=acme/orders CI_EXTERNAL_PULL_REQUEST_TARGET_REPOSITORY=acme/orders",
			ci.Info{Provider: "gitlab", PullRequest: true, Number: "6"}, "untrusted/pr-6",
		},
		"buildkite, a branch": {
			"BUILDKITE=true BUILDKITE_PULL_REQUEST=false BUILDKITE_PULL_REQUEST_BASE_BRANCH= BUILDKITE_BRANCH=main BUILDKITE_PIPELINE_DEFAULT_BRANCH=main BUILDKITE_REPO=git@github.com:acme/orders.git",
			ci.Info{Provider: "buildkite", Repository: "git@github.com:acme/orders.git", Branch: "main", DefaultBranch: "main"}, "trusted",
		},
		"buildkite, a pull request": {
			"BUILDKITE=true BUILDKITE_PULL_REQUEST=9 BUILDKITE_PULL_REQUEST_BASE_BRANCH=main BUILDKITE_BRANCH=fix BUILDKITE_PULL_REQUEST_REPO=https://github.com/acme/Orders.git BUILDKITE_REPO=git@github.com:acme/orders.git",
			ci.Info{Provider: "buildkite", PullRequest: true, Number: "9", Repository: "git@github.com:acme/orders.git", Branch: "fix", BaseBranch: "main"}, "untrusted/",
		},
		"buildkite, a fork": {
			"BUILDKITE=true BUILDKITE_PULL_REQUEST=9 BUILDKITE_BRANCH=eve:fix BUILDKITE_PULL_REQUEST_REPO=git://github.com/eve/orders.git BUILDKITE_REPO=git@github.com:acme/orders.git",
			ci.Info{Provider: "buildkite", PullRequest: true, Fork: true, Number: "9", Repository: "git@github.com:acme/orders.git", Branch: "eve:fix"}, "untrusted/",
		},
		"jenkins, the primary branch": {
			"JENKINS_URL=https://ci BRANCH_NAME=main BRANCH_IS_PRIMARY=true GIT_COMMIT=abc BUILD_URL=https://ci/1",
			ci.Info{Provider: "jenkins", Branch: "main", DefaultBranch: "main", Commit: "abc", URL: "https://ci/1"}, "trusted",
		},
		"jenkins, a fork's change": {
			"JENKINS_URL=https://ci BRANCH_NAME=PR-4 CHANGE_ID=4 CHANGE_BRANCH=fix CHANGE_TARGET=main CHANGE_FORK=eve",
			ci.Info{Provider: "jenkins", PullRequest: true, Fork: true, Number: "4", Branch: "fix", BaseBranch: "main"}, "untrusted/pr-4",
		},
		"codebuild, a branch": {
			"CODEBUILD_BUILD_ID=p:1 CODEBUILD_WEBHOOK_EVENT=PUSH CODEBUILD_WEBHOOK_TRIGGER=branch/feature/x CODEBUILD_INITIATOR=GitHub-Hookshot/1 CODEBUILD_RESOLVED_SOURCE_VERSION=abc",
			ci.Info{Provider: "codebuild", Branch: "feature/x", Commit: "abc"}, "trusted",
		},
		"codebuild, a pull request": {
			"CODEBUILD_BUILD_ID=p:1 CODEBUILD_WEBHOOK_EVENT=PULL_REQUEST_UPDATED CODEBUILD_WEBHOOK_TRIGGER=pr/12 CODEBUILD_SOURCE_VERSION=pr/12 CODEBUILD_WEBHOOK_HEAD_REF=refs/heads/fix CODEBUILD_WEBHOOK_BASE_REF=refs/heads/main",
			ci.Info{Provider: "codebuild", PullRequest: true, Number: "12", Branch: "fix", BaseBranch: "main"}, "untrusted/pr-12",
		},
		"codebuild, a pull request started by hand": {"CODEBUILD_BUILD_ID=p:1 CODEBUILD_SOURCE_VERSION=pr/13", ci.Info{Provider: "codebuild", PullRequest: true, Number: "13"}, "untrusted/pr-13"},
		"codepipeline":                         {"CODEBUILD_BUILD_ID=p:1 CODEBUILD_INITIATOR=codepipeline/orders", ci.Info{Provider: "codepipeline"}, "trusted"},
		"github actions on a codebuild runner": {"GITHUB_ACTIONS=true CODEBUILD_BUILD_ID=p:1 GITHUB_REF=refs/pull/3/merge", ci.Info{Provider: "github", PullRequest: true, Number: "3"}, "untrusted/pr-3"},
	} {
		t.Run(name, func(t *testing.T) {
			got := ci.Detect(environment(c.vars))
			if got != c.want {
				t.Errorf("got  %+v\nwant %+v", got, c.want)
			}
			if scope := got.Scope(); scope != c.scope && (!strings.HasSuffix(c.scope, "-") && !strings.HasSuffix(c.scope, "/") || !strings.HasPrefix(scope, c.scope)) {
				t.Errorf("scope %s, want %s", scope, c.scope)
			}
		})
	}
}

func TestScopeOfTheConfiguration(t *testing.T) {
	pr := ci.Info{PullRequest: true, Number: "1"}
	for configured, want := range map[string]string{"": "untrusted/pr-1", "trusted": "trusted", "nightly": "untrusted/nightly", "untrusted/nightly": "untrusted/nightly"} {
		if got := ci.Scope(configured, pr); got != want {
			t.Errorf("%q: got %s, want %s", configured, got, want)
		}
	}
}

// FuzzScope holds that no text makes a scope that is another's, leaves its
// folder or gets too long.
func FuzzScope(f *testing.F) {
	for _, s := range []string{"..", ".", "a/b", "trusted/", "../trusted", strings.Repeat("é", 100), "untrusted/", "a-b"} {
		f.Add(s, "a-b")
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		one, two := ci.Info{Fork: true, Branch: a}.Scope(), ci.Info{Fork: true, Branch: b}.Scope()
		if a != b && one == two {
			t.Errorf("%q and %q share %s", a, b, one)
		}
		for _, scope := range []string{one, two, ci.Scope(a, ci.Info{})} {
			name, ok := ci.Name(scope)
			if scope == ci.Trusted && (a == "" || a == ci.Trusted) {
				continue
			}
			if !ok || name == "" || name == "." || name == ".." || len(name) > 64 || strings.ContainsAny(name, `/\ `) {
				t.Errorf("scope %q", scope)
			}
		}
	})
}
