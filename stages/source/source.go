// Package source finds what is being built: a folder or a git tree, and its
// identity.
package source

import "time"

// Config says where the source is.
type Config struct {
	Dir string // the project's folder, absolute
}

// Out identifies what is being built.
type Out struct {
	Dir    string `json:"dir"`              // the project's folder, absolute
	Tree   string `json:"tree"`             // digest of the files that a build can see, sha256:…
	Commit string `json:"commit,omitempty"` // HEAD's full hash; empty outside git
	Branch string `json:"branch,omitempty"` // empty outside git or on a detached HEAD
	Dirty  bool   `json:"dirty"`            // files differ from the commit
	Remote string `json:"remote,omitempty"` // origin's URL without credentials
	// Time is the commit's time in UTC. Outside git, and in a repository
	// without commits, it is the zero time.
	Time time.Time `json:"time"`
}
