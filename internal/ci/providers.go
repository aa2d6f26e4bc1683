package ci

import (
	"cmp"
	"strings"
)

// github follows "Variables reference" of GitHub's documentation. The
// repository that a pull request comes from is told in the event's file only,
// so every pull request counts. GITHUB_HEAD_REF and GITHUB_BASE_REF are set
// for pull_request and pull_request_target alone; the latter runs on the base
// branch, commonly to build the head with the base's rights.
func github(e Environment) Info {
	i := Info{
		Provider: "github", Repository: e.get("GITHUB_REPOSITORY"), Branch: e.get("GITHUB_REF_NAME"),
		BaseBranch: e.get("GITHUB_BASE_REF"), Commit: e.get("GITHUB_SHA"),
	}
	if server, run := e.get("GITHUB_SERVER_URL"), e.get("GITHUB_RUN_ID"); server != "" && run != "" {
		i.URL = server + "/" + i.Repository + "/actions/runs/" + run
	}
	if ref, ok := strings.CutPrefix(e.get("GITHUB_REF"), "refs/pull/"); ok {
		i.PullRequest = true
		i.Number, _, _ = strings.Cut(ref, "/")
	}
	if head := e.get("GITHUB_HEAD_REF"); head != "" || strings.HasPrefix(e.get("GITHUB_EVENT_NAME"), "pull_request") {
		i.PullRequest, i.Branch = true, cmp.Or(head, i.Branch)
	}
	return i
}

// gitlab follows "Predefined CI/CD variables reference" of GitLab's
// documentation: merge request pipelines, and external pull requests where
// GitLab builds for GitHub.
func gitlab(e Environment) Info {
	i := Info{
		Provider: "gitlab", Repository: e.get("CI_PROJECT_PATH"), DefaultBranch: e.get("CI_DEFAULT_BRANCH"),
		Number:     e.first("CI_MERGE_REQUEST_IID", "CI_EXTERNAL_PULL_REQUEST_IID"),
		Branch:     e.first("CI_MERGE_REQUEST_SOURCE_BRANCH_NAME", "CI_EXTERNAL_PULL_REQUEST_SOURCE_BRANCH_NAME", "CI_COMMIT_BRANCH", "CI_COMMIT_REF_NAME"),
		BaseBranch: e.first("CI_MERGE_REQUEST_TARGET_BRANCH_NAME", "CI_EXTERNAL_PULL_REQUEST_TARGET_BRANCH_NAME"),
		Commit:     e.get("CI_COMMIT_SHA"), URL: e.first("CI_JOB_URL", "CI_PIPELINE_URL"),
	}
	source := e.get("CI_PIPELINE_SOURCE")
	i.PullRequest = i.Number != "" || source == "merge_request_event" || source == "external_pull_request_event"
	i.Fork = differ(e.get("CI_MERGE_REQUEST_SOURCE_PROJECT_PATH"), e.get("CI_MERGE_REQUEST_PROJECT_PATH")) ||
		differ(e.get("CI_EXTERNAL_PULL_REQUEST_SOURCE_REPOSITORY"), e.get("CI_EXTERNAL_PULL_REQUEST_TARGET_REPOSITORY"))
	return i
}

// buildkite follows "Environment variables" of Buildkite's documentation:
// BUILDKITE_PULL_REQUEST is the number or false.
func buildkite(e Environment) Info {
	i := Info{
		Provider: "buildkite", Repository: e.get("BUILDKITE_REPO"), Branch: e.get("BUILDKITE_BRANCH"),
		DefaultBranch: e.get("BUILDKITE_PIPELINE_DEFAULT_BRANCH"), Commit: e.get("BUILDKITE_COMMIT"), URL: e.get("BUILDKITE_BUILD_URL"),
	}
	if n := e.get("BUILDKITE_PULL_REQUEST"); n != "" && n != "false" {
		i.PullRequest, i.Number, i.BaseBranch = true, n, e.get("BUILDKITE_PULL_REQUEST_BASE_BRANCH")
		i.Fork = differ(repositoryName(e.get("BUILDKITE_PULL_REQUEST_REPO")), repositoryName(i.Repository))
	}
	return i
}

// jenkins follows "Using environment variables" of the Jenkins handbook and
// the list of the Branch API plugin; ghprb… are those of the GitHub Pull
// Request Builder plugin.
func jenkins(e Environment) Info {
	i := Info{
		Provider: "jenkins", Repository: e.first("GIT_URL", "GIT_URL_1"), Number: e.first("CHANGE_ID", "ghprbPullId"),
		Branch:     e.first("CHANGE_BRANCH", "ghprbSourceBranch", "BRANCH_NAME", "GIT_LOCAL_BRANCH"),
		BaseBranch: e.first("CHANGE_TARGET", "ghprbTargetBranch"),
		Fork:       e.get("CHANGE_FORK") != "", Commit: e.get("GIT_COMMIT"), URL: e.get("BUILD_URL"),
	}
	i.PullRequest = i.Number != ""
	if isTrue(e.get("BRANCH_IS_PRIMARY")) {
		i.DefaultBranch = i.Branch
	}
	return i
}

// codebuild follows "Environment variables in build environments" of
// CodeBuild's user guide. A build that CodePipeline started has it as its
// initiator and no webhook; a pipeline that is triggered by pull requests must
// say so by cache.scope, because no variable does.
func codebuild(e Environment) Info {
	i := Info{
		Provider: "codebuild", Repository: e.get("CODEBUILD_SOURCE_REPO_URL"),
		Commit: e.get("CODEBUILD_RESOLVED_SOURCE_VERSION"), URL: e.get("CODEBUILD_PUBLIC_BUILD_URL"),
	}
	if strings.HasPrefix(e.get("CODEBUILD_INITIATOR"), "codepipeline/") {
		i.Provider = "codepipeline"
	}
	i.Branch = branchOf(e.get("CODEBUILD_WEBHOOK_HEAD_REF"))
	if name, ok := strings.CutPrefix(e.get("CODEBUILD_WEBHOOK_TRIGGER"), "branch/"); ok {
		i.Branch = name
	}
	for _, v := range []string{e.get("CODEBUILD_WEBHOOK_TRIGGER"), e.get("CODEBUILD_SOURCE_VERSION")} {
		if n, ok := strings.CutPrefix(v, "pr/"); ok {
			i.PullRequest, i.Number = true, n
		}
	}
	// PULL_REQUEST_MERGED and PULL_REQUEST_CLOSED build the pull request's
	// commit, too.
	i.PullRequest = i.PullRequest || strings.HasPrefix(e.get("CODEBUILD_WEBHOOK_EVENT"), "PULL_REQUEST_")
	if i.PullRequest {
		i.BaseBranch = branchOf(e.get("CODEBUILD_WEBHOOK_BASE_REF"))
	}
	return i
}

func branchOf(ref string) string { return strings.TrimPrefix(ref, "refs/heads/") }

// differ tells two names apart where both are known.
func differ(a, b string) bool { return a != "" && b != "" && a != b }

// repositoryName is owner/name of a clone URL in any of git's forms, in lower
// case: one repository has several.
func repositoryName(url string) string {
	url = strings.TrimSuffix(strings.TrimSuffix(strings.ToLower(url), "/"), ".git")
	parts := strings.FieldsFunc(url, func(r rune) bool { return r == '/' || r == ':' })
	return strings.Join(parts[max(0, len(parts)-2):], "/")
}
