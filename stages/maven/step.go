package maven

import (
	"cmp"
	"context"
	"net/http"
	"runtime"
	"time"

	"github.com/fastship/fastship/cache"
	"github.com/fastship/fastship/internal/ci"
	"github.com/fastship/fastship/runner"
	"github.com/fastship/fastship/stages/internal/mvn"
)

// Deps are what the step works with.
type Deps struct {
	Cache   *cache.Cache // keeps what projects asked for
	Mavens  *cache.Cache // keeps the Mavens that were downloaded; nil means Cache
	Local   *cache.Cache // what is of use on this machine alone; nil means Cache
	Environ []string     // NAME=value: Maven's environment
	Home    string       // the user's home folder
	HTTP    *http.Client // downloads Maven; nil means http.DefaultClient
	// Secret is told the passwords in Maven's settings, so that they can be
	// masked; nil tells nobody.
	Secret func(values ...string)
	// Token obtains a CodeArtifact token; nil asks AWS.
	Token func(context.Context, mvn.Token) (value string, expires time.Time, err error)
	// Foreseen is told at most once, while Maven runs, of the released libraries
	// that the application will most likely have. It returns at once. Nil is
	// told nothing.
	Foreseen func([]Foreseen)
	// Repositories are what leased repositories come from; nil leases none.
	Repositories *Repositories
	CI           ci.Info          // what CI tells of the build; zero outside CI
	State        string           // the folder that keeps the last run's key; empty keeps none
	Explain      bool             // say what part of the key differs from the last run's
	Now          func() time.Time // nil means time.Now
	Grace        time.Duration    // between SIGTERM and SIGKILL for Maven; 0 means proc's own
}

// Step runs the Maven job.
type Step struct {
	config Config
	deps   Deps
	cores  int
}

var _ runner.Step[In, Out] = (*Step)(nil)

// New returns the step.
func New(c Config, d Deps) *Step {
	if len(c.Goals) == 0 {
		c.Goals = []string{"package"}
	}
	d.HTTP = cmp.Or(d.HTTP, http.DefaultClient)
	if d.Now == nil {
		d.Now = time.Now
	}
	if d.Token == nil {
		d.Token = codeArtifactToken
	}
	return &Step{c, d, runtime.NumCPU()}
}

// Name implements runner.Step.
func (s *Step) Name() string { return "maven" }

// Check finds a missing or broken pom.xml, missing settings, an unknown
// module, and that no installed JDK fits, as far as the poms on disk tell.
func (s *Step) Check(ctx context.Context) error {
	_, err := s.prepare(ctx, s.config.Dir)
	return err
}

// Plan tells the command line that Run would start, or that it would not.
func (s *Step) Plan(ctx context.Context, in In) (runner.Plan[Out], error) {
	j, err := s.prepare(ctx, cmp.Or(in.Dir, s.config.Dir))
	if err != nil {
		return runner.Plan[Out]{}, err
	}
	lines, kept, skipped := s.skipPlan(ctx, j, in)
	if skipped {
		return runner.Plan[Out]{Lines: lines, Out: kept}, nil
	}
	lines = append(lines,
		"run "+j.commandLine()+" in "+j.dir,
		"with "+j.launcherText(),
		"on "+j.jdkText(),
	)
	lines = append(lines, s.repositoryPlan(ctx, j, in)...)
	if j.launcher.Note != "" {
		lines = append(lines, j.launcher.Note)
	}
	if len(j.said.served) > 0 {
		lines = append(lines, j.servedText())
	}
	return runner.Plan[Out]{
		Lines: lines,
		Out: Out{
			Maven: j.launcher.Version, JavaHome: j.choice.JDK.Home, JavaMajor: j.choice.JDK.Major,
			Release: last(j.want.Releases), ReactorIDs: reactorIDs(j.tree),
		},
	}, nil
}

// JDK is the home of the JDK that Run would start Maven on, as far as the poms
// on disk and earlier runs tell. It asks no remote store.
func (s *Step) JDK(ctx context.Context) (home string, err error) {
	j, err := s.prepare(ctx, s.config.Dir)
	if err != nil {
		return "", err
	}
	return j.choice.JDK.Home, nil
}

// reactorIDs are the modules' IDs as far as the poms on disk write them out.
func reactorIDs(t *mvn.Tree) []string {
	var ids []string
	for _, m := range t.Modules {
		group := m.Pom.Group
		for _, p := range m.Chain {
			if group == "" {
				group = p.Group
			}
			if group == "" && p.Parent != nil {
				group = p.Parent.Group
			}
		}
		ids = append(ids, group+":"+m.Pom.Artifact)
	}
	return ids
}

func last(releases []int) int {
	if len(releases) == 0 {
		return 0
	}
	return releases[len(releases)-1]
}
