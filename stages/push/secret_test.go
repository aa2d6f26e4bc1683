package push

import (
	"slices"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
)

// oneLogin is a keychain of one login.
type oneLogin struct{ authn.AuthConfig }

func (l oneLogin) Resolve(authn.Resource) (authn.Authenticator, error) {
	return authn.FromConfig(l.AuthConfig), nil
}

func TestLoginsAreToldAsSecrets(t *testing.T) {
	registry, err := name.NewRegistry("registry.example")
	if err != nil {
		t.Fatal(err)
	}
	for kind, config := range map[string]authn.AuthConfig{
		"password": {Username: "ci", Password: "hunter2-hunter2"},
		"token":    {RegistryToken: "hunter2-hunter2"},
		"identity": {IdentityToken: "hunter2-hunter2"},
	} {
		var told []string
		keys := Keychain(Deps{Keychain: oneLogin{config}, Secret: func(values ...string) { told = append(told, values...) }})
		auth, err := authn.Resolve(t.Context(), keys, registry)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := authn.Authorization(t.Context(), auth); err != nil || got.Password != config.Password || got.RegistryToken != config.RegistryToken {
			t.Errorf("%s: the login changed: %+v, %v", kind, got, err)
		}
		if !slices.Contains(told, "hunter2-hunter2") {
			t.Errorf("%s: told %q", kind, told)
		}
		if slices.Contains(told, "ci") {
			t.Errorf("%s: the user's name is no secret", kind)
		}
	}
}
