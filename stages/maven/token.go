package maven

import (
	"context"
	"time"

	"github.com/fastship/fastship/internal/awsconf"
	"github.com/fastship/fastship/stages/internal/mvn"
)

// tokenMargin is how long a token has to last when Maven starts.
const tokenMargin = time.Hour

// held is a token that this run obtained.
type held struct {
	mvn.Token
	expires time.Time
}

// tokens gives Maven the CodeArtifact tokens that its settings refer to and
// that nobody set, and renews those of this run that a Maven starting now
// could outlive. They live in Maven's environment only.
func (s *Step) tokens(ctx context.Context, j *job) error {
	for _, t := range j.said.user.Tokens(j.host) {
		j.held = append(j.held, held{Token: t})
	}
	for i, t := range j.held {
		if time.Until(t.expires) > tokenMargin || (!t.expires.IsZero() && time.Until(t.expires) > 0 && time.Since(j.asked) < tokenMargin/4) {
			continue // a role's short session gives no longer one
		}
		value, expires, err := s.deps.Token(ctx, t.Token)
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

// codeArtifactToken asks AWS with the credentials of its ordinary chain.
func codeArtifactToken(ctx context.Context, t mvn.Token) (string, time.Time, error) {
	cfg, err := awsconf.Load(ctx, awsconf.Options{Region: t.Region})
	if err != nil {
		return "", time.Time{}, err
	}
	return awsconf.CodeArtifactToken(ctx, cfg, t.Domain, t.Owner)
}
