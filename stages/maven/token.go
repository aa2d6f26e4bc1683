package maven

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/fastship/fastship/internal/awsconf"
	"github.com/fastship/fastship/runner"
	"github.com/fastship/fastship/stages/internal/mvn"
)

// tokenMargin is how long a token has to last when Maven starts.
const tokenMargin = time.Hour

// held is a token that this run obtained.
type held struct {
	mvn.Token
	expires time.Time
	failed  bool // there is none, and that was told
}

// tokens gives Maven the CodeArtifact tokens that its settings refer to and
// that nobody set, and renews those of this run that a Maven starting now
// could outlive. They live in Maven's environment only. Without one for a
// repository that the settings do not know, the job goes on: Maven may not
// need it.
func (s *Step) tokens(ctx context.Context, env runner.Env, j *job) error {
	for _, t := range j.said.user.Tokens(j.host, j.remotes) {
		if !slices.ContainsFunc(j.held, func(h held) bool { return h.Variable == t.Variable }) {
			j.held = append(j.held, held{Token: t})
		}
	}
	for i, t := range j.held {
		if t.failed {
			continue
		}
		if time.Until(t.expires) > tokenMargin || (!t.expires.IsZero() && time.Until(t.expires) > 0 && time.Since(j.asked) < tokenMargin/4) {
			continue // a role's short session gives no longer one
		}
		value, expires, err := s.deps.Token(ctx, t.Token)
		if err != nil && t.Added() && ctx.Err() == nil {
			env.Emit(runner.Warning{Text: fmt.Sprintf("%v; Maven is left without it", err)})
			j.held[i].failed = true
			continue
		}
		if err != nil {
			return err
		}
		if s.deps.Secret != nil {
			s.deps.Secret(value)
		}
		j.held[i].expires, j.asked = expires, time.Now()
		j.host = j.host.Without(t.Variable)
		j.host.Environ = append(j.host.Environ, t.Variable+"="+value)
		j.said.user.Fill(t.Variable, value)
	}
	return nil
}

// serve adds the servers that the settings lack for repositories of
// CodeArtifact, in a file of the run's own.
func (s *Step) serve(j *job) {
	j.remotes = j.tree.Remotes(j.args, s.profiles(j))
	if slices.ContainsFunc(strings.Fields(j.host.Getenv("MAVEN_ARGS")), func(a string) bool { return a == "-s" || strings.HasPrefix(a, "--settings") }) {
		return // Maven would read that file and not this run's
	}
	added := j.said.user.Serve(j.host, j.remotes)
	if len(added) == 0 || j.said.err != nil {
		return
	}
	text := []byte(j.said.text)
	if j.said.text == "" {
		var err error
		if text, err = os.ReadFile(j.settingsPath()); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return // Maven will say so
		}
	}
	served, err := mvn.InsertServers(text, added)
	if err != nil {
		return // what is no settings.xml is Maven's to tell
	}
	j.said.text = string(served)
	for _, v := range added {
		j.said.served = append(j.said.served, v.ID)
	}
}

// servedText tells of servers that were added, and how to do without.
func (j *job) servedText() string {
	return fmt.Sprintf("settings.xml has no <server> for %s of CodeArtifact: fastship adds it for this run; for Maven alone add one with the username aws and the password ${env.CODEARTIFACT_AUTH_TOKEN}", strings.Join(j.said.served, ", "))
}

// codeArtifactToken asks AWS with the credentials of its ordinary chain.
func codeArtifactToken(ctx context.Context, t mvn.Token) (string, time.Time, error) {
	cfg, err := awsconf.Load(ctx, awsconf.Options{Region: t.Region})
	if err != nil {
		return "", time.Time{}, err
	}
	return awsconf.CodeArtifactToken(ctx, cfg, t.Domain, t.Owner)
}
