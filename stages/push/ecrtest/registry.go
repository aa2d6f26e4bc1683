// Package ecrtest is a double of a private ECR registry: the API and the
// registry protocol over one state, with the peculiarities in which ECR
// differs from other registries. A test drives it with the SDK's own client.
package ecrtest

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ecr/types"
)

// Options are the account's and the registry's settings.
type Options struct {
	// Host is the registry's name: 123456789012.dkr.ecr.….amazonaws.com.
	Host string
	// Allow lists the actions that the caller may use, such as ecr:PutImage;
	// nil allows all.
	Allow []string
	// Mounting is the account setting that lets blobs be mounted.
	Mounting bool
	// Immutable is what repositories are made as.
	Immutable bool
	// RefusePut makes the closing PUT of an upload refuse a body.
	RefusePut bool
	// CutAbsent cuts the connection where a repository does not exist.
	CutAbsent bool
	// PutRate is how many PutImage a second are taken; 0 means any number.
	PutRate int
}

// Server is the double. Its methods may be called from any goroutine.
type Server struct {
	options Options
	http    *httptest.Server

	mu           sync.Mutex
	repositories map[string]*repository
	uploads      map[string]*upload
	tokens       map[string]time.Time // password → its end
	asked        []string
	puts         []time.Time
	before       func(http.ResponseWriter, *http.Request) bool
}

type repository struct {
	blobs     map[string][]byte
	manifests map[string]stored // by digest
	tags      map[string]string // to digest
	scans     []Scan
	scanned   bool
}

type stored struct {
	mediaType string
	raw       []byte
}

// upload is one session. ECR confirms bytes, but its Range stands still after
// the first chunk.
type upload struct {
	repository string
	content    []byte
	first      int // bytes of the first chunk
	last       int // of the last one
}

// Scan is one answer of DescribeImageScanFindings; the last one stays. The
// zero status means that there is no scan yet.
type Scan struct {
	Status      types.ScanStatus
	Description string
	Findings    []types.ImageScanFinding
	Enhanced    []types.EnhancedImageScanFinding
}

// Start serves the double on loopback until close.
func Start(o Options) *Server {
	s := &Server{options: o, repositories: map[string]*repository{}, uploads: map[string]*upload{}, tokens: map[string]time.Time{}}
	s.http = httptest.NewServer(http.HandlerFunc(s.serve))
	return s
}

// Close ends it.
func (s *Server) Close() { s.http.Close() }

// Endpoint is where API and registry are: http://127.0.0.1:PORT.
func (s *Server) Endpoint() string { return s.http.URL }

// Create makes a repository.
func (s *Server) Create(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.repositories[name] = &repository{blobs: map[string][]byte{}, manifests: map[string]stored{}, tags: map[string]string{}}
}

// Delete removes a repository.
func (s *Server) Delete(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.repositories, name)
}

// Forget drops a repository's blobs and images but one image's tags, as a
// registry does that lost its storage.
func (s *Server) Forget(name string, blobs ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, b := range blobs {
		delete(s.repositories[name].blobs, b)
	}
}

// Revoke ends all tokens that were given out.
func (s *Server) Revoke() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.tokens)
}

// SetScans says what each look at a repository's scan shows.
func (s *Server) SetScans(name string, scans ...Scan) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.repositories[name].scans = scans
	s.repositories[name].scanned = false
}

// Before may answer a request itself, and returns true then.
func (s *Server) Before(f func(http.ResponseWriter, *http.Request) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.before = f
}

// Tag returns the digest that a tag names, or nothing.
func (s *Server) Tag(name, tag string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r := s.repositories[name]; r != nil {
		return r.tags[tag]
	}
	return ""
}

// Asked returns what was asked since the last call, in order: METHOD and kind
// of a registry's document, or the API's action.
func (s *Server) Asked() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := s.asked
	s.asked = nil
	return out
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	target := strings.TrimPrefix(r.Header.Get("X-Amz-Target"), "AmazonEC2ContainerRegistry_V20150921.")
	s.mu.Lock()
	before := s.before
	if target != "" {
		s.asked = append(s.asked, target)
	} else {
		s.asked = append(s.asked, r.Method+" "+kind(r.URL.Path))
	}
	s.mu.Unlock()
	if before != nil && before(w, r) {
		return
	}
	if target != "" {
		s.api(w, r, target)
		return
	}
	s.registry(w, r)
}

func kind(path string) string {
	for _, k := range []string{"manifests", "blobs/uploads", "blobs", "referrers"} {
		if strings.Contains(path, "/"+k+"/") {
			return k
		}
	}
	return path
}

// allowed tells whether the caller may use an action.
func (s *Server) allowed(action string) bool {
	return s.options.Allow == nil || slices.Contains(s.options.Allow, "ecr:"+action)
}

// newToken makes a password that lives for 12 hours.
func (s *Server) newToken() (string, time.Time) {
	password, end := random(), time.Now().Add(12*time.Hour)
	s.tokens[password] = end
	return password, end
}

func random() string {
	var b [16]byte
	rand.Read(b[:])
	return hex.EncodeToString(b[:])
}

// refuse answers in the distribution specification's error form.
func refuse(w http.ResponseWriter, status int, code, format string, args ...any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	type object = map[string]any
	_ = json.NewEncoder(w).Encode(object{"errors": []object{{"code": code, "message": fmt.Sprintf(format, args...)}}})
}
