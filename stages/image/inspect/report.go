package inspect

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"golang.org/x/sync/errgroup"

	"github.com/fastship/fastship/internal/fault"
)

// Report is what an image is.
type Report struct {
	Name         string    `json:"name"`
	Digest       string    `json:"digest,omitempty"` // empty for a docker-archive
	Platform     string    `json:"platform"`
	Created      time.Time `json:"created"`
	Revision     string    `json:"revision,omitempty"`
	Base         string    `json:"base,omitempty"` // pinned, where it is another image
	User         string    `json:"user,omitempty"`
	Workdir      string    `json:"workdir,omitempty"`
	Entrypoint   []string  `json:"entrypoint,omitempty"`
	Args         []string  `json:"args,omitempty"`
	Env          []string  `json:"env,omitempty"` // NAME=value
	Ports        []string  `json:"ports,omitempty"`
	Volumes      []string  `json:"volumes,omitempty"`
	Labels       []string  `json:"labels,omitempty"`       // name=value, OCI's own of commit, time and base left out
	HealthCheck  string    `json:"healthCheck,omitempty"`  // Docker's: CMD /probe 8080 interval=5s
	Bytes        int64     `json:"bytes"`                  // of manifest, config and layers as they are kept: what a task pulls
	Uncompressed int64     `json:"uncompressed,omitempty"` // of the layers' tars; 0 unless every layer was read
	Layers       []Layer   `json:"layers"`                 // bottom first
	// Why tells which layers the project's image before this one had not, and
	// what was another; empty where no record of it is.
	Why []string `json:"why,omitempty"`
	// Against is what differs from another image; nil when none was named.
	Against *Difference `json:"against,omitempty"`
}

// Depths of Look.
const (
	// Auto reads every layer of an image on this machine, and of one in a
	// registry those of up to 16 MB.
	Auto = "auto"
	// All reads every layer.
	All = "all"
	// None reads none.
	None = "none"
)

// maxFetched bounds the layers that Auto fetches, in bytes.
const maxFetched = 16_000_000

// CheckDepth holds a depth against the three.
func CheckDepth(s string) error {
	if !slices.Contains([]string{Auto, All, None}, s) {
		return fault.New(fault.BadInput, "write auto, all or none", "--contents %q is none of them", s)
	}
	return nil
}

// Look tells what an image is. Layers are read side by side, in memory of a
// few jars.
func Look(ctx context.Context, image *Image, depth string) (*Report, error) {
	r := summary(image)
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(2)
	for i, b := range image.layers {
		if depth == None || depth == Auto && image.remote && b.size > maxFetched {
			continue
		}
		group.Go(func() error { return r.Layers[i].read(ctx, b) })
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	for _, l := range r.Layers {
		if !l.Read {
			r.Uncompressed = 0
			return r, nil
		}
		r.Uncompressed += l.Uncompressed
	}
	return r, nil
}

// summary is what manifest and config say.
func summary(image *Image) *Report {
	c := image.Config
	label := func(name string) string {
		return cmp.Or(image.Annotations["org.opencontainers.image."+name], c.Config.Labels["org.opencontainers.image."+name])
	}
	r := &Report{
		Name: image.Name, Digest: image.Digest, Platform: platform(c), Created: c.Created.UTC(), Revision: label("revision"),
		User: c.Config.User, Workdir: c.Config.WorkingDir, Entrypoint: c.Config.Entrypoint, Args: c.Config.Cmd, Env: c.Config.Env,
		Ports: slices.Sorted(maps.Keys(c.Config.ExposedPorts)), Volumes: slices.Sorted(maps.Keys(c.Config.Volumes)), Bytes: image.Size, Why: image.why,
		Labels: labels(c.Config.Labels), HealthCheck: healthCheck(c.Config.Healthcheck),
	}
	if r.Base = label("base.name"); r.Base != "" && label("base.digest") != "" {
		bare, _, _ := strings.Cut(r.Base, "@")
		r.Base = bare + "@" + label("base.digest")
	}
	roles := roles(c)
	for i, b := range image.layers {
		r.Layers = append(r.Layers, Layer{Role: roles[i], Digest: b.digest, DiffID: c.RootFS.DiffIDs[i].String(), MediaType: b.mediaType, Bytes: b.size})
		r.Bytes += b.size
	}
	return r
}

// labels are those that a Report does not tell elsewhere.
func labels(all map[string]string) []string {
	var list []string
	for _, name := range slices.Sorted(maps.Keys(all)) {
		switch strings.TrimPrefix(name, "org.opencontainers.image.") {
		case "revision", "created", "base.name", "base.digest":
		default:
			list = append(list, name+"="+all[name])
		}
	}
	return list
}

func healthCheck(h *v1.HealthConfig) string {
	if h == nil {
		return ""
	}
	words := slices.Clone(h.Test)
	for _, d := range []struct {
		name  string
		value time.Duration
	}{{"interval", h.Interval}, {"timeout", h.Timeout}, {"startPeriod", h.StartPeriod}} {
		if d.value > 0 {
			words = append(words, d.name+"="+d.value.String())
		}
	}
	if h.Retries > 0 {
		words = append(words, fmt.Sprintf("retries=%d", h.Retries))
	}
	return strings.Join(words, " ")
}

func platform(c v1.ConfigFile) string {
	name := cmp.Or(c.OS, "linux") + "/" + c.Architecture
	if c.Variant != "" {
		name += "/" + c.Variant
	}
	return name
}

// maxRole bounds the length of a command that stands for a role.
const maxRole = 60

// roles names layers by the history: its comment where this program made the
// layer, else the command. A history that is too short is that of the topmost
// ones: what stands on an image without any.
func roles(c v1.ConfigFile) []string {
	out := make([]string, len(c.RootFS.DiffIDs))
	history := slices.DeleteFunc(slices.Clone(c.History), func(h v1.History) bool { return h.EmptyLayer })
	i := max(len(out)-len(history), 0)
	own := -1 // the first layer of this program's
	for _, h := range history[:min(len(history), len(out))] {
		role := strings.TrimSpace(strings.TrimPrefix(h.CreatedBy, "/bin/sh -c "))
		if h.CreatedBy == "fastship" || h.Comment == "base" {
			role = h.Comment
			if own < 0 {
				own = i
			}
		}
		role = strings.Join(strings.Fields(role), " ")
		if len(role) > maxRole {
			role = strings.ToValidUTF8(role[:maxRole], "") + "…"
		}
		out[i] = role
		i++
	}
	for i := range out {
		if i < own {
			out[i] = cmp.Or(out[i], "base")
		}
		out[i] = cmp.Or(out[i], "unnamed")
	}
	return out
}
