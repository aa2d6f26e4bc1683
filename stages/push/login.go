package push

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/google/go-containerregistry/pkg/authn"

	"github.com/fastship/fastship/internal/atomicfile"
	"github.com/fastship/fastship/internal/awsconf"
	"github.com/fastship/fastship/internal/fault"
)

// renewBefore is how long before its end a kept ECR token is not used any
// more: a run that begins with it may take a while. They live for 12 hours.
const renewBefore = time.Hour

// Keychain finds credentials as the push does: for ECR by the AWS SDK, for
// every other registry in the Docker configuration. Other stages that read
// from registries may be lent it.
func Keychain(d Deps) authn.Keychain { return newKeychain(d) }

// keychain asks ECR for its token with the AWS credentials at hand; where
// there are none, a login in the Docker configuration will do. ECR comes
// first, because its logins there are stale after 12 hours.
type keychain struct {
	deps Deps
	next authn.Keychain

	mu      sync.Mutex
	tokens  map[string]token // by host
	refused map[string]bool  // hosts whose kept token was
}

func newKeychain(d Deps) *keychain {
	k := &keychain{deps: d, next: d.Keychain, tokens: map[string]token{}, refused: map[string]bool{}}
	if k.next == nil {
		k.next = authn.DefaultKeychain
	}
	return k
}

// token is a login of ECR, as it is kept.
type token struct {
	Registry string    `json:"registry"`
	Identity string    `json:"identity"`
	User     string    `json:"user"`
	Password string    `json:"password"`
	Expires  time.Time `json:"expires"`

	asked bool // ECR gave it to this process
}

func (t token) auth() authn.Authenticator {
	return &authn.Basic{Username: t.User, Password: t.Password}
}

// Resolve implements authn.Keychain.
func (k *keychain) Resolve(r authn.Resource) (authn.Authenticator, error) {
	return k.ResolveContext(context.Background(), r)
}

// ResolveContext implements authn.ContextKeychain.
func (k *keychain) ResolveContext(ctx context.Context, r authn.Resource) (authn.Authenticator, error) {
	auth, err := k.find(ctx, r)
	if err != nil || k.deps.Secret == nil {
		return auth, err
	}
	if login, err := authn.Authorization(ctx, auth); err == nil { // else its use says what is wrong with it
		k.deps.Secret(login.Password, login.Auth, login.IdentityToken, login.RegistryToken)
	}
	return auth, nil
}

func (k *keychain) find(ctx context.Context, r authn.Resource) (authn.Authenticator, error) {
	host := r.RegistryStr()
	region, ok := parseECR(host)
	if !ok {
		return authn.Resolve(ctx, k.next, r)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if t, ok := k.tokens[host]; ok {
		return t.auth(), nil
	}
	t, err := k.token(ctx, host, region)
	if err != nil {
		if docker, dockerErr := authn.Resolve(ctx, k.next, r); dockerErr == nil && docker != authn.Anonymous {
			return docker, nil
		}
		return nil, err
	}
	k.tokens[host] = t
	return t.auth(), nil
}

// token takes the kept one of this identity, else asks ECR.
func (k *keychain) token(ctx context.Context, host, region string) (token, error) {
	identity := ""
	if k.deps.Logins != "" {
		identity = k.identity(ctx, host, region)
	}
	if t, ok := k.kept(host, identity); ok {
		return t, nil
	}
	cfg, err := k.deps.load(ctx, host, region)
	if err != nil {
		return token{}, err
	}
	t, err := askToken(ctx, cfg)
	t.Registry, t.Identity = host, identity
	return t, err
}

// identity names whose credentials would be asked with; empty when that cannot
// be told, and then nothing is kept.
func (k *keychain) identity(ctx context.Context, host, region string) string {
	read := k.deps.AWS
	if read == nil {
		read = func(ctx context.Context, region string) (aws.Config, error) {
			return awsconf.Read(ctx, awsconf.Options{Region: region})
		}
	}
	cfg, err := read(ctx, region)
	if err != nil {
		return ""
	}
	id, err := awsconf.Identity(ctx, cfg)
	if err != nil || id == "" {
		return ""
	}
	if role := k.deps.options(host, region).Role; role != "" {
		id += " as " + role
	}
	return id
}

func (k *keychain) file(host, identity string) string {
	return filepath.Join(k.deps.Logins, fileName("login", host, identity))
}

// kept reads the token that an earlier run kept. One that others may read is
// not trusted.
func (k *keychain) kept(host, identity string) (token, bool) {
	if identity == "" || k.refused[host] {
		return token{}, false
	}
	path := k.file(host, identity)
	info, err := os.Lstat(path)
	if err != nil || !info.Mode().IsRegular() || info.Mode().Perm()&0o077 != 0 {
		return token{}, false
	}
	raw, err := os.ReadFile(path)
	var t token
	if err != nil || json.Unmarshal(raw, &t) != nil || t.Registry != host || t.Identity != identity || time.Until(t.Expires) < renewBefore {
		return token{}, false
	}
	return t, true
}

// reject forgets a login that the registry refused.
func (k *keychain) reject(host string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.tokens, host)
	k.refused[host] = true
}

// keep writes the tokens that ECR gave to this process, for the next one, in
// files that only the user may read. Those of other times go.
func (k *keychain) keep() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	var errs []error
	for host, t := range k.tokens {
		if !t.asked || t.Identity == "" || k.deps.Logins == "" {
			continue
		}
		raw, err := json.Marshal(t)
		if err == nil {
			err = os.MkdirAll(k.deps.Logins, 0o700)
		}
		if err == nil {
			err = atomicfile.Write(k.file(host, t.Identity), raw, 0o600)
		}
		errs = append(errs, err)
		t.asked = false // once is enough
		k.tokens[host] = t
		k.sweep()
	}
	return errors.Join(errs...)
}

// sweep removes tokens that have run out.
func (k *keychain) sweep() {
	entries, err := os.ReadDir(k.deps.Logins)
	if err != nil {
		return
	}
	for _, e := range entries {
		info, err := e.Info()
		if err == nil && strings.HasPrefix(e.Name(), "login-") && time.Since(info.ModTime()) > 24*time.Hour {
			_ = os.Remove(filepath.Join(k.deps.Logins, e.Name()))
		}
	}
}

// askToken asks ECR for a login.
func askToken(ctx context.Context, cfg aws.Config) (token, error) {
	out, err := ecr.NewFromConfig(cfg).GetAuthorizationToken(ctx, &ecr.GetAuthorizationTokenInput{})
	if isDenied(err) {
		return token{}, fault.New(fault.Missing, "allow ecr:GetAuthorizationToken on every resource (*)", "ask ECR for a token: %w", err)
	}
	if err != nil {
		return token{}, fmt.Errorf("ask ECR for a token: %w", awsconf.Explain(cfg, err))
	}
	if len(out.AuthorizationData) == 0 {
		return token{}, errors.New("ask ECR for a token: an empty answer")
	}
	data := out.AuthorizationData[0]
	raw, err := base64.StdEncoding.DecodeString(aws.ToString(data.AuthorizationToken))
	if err != nil {
		return token{}, fmt.Errorf("ask ECR for a token: %w", err)
	}
	user, password, ok := strings.Cut(string(raw), ":")
	if !ok {
		return token{}, errors.New("ask ECR for a token: an answer of another form than user:password")
	}
	return token{User: user, Password: password, Expires: aws.ToTime(data.ExpiresAt), asked: true}, nil
}
