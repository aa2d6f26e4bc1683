// Package maven runs the Maven job and learns from Maven what it made.
package maven

import (
	"time"

	"github.com/fastship/fastship/runner"
)

// Config is the maven section of fastship.yaml.
type Config struct {
	Goals    []string `yaml:"goals"`    // default: package
	Module   string   `yaml:"module"`   // the module whose jar is the application
	Profiles []string `yaml:"profiles"` // -P
	Args     []string `yaml:"args"`     // passed to Maven as they are
	Settings string   `yaml:"settings"` // a settings.xml, relative to the project's folder
	// Repository is Maven's: auto, user, leased, or a folder, relative to the
	// project's; empty means auto.
	Repository string `yaml:"repository"`
	Tune       string `yaml:"tune"`    // auto, on or off: whether the JVMs are tuned; empty means auto
	Version    string `yaml:"version"` // of Maven, such as 3.9.11; empty or auto: the project's own, else the installed one
	// Inputs are the patterns of what the job reads, as .gitignore has them,
	// the last match wins and ! takes back; empty means DefaultInputs.
	Inputs []string `yaml:"inputs"`
	// Environment names the variables that the job reads.
	Environment []string `yaml:"environment"`
	Dir         string   `yaml:"-"` // the project's folder, absolute
	// Main is the class that the image will start, where that is said outside
	// the pom: a jar without a Main-Class that has it is an application.
	Main string `yaml:"-"`
}

// In is what a Maven job needs.
type In struct {
	Dir  string // the project's folder, absolute
	Tree string // the source's digest
	// Files are the source's, with their digests; without them, as with
	// --from, the job always runs. Read is when they began to be read.
	Files  []File
	Read   time.Time
	Commit string // HEAD, for builds that read it
	Branch string
	// DefaultBranch is origin's, where the clone knows it.
	DefaultBranch string
	Dirty         bool
}

// File is one file that the job may read.
type File struct {
	Path string // relative to Dir, with slashes; "../x" outside it
	Mode string // git's
	ID   string // digest of its content
}

// Out is what a Maven job made.
type Out struct {
	// Jar is the application: Name is its absolute path.
	Jar        runner.Descriptor `json:"jar"`
	GroupID    string            `json:"groupId"`
	ArtifactID string            `json:"artifactId"`
	Version    string            `json:"version"`
	Packaging  string            `json:"packaging"`            // jar or war
	JavaHome   string            `json:"javaHome"`             // the JDK that Maven ran on
	JavaMajor  int               `json:"javaMajor"`            // its feature release: 8, 17, 25
	Release    int               `json:"release"`              // what the project asks for; 0 when it does not say
	Maven      string            `json:"maven"`                // Maven's version
	Tests      runner.Tests      `json:"tests"`                // surefire and failsafe together, also after a failure
	Libraries  []Library         `json:"libraries"`            // the runtime class path, where Maven resolved one
	Repository string            `json:"repository,omitempty"` // the local repository that the job used, absolute
	ReactorIDs []string          `json:"reactorIds"`           // group:artifact of this build's own modules
}

// Library is one resolved dependency of the application.
type Library struct {
	File    string `json:"file"`    // the jar's file name
	Group   string `json:"group"`   //
	Name    string `json:"name"`    //
	Version string `json:"version"` // as asked for: a snapshot says SNAPSHOT
}
