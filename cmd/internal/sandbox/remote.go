package sandbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path"
	"strings"
	"time"
)

// Remote is a sandbox as its users see it: the one of this process or of
// another.
type Remote struct{ state state }

// Registry is the registry's host and port; it speaks plain http.
func (r *Remote) Registry() string { return r.state.Registry }

// Repository is where the application's images go: registry and name.
func (r *Remote) Repository() string { return r.state.Registry + "/" + r.state.Repository }

// Endpoint is the URL of ECS. Any credentials will do.
func (r *Remote) Endpoint() string { return "http://" + r.state.Endpoint }

// URL is where the application answers.
func (r *Remote) URL() string { return "http://" + r.state.URL }

// Region is ECS's.
func (r *Remote) Region() string { return r.state.Region }

// Cluster is the name of the one cluster.
func (r *Remote) Cluster() string { return r.state.Cluster }

// Service is the name of the application's service.
func (r *Remote) Service() string { return r.state.Service }

// Container is the name of the application's container.
func (r *Remote) Container() string { return r.state.Container }

// PID is the process that the sandbox lives in.
func (r *Remote) PID() int { return r.state.PID }

// Logs returns the last lines, at most 200, that a task's container printed;
// task is an id or an ARN. It is empty when nothing is known of it.
func (r *Remote) Logs(task, container string) []string {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	address := fmt.Sprintf("%s/fastship/logs/%s/%s", r.Endpoint(), url.PathEscape(path.Base(task)), url.PathEscape(container))
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil // logs explain a failure, they must not be one
	}
	defer response.Body.Close()
	var lines []string
	if json.NewDecoder(response.Body).Decode(&lines) != nil {
		return nil
	}
	return lines
}

// Answer is what the application said to GET /.
type Answer struct {
	Status  int
	Body    string        // its first 300 bytes
	Took    time.Duration // until the answer, waiting for a healthy task included
	Address string        // what was asked
}

// FirstAnswer asks the application for / until a healthy task answers; the end
// of ctx ends it.
func (r *Remote) FirstAnswer(ctx context.Context) (Answer, error) {
	start := time.Now()
	client := noRedirects()
	for {
		a, served, err := ask(ctx, client, r.URL()+"/")
		if err != nil {
			return Answer{}, fmt.Errorf("ask the application: %w", err)
		}
		if served {
			a.Took = time.Since(start)
			return a, nil
		}
		select {
		case <-ctx.Done():
			return Answer{}, fmt.Errorf("ask the application: no healthy task: %w", context.Cause(ctx))
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// Get asks the application for a path, once.
func (r *Remote) Get(ctx context.Context, path string) (Answer, error) {
	start := time.Now()
	a, _, err := ask(ctx, noRedirects(), r.URL()+path)
	if err != nil {
		return Answer{}, fmt.Errorf("ask the application: %w", err)
	}
	a.Took = time.Since(start)
	return a, nil
}

// noRedirects shows an answer as it is: a redirect may lead out of the sandbox.
func noRedirects() *http.Client {
	return &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// ask asks once; served says that a task answered, not the proxy.
func ask(ctx context.Context, client *http.Client, address string) (a Answer, served bool, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return a, false, err
	}
	response, err := client.Do(request)
	if err != nil {
		return a, false, err
	}
	defer response.Body.Close()
	excerpt, err := io.ReadAll(io.LimitReader(response.Body, 300))
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		return a, false, err
	}
	a = Answer{Status: response.StatusCode, Body: strings.ToValidUTF8(string(excerpt), ""), Address: address}
	return a, response.Header.Get(proxyHeader) == "", nil
}
