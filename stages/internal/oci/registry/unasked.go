package registry

import (
	"context"
	"crypto/tls"
	"errors"
	"net/http"
	"strings"
	"sync"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
)

// Known is what a registry showed of itself before; GET /v2/ is asked for
// nothing else.
type Known struct {
	// Basic is a registry that takes a user and password with every request,
	// or asks for none. Others want a token, for which they must be asked.
	Basic bool `json:"basic,omitempty"`
	// Plain is a registry that speaks http.
	Plain bool `json:"plain,omitempty"`
}

// unasked sends the login with every request. The first refusal makes it ask
// the registry how it wants to be talked to, and do so from then on.
type unasked struct {
	registry name.Registry
	known    Known
	auth     authn.Authenticator
	next     http.RoundTripper
	ask      func(context.Context) (http.RoundTripper, error)

	mu    sync.Mutex
	asked http.RoundTripper
}

// RoundTrip implements http.RoundTripper.
func (u *unasked) RoundTrip(r *http.Request) (*http.Response, error) {
	u.mu.Lock()
	asked := u.asked
	u.mu.Unlock()
	if asked != nil {
		return asked.RoundTrip(r)
	}
	first := r.Clone(r.Context())
	if r.URL.Host == u.registry.RegistryStr() { // not where it redirects to
		first.URL.Scheme = "https"
		if u.known.Plain {
			first.URL.Scheme = "http"
		}
		if err := authorize(first, u.auth); err != nil {
			return nil, err
		}
	}
	resp, err := u.next.RoundTrip(first)
	if !u.wrong(resp, err) || r.Body != nil && r.Body != http.NoBody && r.GetBody == nil {
		return resp, err
	}
	again, askErr := u.again(r.Context())
	if askErr != nil {
		return resp, err // the refusal says more than what came of asking for its reason
	}
	if err == nil {
		resp.Body.Close()
	}
	r = r.Clone(r.Context())
	if r.GetBody != nil {
		if r.Body, err = r.GetBody(); err != nil {
			return nil, err
		}
	}
	return again.RoundTrip(r)
}

// wrong tells that what is known does not hold any more: the login, or http or
// https. A server with a certificate answers 400 to plain http, not in a
// registry's form.
func (u *unasked) wrong(resp *http.Response, err error) bool {
	if err != nil {
		_, isRecord := errors.AsType[tls.RecordHeaderError](err)
		return isRecord || strings.Contains(err.Error(), "server gave HTTP response to HTTPS client")
	}
	return resp.StatusCode == http.StatusUnauthorized ||
		u.known.Plain && resp.StatusCode == http.StatusBadRequest && !strings.Contains(resp.Header.Get("Content-Type"), "json")
}

// again connects anew, once.
func (u *unasked) again(ctx context.Context) (http.RoundTripper, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.asked != nil {
		return u.asked, nil
	}
	var err error
	u.asked, err = u.ask(context.WithoutCancel(ctx))
	return u.asked, err
}

func authorize(r *http.Request, auth authn.Authenticator) error {
	if auth == authn.Anonymous {
		return nil
	}
	login, err := authn.Authorization(r.Context(), auth)
	switch {
	case err != nil:
		return err
	case login.RegistryToken != "":
		r.Header.Set("Authorization", "Bearer "+login.RegistryToken)
	case login.Username != "" && login.Password != "":
		r.SetBasicAuth(login.Username, login.Password)
	case login.Auth != "":
		r.Header.Set("Authorization", "Basic "+login.Auth)
	}
	return nil
}

// watch notes what the answer to GET /v2/ tells of the registry.
type watch struct {
	next http.RoundTripper
	host string

	mu    sync.Mutex
	known *Known
}

// RoundTrip implements http.RoundTripper.
func (w *watch) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := w.next.RoundTrip(r)
	if err != nil || r.URL.Path != "/v2/" || r.URL.Host != w.host || resp.StatusCode != http.StatusOK && resp.StatusCode != http.StatusUnauthorized {
		return resp, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.known == nil {
		bearer := strings.HasPrefix(strings.ToLower(resp.Header.Get("WWW-Authenticate")), "bearer")
		w.known = &Known{Basic: !bearer, Plain: r.URL.Scheme == "http"}
	}
	return resp, nil
}
