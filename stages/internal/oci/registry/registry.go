// Package registry is what image and push share in talking to registries:
// names, plain http, retries, and what a refusal means to a person.
package registry

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"github.com/fastship/fastship/internal/pause"
)

// Options say how a registry is spoken to. The zero value will do.
type Options struct {
	// Insecure allows plain http to hosts that are not loopback.
	Insecure bool
	// Keychain finds credentials; nil means the Docker configuration and its
	// helpers.
	Keychain authn.Keychain
	// Transport is the network; nil means HTTP with the proxies of the
	// environment.
	Transport http.RoundTripper
	// UserAgent is sent with every request.
	UserAgent string
	// Known spares asking the registry how it wants to be talked to; nil asks.
	Known *Known
	// Refused is told that a login was refused that was sent unasked, before
	// the keychain is asked for another; nil is told nothing.
	Refused func(host string)
	// Learnt is told what a registry showed of itself that was known wrongly;
	// nil is told nothing.
	Learnt func(Known)
}

func (o Options) keychain() authn.Keychain {
	if o.Keychain != nil {
		return o.Keychain
	}
	return authn.DefaultKeychain
}

// name.Insecure only allows http beside https; guard decides.
func (o Options) nameOptions() []name.Option {
	if o.Insecure {
		return []name.Option{name.WeakValidation, name.Insecure}
	}
	return []name.Option{name.WeakValidation}
}

// Client is an authenticated connection to one repository.
type Client struct {
	Repository name.Repository
	// Transport adds credentials; it does not retry.
	Transport http.RoundTripper
	// Known is what the registry showed of itself; nil when it was not asked.
	Known *Known
}

// Connect finds the registry's way of authenticating (GET /v2/), and a token
// for the scope (transport.PullScope or transport.PushScope) where it wants
// one. A registry that is known to want none is asked nothing. The Client may
// be used for as long as ctx's values are of interest.
func Connect(ctx context.Context, repo name.Repository, scope string, o Options) (*Client, error) {
	base := o.Transport
	if base == nil {
		base = network()
	}
	base = transport.NewUserAgent(guard{base, o.Insecure}, o.UserAgent)
	if o.Known == nil || !o.Known.Basic {
		return ask(ctx, repo, scope, o, base)
	}
	auth, err := resolve(ctx, repo, o)
	if err != nil {
		return nil, err
	}
	return &Client{Repository: repo, Transport: &unasked{
		registry: repo.Registry, known: *o.Known, auth: auth, next: base,
		ask: func(ctx context.Context) (http.RoundTripper, error) {
			if o.Refused != nil {
				o.Refused(repo.RegistryStr())
			}
			c, err := ask(ctx, repo, scope, o, base)
			if err != nil {
				return nil, err
			}
			if o.Learnt != nil && c.Known != nil {
				o.Learnt(*c.Known)
			}
			return c.Transport, nil
		},
	}}, nil
}

func resolve(ctx context.Context, repo name.Repository, o Options) (authn.Authenticator, error) {
	auth, err := authn.Resolve(ctx, o.keychain(), repo)
	if err != nil {
		return nil, fmt.Errorf("find credentials for %s: %w", repo.RegistryStr(), err)
	}
	return auth, nil
}

func ask(ctx context.Context, repo name.Repository, scope string, o Options, base http.RoundTripper) (*Client, error) {
	auth, err := resolve(ctx, repo, o)
	if err != nil {
		return nil, err
	}
	seen := &watch{next: base, host: repo.RegistryStr()}
	var authenticated http.RoundTripper
	err = Retry(ctx, func() error {
		var err error
		authenticated, err = transport.NewWithContext(ctx, repo.Registry, auth, seen, []string{repo.Scope(scope)})
		return err
	})
	if err != nil {
		return nil, Readable(err)
	}
	return &Client{Repository: repo, Transport: authenticated, Known: seen.known}, nil
}

// network is the library's transport with less patience for what does not
// answer, and more for a registry that takes its time to store a layer.
func network() http.RoundTripper {
	t, ok := remote.DefaultTransport.(*http.Transport)
	if !ok {
		return remote.DefaultTransport
	}
	t = t.Clone()
	t.DialContext = (&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}).DialContext
	t.ResponseHeaderTimeout = 5 * time.Minute
	return t
}

// Remote gives the options for ggcr's remote package: this client's
// connection, and no retries of its own.
func (c *Client) Remote() []remote.Option {
	return []remote.Option{
		remote.WithTransport(c.Transport),
		remote.WithRetryBackoff(remote.Backoff{Steps: 1}),
	}
}

// errPlain is the refusal to send anything unencrypted.
var errPlain = errors.New("plain http is only for registries on this machine")

// guard refuses plain http to other machines. The name library would allow it
// for private networks.
type guard struct {
	next     http.RoundTripper
	insecure bool
}

func (g guard) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Scheme == "http" && !g.insecure && !isLoopback(r.URL.Hostname()) {
		return nil, fmt.Errorf("%s: %w", r.URL.Host, errPlain)
	}
	if r.GetBody == nil || r.Body == nil {
		return g.next.RoundTrip(r)
	}
	// The layer above sends a request again when its token has run out,
	// with the body that was read already: every try needs its own.
	body, err := r.GetBody()
	if err != nil {
		return nil, err
	}
	r.Body.Close()
	r = r.Clone(r.Context())
	r.Body = body
	return g.next.RoundTrip(r)
}

func isLoopback(host string) bool {
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

// Attempts is how often Retry tries in all, Throttled how often what a
// registry slows down: it is well, and lets others through meanwhile.
const (
	Attempts  = 5
	Throttled = 9
)

const (
	maxWait  = 30 * time.Second // bounds what a registry may ask for by Retry-After
	maxPause = 6 * time.Second  // bounds a wait that nobody asked for
)

// Retry calls work until it succeeds, fails for good, or has failed Attempts
// times; it waits 0.2 s at first and three times as long each time, less up to
// a half by chance so that many do not come back at once, or as long as the
// registry says and that chance more. What is worth another try: 408, 429, 5xx
// and a connection that was cut.
func Retry(ctx context.Context, work func() error) error {
	wait := 200 * time.Millisecond
	for attempt := 1; ; attempt++ {
		err := work()
		if err == nil || attempt >= attempts(err) || ctx.Err() != nil || !temporary(err) {
			return err
		}
		chance := rand.N(wait / 2)
		delay := wait - chance
		if r, ok := errors.AsType[*retryAfter](err); ok {
			delay = min(max(r.wait+chance, delay), maxWait)
		}
		if pause.For(ctx, delay) != nil {
			return err
		}
		wait = min(3*wait, maxPause)
	}
}

func attempts(err error) int {
	if StatusOf(err) == http.StatusTooManyRequests {
		return Throttled
	}
	return Attempts
}

// retryAfter is a refusal that says when to come back.
type retryAfter struct {
	error
	wait time.Duration
}

func (r *retryAfter) Unwrap() error { return r.error }

// CheckResponse returns the registry's error unless the status is one of
// codes.
func CheckResponse(resp *http.Response, codes ...int) error {
	err := Readable(transport.CheckError(resp, codes...))
	if wait := askedWait(resp.Header.Get("Retry-After")); err != nil && wait > 0 {
		return &retryAfter{err, wait}
	}
	return err
}

// askedWait reads Retry-After (RFC 9110, 10.2.3): seconds, or a date.
func askedWait(after string) time.Duration {
	if seconds, err := strconv.Atoi(after); err == nil {
		return min(time.Duration(max(seconds, 0)), maxWait/time.Second) * time.Second
	}
	if date, err := http.ParseTime(after); err == nil {
		return time.Until(date)
	}
	return 0
}
