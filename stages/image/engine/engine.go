// Package engine loads an image into a Docker engine, by its API: as a
// docker-archive, which every engine reads, and without what it has already.
package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/moby/moby/api/types/image"
	"github.com/moby/moby/client"

	"github.com/fastship/fastship/internal/fault"
	"github.com/fastship/fastship/internal/sizes"
	"github.com/fastship/fastship/stages/image/archive"
)

// Engine is a connection to one engine. Close ends it.
type Engine struct {
	api  *client.Client
	host string
}

// Connect connects as the docker command does: DOCKER_HOST, DOCKER_TLS_VERIFY,
// DOCKER_CERT_PATH and DOCKER_API_VERSION, else the engine of this machine.
// Docker's contexts are not read. The error is of class fault.Missing when
// nobody answers, fault.BadInput when the variables make no sense.
func Connect(ctx context.Context, getenv func(string) (string, bool)) (*Engine, error) {
	value := func(name string) string {
		if v, ok := getenv(name); ok {
			return v
		}
		return ""
	}
	host := value("DOCKER_HOST")
	if strings.HasPrefix(host, "ssh://") {
		return nil, fault.New(fault.BadInput, "forward its socket (ssh -L) and name that in DOCKER_HOST", "DOCKER_HOST %s: an engine behind ssh cannot be reached", host)
	}
	options := []client.Opt{client.WithUserAgent("fastship")}
	if certs := value("DOCKER_CERT_PATH"); certs != "" && value("DOCKER_TLS_VERIFY") != "" {
		options = append(options, client.WithTLSClientConfig(filepath.Join(certs, "ca.pem"), filepath.Join(certs, "cert.pem"), filepath.Join(certs, "key.pem")))
	}
	if host != "" {
		options = append(options, client.WithHost(host))
	}
	if version := value("DOCKER_API_VERSION"); version != "" {
		options = append(options, client.WithAPIVersion(version))
	}
	api, err := client.New(options...)
	if err != nil {
		return nil, fault.New(fault.BadInput, "correct DOCKER_HOST and DOCKER_CERT_PATH, or unset them", "connect to the Docker engine: %w", err)
	}
	e := &Engine{api: api, host: api.DaemonHost()}
	if _, err := api.Ping(ctx, client.PingOptions{NegotiateAPIVersion: true}); err != nil {
		api.Close()
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		return nil, fault.New(fault.Missing, "start Docker, or name its engine in DOCKER_HOST", "no Docker engine answers at %s: %w", e.host, err)
	}
	return e, nil
}

// Close ends the connection.
func (e *Engine) Close() error { return e.api.Close() }

// Loaded is what became of a Load.
type Loaded struct {
	ID     string // of the image in the engine
	Sent   int64  // bytes; 0 when the engine had the image
	Reused int    // layers that the engine had
}

// Load gives the engine the image under a name (name:tag). An image that it
// has is only named; of one that it had by that name, layers from the bottom
// up to the first other one are not sent again.
func (e *Engine) Load(ctx context.Context, from v1.Image, name string) (Loaded, error) {
	id, err := from.ConfigName()
	if err != nil {
		return Loaded{}, err
	}
	file, err := from.ConfigFile()
	if err != nil {
		return Loaded{}, err
	}
	done := Loaded{ID: id.String()}
	if _, err := e.api.ImageInspect(ctx, id.String()); err == nil {
		done.Reused = len(file.RootFS.DiffIDs)
		_, err := e.api.ImageTag(ctx, client.ImageTagOptions{Source: id.String(), Target: name})
		return done, e.explain(ctx, name, err)
	}
	there, err := e.api.ImageInspect(ctx, name)
	if err == nil && e.inContainerd(ctx) {
		if same(there.InspectResponse, file) {
			done.Reused = len(file.RootFS.DiffIDs)
			return done, nil
		}
	} else if err == nil {
		done.Reused = common(there.InspectResponse, file.RootFS.DiffIDs)
	}
	done.Sent, err = e.send(ctx, from, name, done.Reused)
	if err != nil && done.Reused > 0 && ctx.Err() == nil {
		// It no longer has what its last image by that name was made of.
		done.Reused = 0
		done.Sent, err = e.send(ctx, from, name, 0)
	}
	return done, e.explain(ctx, name, err)
}

func (e *Engine) explain(ctx context.Context, name string, err error) error {
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return context.Cause(ctx)
	}
	return fault.New(fault.ImageFailed, "", "load %s into the Docker engine at %s: %w", name, e.host, err)
}

// inContainerd tells whether the engine keeps images in containerd. Such
// engines want every layer in an archive, and know an image by the digest of the
// manifest that they make for it.
func (e *Engine) inContainerd(ctx context.Context) bool {
	info, err := e.api.Info(ctx, client.InfoOptions{})
	if err != nil {
		return false
	}
	for _, pair := range info.Info.DriverStatus {
		if strings.Contains(pair[1], "containerd") {
			return true
		}
	}
	return false
}

// common counts the layers that an image in the engine has in common with
// diffIDs, from the bottom.
func common(there image.InspectResponse, diffIDs []v1.Hash) int {
	n := 0
	for n < len(diffIDs) && n < len(there.RootFS.Layers) && there.RootFS.Layers[n] == diffIDs[n].String() {
		n++
	}
	return n
}

// errEnded is what the archive's writer hears once the engine has answered.
var errEnded = errors.New("the engine has ended the connection")

// send streams the archive and reads how the engine took it.
func (e *Engine) send(ctx context.Context, from v1.Image, name string, skip int) (sent int64, err error) {
	plan, err := archive.New(from, []string{name}, skip)
	if err != nil {
		return 0, err
	}
	r, w := io.Pipe()
	wrote := make(chan error, 1)
	count := &sizes.Writer{W: w}
	go func() {
		err := plan.Write(ctx, count)
		w.CloseWithError(err)
		wrote <- err
	}()
	answer, err := e.api.ImageLoad(ctx, r, client.ImageLoadWithQuiet(true))
	if err == nil {
		err = errors.Join(read(answer), answer.Close())
	}
	r.CloseWithError(errEnded) // an engine need not read a tar's last zeros
	// HTTP closes a body that an engine answers before it has read it: the
	// answer says why.
	if writeErr := <-wrote; writeErr != nil && !errors.Is(writeErr, errEnded) && !errors.Is(writeErr, io.ErrClosedPipe) {
		err = writeErr // the cause of what the engine may have said
	}
	return count.N, err
}

// read finds the error among an engine's answers, which come with status 200.
func read(r io.Reader) error {
	for d := json.NewDecoder(r); ; {
		var line struct {
			Error string `json:"error"`
		}
		err := d.Decode(&line)
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("read its answer: %w", err)
		case line.Error != "":
			return errors.New(line.Error)
		}
	}
}
