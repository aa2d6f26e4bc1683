// Package centraltest stands before Maven Central in tests, and counts what is
// asked of it.
package centraltest

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

const central = "https://repo.maven.apache.org/maven2/"

// Proxy is a mirror of Maven Central on the loopback. It answers out of this
// user's own local repository where that has the file, so that tests download
// little.
type Proxy struct {
	URL   string
	mu    sync.Mutex
	asked []string
}

// Start runs a proxy until the test ends.
func Start(t *testing.T) *Proxy {
	t.Helper()
	p := &Proxy{}
	local := os.DirFS(filepath.Join(os.Getenv("HOME"), ".m2", "repository"))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := strings.TrimPrefix(path.Clean(r.URL.Path), "/")
		p.mu.Lock()
		p.asked = append(p.asked, name)
		p.mu.Unlock()
		if f, err := local.Open(name); err == nil {
			defer f.Close()
			_, _ = io.Copy(w, f) // a client that hangs up says so itself
			return
		}
		forward(w, r, central+name)
	}))
	t.Cleanup(server.Close)
	p.URL = server.URL
	return p
}

func forward(w http.ResponseWriter, r *http.Request, url string) {
	request, err := http.NewRequestWithContext(r.Context(), r.Method, url, nil)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	defer answer.Body.Close()
	w.WriteHeader(answer.StatusCode)
	_, _ = io.Copy(w, answer.Body)
}

// Take returns what was asked since the last call: artifacts with their
// checksums, and metadata.
func (p *Proxy) Take() (artifacts, metadata []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, name := range p.asked {
		if strings.HasPrefix(path.Base(name), "maven-metadata") {
			metadata = append(metadata, name)
		} else {
			artifacts = append(artifacts, name)
		}
	}
	p.asked = nil
	return artifacts, metadata
}
