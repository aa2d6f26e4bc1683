package registry

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

type password struct{ word *string }

func (p password) Resolve(authn.Resource) (authn.Authenticator, error) {
	return &authn.Basic{Username: "ann", Password: *p.word}, nil
}

// TestKnownRegistryIsNotAsked: a login goes with the first request; one that
// is refused is found anew, once, and the request goes through with its body.
func TestKnownRegistryIsNotAsked(t *testing.T) {
	valid := "new"
	var asked []string
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.Method+" "+r.URL.Path)
		if _, p, _ := r.BasicAuth(); p != valid {
			w.Header().Set("WWW-Authenticate", `Basic realm="x"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		body, err := io.ReadAll(r.Body)
		fmt.Fprint(w, len(body), err)
	}))
	t.Cleanup(s.Close)
	repo, err := name.NewRepository(strings.TrimPrefix(s.URL, "http://") + "/x")
	if err != nil {
		t.Fatal(err)
	}
	word, refused := "old", 0
	o := Options{Keychain: password{&word}, Known: &Known{Basic: true, Plain: true}, Refused: func(string) { refused++; word = "new" }}
	c, err := Connect(t.Context(), repo, transport.PushScope, o)
	if err != nil || len(asked) != 0 {
		t.Fatal(asked, err)
	}
	for range 2 {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, s.URL+"/v2/x/y", strings.NewReader("12345"))
		if err != nil {
			t.Fatal(err)
		}
		resp, err := c.Transport.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || string(text) != "5 <nil>" {
			t.Errorf("%s, %v", text, err)
		}
	}
	if want := []string{"PUT /v2/x/y", "GET /v2/", "PUT /v2/x/y", "PUT /v2/x/y"}; !slices.Equal(asked, want) || refused != 1 {
		t.Errorf("asked %v, refused %d times", asked, refused)
	}

	// What is learnt by asking is what spares it the next time.
	o.Known = nil
	c, err = Connect(t.Context(), repo, transport.PushScope, o)
	if err != nil || c.Known == nil || *c.Known != (Known{Basic: true, Plain: true}) {
		t.Errorf("%+v, %v", c.Known, err)
	}
}

// TestKnownWrongly: a registry that got a certificate since is asked anew, and
// what it shows is told.
func TestKnownWrongly(t *testing.T) {
	s := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	t.Cleanup(s.Close)
	repo, err := name.NewRepository(strings.TrimPrefix(s.URL, "https://")+"/x", name.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	var learnt []Known
	word := "x"
	c, err := Connect(t.Context(), repo, transport.PushScope, Options{
		Keychain: password{&word}, Transport: s.Client().Transport, Insecure: true,
		Known: &Known{Basic: true, Plain: true}, Learnt: func(k Known) { learnt = append(learnt, k) },
	})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+repo.RegistryStr()+"/v2/x/y", nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := c.Transport.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			t.Error(resp.Status)
		}
	}
	if want := []Known{{Basic: true}}; !slices.Equal(learnt, want) {
		t.Errorf("learnt %+v", learnt)
	}
}
