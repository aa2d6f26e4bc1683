// Package codeartifacttest is a double of AWS CodeArtifact for tests: it gives
// out tokens, and serves a Maven repository that asks for them.
package codeartifacttest

import (
	"crypto/sha1"
	"encoding/json"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Double is one domain of one account. Set the fields before it serves.
type Double struct {
	Domain, Owner string
	Lasts         time.Duration // of a token without a duration; 0 means the service's 12 hours
	Files         fs.FS         // of its one repository, in Maven's layout; nil holds none

	mu      sync.Mutex
	tokens  map[string]time.Time // until when each is good
	asked   []url.Values
	served  int
	refused int
}

// API is the service's endpoint with GetAuthorizationToken
// (docs.aws.amazon.com/codeartifact/latest/APIReference): the parameters are
// in the query, times are seconds since the epoch.
func (d *Double) API() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/authorization-token", d.token)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		refuse(w, http.StatusNotFound, "UnknownOperationException", r.Method+" "+r.URL.Path+" is not known here")
	})
	return mux
}

func (d *Double) token(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	for name := range q {
		if name != "domain" && name != "domain-owner" && name != "duration" {
			refuse(w, http.StatusBadRequest, "ValidationException", "unknown parameter "+name)
			return
		}
	}
	lasts := d.Lasts
	if lasts == 0 {
		lasts = 12 * time.Hour
	}
	if text := q.Get("duration"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n != 0 && (n < 900 || n > 43200) {
			refuse(w, http.StatusBadRequest, "ValidationException", "durationSeconds is 0, or 900 to 43200")
			return
		}
		lasts = time.Duration(n) * time.Second
	}
	if q.Get("domain") != d.Domain || q.Get("domain-owner") != "" && q.Get("domain-owner") != d.Owner {
		refuse(w, http.StatusNotFound, "ResourceNotFoundException", "Domain not found")
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.tokens == nil {
		d.tokens = map[string]time.Time{}
	}
	d.asked = append(d.asked, q)
	token, until := fmt.Sprintf("double-t0ken-%d", len(d.asked)), time.Now().Add(lasts)
	d.tokens[token] = until
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{"authorizationToken": token, "expiration": float64(until.UnixMilli()) / 1000})
}

func refuse(w http.ResponseWriter, status int, kind, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Amzn-ErrorType", kind)
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]string{"message": message})
}

// Repository serves Files at any path /maven/NAME/ to the user aws with a
// token that is good, with their sha1 beside them, and answers 401 to
// everybody else.
func (d *Double) Repository() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, password, _ := r.BasicAuth()
		d.mu.Lock()
		ok := user == "aws" && time.Now().Before(d.tokens[password])
		if ok {
			d.served++
		} else {
			d.refused++
		}
		d.mu.Unlock()
		if !ok {
			w.Header().Set("WWW-Authenticate", `Basic realm="`+d.Domain+`"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		mux := http.NewServeMux()
		mux.HandleFunc("GET /maven/{name}/{path...}", func(w http.ResponseWriter, r *http.Request) {
			if d.Files == nil {
				http.NotFound(w, r)
				return
			}
			path := r.PathValue("path")
			if of, ok := strings.CutSuffix(path, ".sha1"); ok { // Maven 4 demands one
				if text, err := fs.ReadFile(d.Files, of); err == nil {
					_, _ = fmt.Fprintf(w, "%x", sha1.Sum(text))
					return
				}
			}
			http.ServeFileFS(w, r, d.Files, path)
		})
		mux.ServeHTTP(w, r)
	})
}

// Asked are the queries by which tokens were given out, in order.
func (d *Double) Asked() []url.Values {
	d.mu.Lock()
	defer d.mu.Unlock()
	return append([]url.Values(nil), d.asked...)
}

// Requests counts those that the repository served and refused.
func (d *Double) Requests() (served, refused int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.served, d.refused
}
