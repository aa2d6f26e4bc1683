package awsconf

import (
	"context"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
)

// Identity names whose credentials cfg uses, for telling identities apart on
// this machine. It stays the same when temporary credentials of one role or
// login are renewed, and asks nobody where files and variables tell it; the
// order is the SDK's own.
func Identity(ctx context.Context, cfg aws.Config) (string, error) {
	for _, source := range cfg.ConfigSources {
		env, ok := source.(config.EnvConfig)
		switch {
		case !ok:
		case env.Credentials.HasKeys():
			return "key " + env.Credentials.AccessKeyID, nil
		case env.WebIdentityTokenFilePath != "" && env.RoleARN != "":
			return "role " + env.RoleARN, nil
		}
	}
	if id := profileIdentity(shared(cfg)); id != "" {
		return id, nil
	}
	c, err := cfg.Credentials.Retrieve(ctx)
	return "key " + c.AccessKeyID, err
}

// profileIdentity is empty for a profile whose credentials come from a
// program, a container or an instance: only these know whose they are.
func profileIdentity(s config.SharedConfig) string {
	switch {
	case s.RoleARN != "":
		id := "role " + s.RoleARN
		if s.Source != nil {
			id += " by " + profileIdentity(*s.Source)
		}
		return id
	case s.Credentials.HasKeys():
		return "key " + s.Credentials.AccessKeyID
	case s.SSOAccountID != "":
		return strings.Join([]string{"sso", s.SSOAccountID, s.SSORoleName, s.SSOStartURL, s.SSOSessionName}, " ")
	case s.LoginSession != "":
		return "login " + s.LoginSession
	}
	return ""
}
