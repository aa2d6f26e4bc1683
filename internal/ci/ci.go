// Package ci tells from the environment which CI system runs this build, and
// whether it builds what anybody may have proposed: a pull request or a fork.
//
// That is convenience and no boundary: a build can set its own environment.
// What a build may write is settled by the role it runs with.
package ci

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
)

// Info is what the environment says of a build. What it does not say is
// empty.
type Info struct {
	Provider      string // a name such as github; empty outside CI
	PullRequest   bool   // builds a proposed change
	Fork          bool   // the change comes from another repository, as far as the variables tell
	Number        string // the pull request's number
	Repository    string // owner/name, a project's path or a URL
	Branch        string // the branch that is built; of a pull request its own
	BaseBranch    string // where a pull request wants to go
	DefaultBranch string
	Commit        string
	URL           string // the run's page
}

// Trusted is the scope of builds of what has been merged or pushed by those
// who may.
const Trusted = "trusted"

const untrusted = "untrusted/"

// Trusted tells whether the build is of the project's own branches, or of no
// CI system at all.
func (i Info) Trusted() bool { return !i.PullRequest && !i.Fork }

// Scope is the scope of trust of the build: Trusted, or untrusted/NAME with a
// name of its own for each pull request of each repository.
func (i Info) Scope() string {
	if i.Trusted() {
		return Trusted
	}
	name := "pr-" + i.Number
	if i.Number == "" {
		name = "branch-" + i.Branch
	}
	if i.Repository != "" {
		name = i.Repository + "-" + name
	}
	return untrusted + safe(name)
}

// Scope turns cache.scope into a scope: empty means the build's own, Trusted
// is itself, anything else is the name of an untrusted one.
func Scope(configured string, i Info) string {
	switch configured {
	case "":
		return i.Scope()
	case Trusted:
		return Trusted
	}
	return untrusted + safe(strings.TrimPrefix(configured, untrusted))
}

// Name is the last part of an untrusted scope; ok is false for Trusted.
func Name(scope string) (name string, ok bool) { return strings.CutPrefix(scope, untrusted) }

// maxName bounds a scope's name in bytes: it stands in paths and in keys.
const maxName = 64

// safe makes a name that is a folder's and an S3 key's segment. A name that
// had to be changed gets a sum of the original, so that no two become one.
func safe(name string) string {
	clean := strings.Map(func(r rune) rune {
		if 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || r == '-' || r == '_' || r == '.' {
			return r
		}
		return '-'
	}, name)
	if clean == name && len(name) <= maxName && strings.Trim(name, ".") != "" {
		return name
	}
	sum := sha256.Sum256([]byte(name))
	suffix := "-" + hex.EncodeToString(sum[:4])
	clean = strings.Trim(clean, ".-")
	return clean[:min(len(clean), maxName-len(suffix))] + suffix
}

// Environment looks one variable up: os.LookupEnv or its like.
type Environment func(string) (string, bool)

func (e Environment) get(name string) string {
	v, _ := e(name)
	return v
}

// first is the first of these variables that is not empty.
func (e Environment) first(names ...string) string {
	for _, n := range names {
		if v := e.get(n); v != "" {
			return v
		}
	}
	return ""
}

// Detect reads the variables that each CI system documents. The systems that
// others run inside of come last: CodeBuild is a runner for GitHub Actions,
// Buildkite and GitLab, too.
func Detect(getenv Environment) Info {
	switch {
	case getenv.get("GITHUB_ACTIONS") == "true":
		return github(getenv)
	case getenv.get("GITLAB_CI") == "true":
		return gitlab(getenv)
	case getenv.get("BUILDKITE") == "true":
		return buildkite(getenv)
	case getenv.get("JENKINS_URL") != "":
		return jenkins(getenv)
	case getenv.get("CODEBUILD_BUILD_ID") != "":
		return codebuild(getenv)
	case isTrue(getenv.get("CI")):
		return Info{Provider: "generic"}
	}
	return Info{}
}

func isTrue(s string) bool { return strings.EqualFold(s, "true") || s == "1" }
