package image

import (
	"fmt"
	"maps"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/fastship/fastship/internal/fault"
	"github.com/fastship/fastship/runner"
	"github.com/fastship/fastship/stages/image/appjar"
	"github.com/fastship/fastship/stages/internal/oci"
)

// Container is what the image says to whoever starts it. The zero value is
// fastship's own way.
type Container struct {
	Main        string            `yaml:"main"`       // the class to start instead of the jar's Main-Class
	Entrypoint  []string          `yaml:"entrypoint"` // instead of java and its flags
	Args        []string          `yaml:"args"`       // the application's arguments, which docker run and a task definition's command replace
	Env         map[string]string `yaml:"env"`
	Labels      map[string]string `yaml:"labels"`
	Ports       []string          `yaml:"ports"`   // 8080, 53/udp, 9000-9010
	User        string            `yaml:"user"`    // name or number, and :group
	Workdir     string            `yaml:"workdir"` // absolute; default /app
	Volumes     []string          `yaml:"volumes"` // absolute folders
	HealthCheck HealthCheck       `yaml:"healthCheck"`
	Created     string            `yaml:"created"` // commit (the default), epoch, or a time as in RFC 3339
}

// HealthCheck is a command by which a Docker engine knows that a container is
// well. OCI's image config has no such field and reserves Docker's; ECS and
// Kubernetes have checks of their own and read neither.
type HealthCheck struct {
	Command     []string      `yaml:"command"`     // its words; no shell
	Interval    time.Duration `yaml:"interval"`    // default: the engine's, 30s
	Timeout     time.Duration `yaml:"timeout"`     // default: the engine's, 30s
	StartPeriod time.Duration `yaml:"startPeriod"` // in which a failure does not count
	Retries     int           `yaml:"retries"`     // failures in a row; default: the engine's, 3
}

// createdAtCommit and createdAtEpoch are values of Container.Created.
const (
	createdAtCommit = "commit"
	createdAtEpoch  = "epoch"
)

var (
	classForm = regexp.MustCompile(`^[\pL_$][\pL\pN_$]*(\.[\pL_$][\pL\pN_$]*)*$`) // JLS 6.7, binary names
	userForm  = regexp.MustCompile(`^([a-z_][a-z0-9_-]*\$?|[0-9]{1,10})(:([a-z_][a-z0-9_-]*\$?|[0-9]{1,10}))?$`)
)

// check holds a Container against its grammar. Each error is of class
// fault.BadInput and names the key.
func (c Container) check(base string, jvm []string) error {
	for key, set := range map[string]bool{"image.main": c.Main != "", "image.jvm": len(jvm) > 0} {
		if set && len(c.Entrypoint) > 0 {
			return fault.New(fault.BadInput, "leave one of them out", "%s is part of the entrypoint that image.entrypoint replaces", key)
		}
	}
	checks := []struct {
		key    string
		values []string
		check  func(string) error
	}{
		{"image.main", list(c.Main), CheckClass},
		{"image.env", slices.Sorted(maps.Keys(c.Env)), CheckVariable},
		{"image.labels", slices.Sorted(maps.Keys(c.Labels)), CheckLabel},
		{"image.ports", c.Ports, CheckPorts},
		{"image.user", list(c.User), CheckUser},
		{"image.workdir", list(c.Workdir), CheckFolder},
		{"image.volumes", c.Volumes, CheckFolder},
		{"image.created", list(c.Created), CheckCreated},
	}
	for _, group := range checks {
		for _, value := range group.values {
			if err := group.check(value); err != nil {
				return fault.New(fault.BadInput, fault.HintOf(err), "%s: %w", group.key, err)
			}
		}
	}
	if err := c.checkUserIn(base); err != nil {
		return err
	}
	return c.HealthCheck.check()
}

func list(value string) []string {
	if value == "" {
		return nil
	}
	return []string{value}
}

// checkUserIn knows whom the linked base's /etc/passwd holds.
func (c Container) checkUserIn(base string) error {
	if base != jlink {
		return nil
	}
	for name := range strings.SplitSeq(c.User, ":") {
		if _, err := strconv.Atoi(name); name != "" && err != nil && name != "root" && name != "nonroot" {
			return fault.New(fault.BadInput, "write the number of the user, such as 1000:1000", "image.user: the linked base knows root and nonroot, and no %s", name)
		}
	}
	return nil
}

func (h HealthCheck) check() error {
	if len(h.Command) == 0 && (h.Interval != 0 || h.Timeout != 0 || h.StartPeriod != 0 || h.Retries != 0) {
		return fault.New(fault.BadInput, "add healthCheck.command: [program, argument]", "image.healthCheck has no command")
	}
	if h.Retries < 0 {
		return fault.New(fault.BadInput, "write a number above 0, or leave it out for 3", "image.healthCheck.retries: %d is not above 0", h.Retries)
	}
	return nil
}

// CheckClass holds a value of Container.Main against its grammar. The error
// of this and the following functions has a hint and does not name the key.
func CheckClass(s string) error {
	if !classForm.MatchString(s) {
		return fault.New(fault.BadInput, "write it with its package, such as com.example.Main", "%q is no name of a class", s)
	}
	return nil
}

// CheckVariable holds the name of an environment variable against POSIX.
func CheckVariable(s string) error {
	if s == "" || strings.ContainsAny(s, "=\x00 \t\r\n") {
		return fault.New(fault.BadInput, "write NAME: value", "%q is no name of an environment variable", s)
	}
	return nil
}

// CheckLabel holds the name of a label against what Docker takes.
func CheckLabel(s string) error {
	if s == "" || strings.ContainsAny(s, "=\x00 \t\r\n") {
		return fault.New(fault.BadInput, "write com.example.name: value", "%q is no name of a label", s)
	}
	return nil
}

// CheckPorts holds an item of Container.Ports against its grammar.
func CheckPorts(s string) error {
	_, _, _, err := parsePorts(s)
	return err
}

// parsePorts reads 8080, 8080/udp, or 8080-8090.
func parsePorts(s string) (first, last int, protocol string, err error) {
	numbers, protocol, named := strings.Cut(s, "/")
	if !named {
		protocol = "tcp"
	}
	if !slices.Contains([]string{"tcp", "udp", "sctp"}, protocol) {
		return 0, 0, "", fault.New(fault.BadInput, "write "+numbers+"/tcp or "+numbers+"/udp", "%q names no protocol of a port: %q", s, protocol)
	}
	from, to, isRange := strings.Cut(numbers, "-")
	if !isRange {
		to = from
	}
	first, firstErr := strconv.Atoi(from)
	last, lastErr := strconv.Atoi(to)
	switch {
	case firstErr != nil || lastErr != nil || strings.ContainsAny(numbers, "+ "):
		return 0, 0, "", fault.New(fault.BadInput, "write 8080, 53/udp or 9000-9010", "%q is no port", s)
	case first < 1 || last > 65535:
		return 0, 0, "", fault.New(fault.BadInput, "ports are 1 to 65535", "%q is no port", s)
	case first > last:
		return 0, 0, "", fault.New(fault.BadInput, fmt.Sprintf("write %d-%d", last, first), "%q ends before it begins", s)
	}
	return first, last, protocol, nil
}

// CheckUser holds Container.User against the grammar of names and numbers.
func CheckUser(s string) error {
	if !userForm.MatchString(s) {
		return fault.New(fault.BadInput, "write a name or a number, and :group behind it where there is one: 1000:1000", "%q is no user", s)
	}
	return nil
}

// CheckFolder wants a clean absolute path of the image.
func CheckFolder(s string) error {
	switch {
	case !path.IsAbs(s):
		return fault.New(fault.BadInput, "write /"+s, "%q is not absolute", s)
	case path.Clean(s) != s && path.Clean(s)+"/" != s || strings.ContainsRune(s, 0):
		return fault.New(fault.BadInput, "write "+path.Clean(s), "%q is not a clean path", s)
	}
	return nil
}

// CheckCreated holds a value of Container.Created against its grammar.
func CheckCreated(s string) error {
	if s == createdAtCommit || s == createdAtEpoch {
		return nil
	}
	if _, err := time.Parse(time.RFC3339, s); err != nil {
		return fault.New(fault.BadInput, "write commit, epoch, or a time such as 2026-01-31T12:00:00Z", "%q is no time", s)
	}
	return nil
}

// apply writes the settings into an image's config, which holds the base's.
func (c Container) apply(config *v1.Config) error {
	for _, name := range slices.Sorted(maps.Keys(c.Env)) {
		config.Env = slices.DeleteFunc(slices.Clone(config.Env), func(pair string) bool { return strings.HasPrefix(pair, name+"=") })
		config.Env = append(config.Env, name+"="+c.Env[name])
	}
	if config.Labels == nil {
		config.Labels = map[string]string{}
	}
	maps.Copy(config.Labels, c.Labels)
	config.ExposedPorts = maps.Clone(config.ExposedPorts)
	for _, item := range c.Ports {
		first, last, protocol, err := parsePorts(item)
		if err != nil {
			return err
		}
		for port := first; port <= last; port++ {
			put(&config.ExposedPorts, fmt.Sprintf("%d/%s", port, protocol))
		}
	}
	config.Volumes = maps.Clone(config.Volumes)
	for _, folder := range c.Volumes {
		put(&config.Volumes, path.Clean(folder))
	}
	if c.User != "" {
		config.User = c.User
	}
	if c.Workdir != "" {
		config.WorkingDir = path.Clean(c.Workdir)
	}
	if len(c.Entrypoint) > 0 {
		config.Entrypoint = c.Entrypoint
	}
	config.Cmd = c.Args
	config.OnBuild = nil // of those who build on the base by a Dockerfile: not this image's
	if h := c.HealthCheck; len(h.Command) > 0 {
		config.Healthcheck = &v1.HealthConfig{
			Test:     append([]string{"CMD"}, h.Command...),
			Interval: h.Interval, Timeout: h.Timeout, StartPeriod: h.StartPeriod, Retries: h.Retries,
		}
	}
	return nil
}

func put(set *map[string]struct{}, name string) {
	if *set == nil {
		*set = map[string]struct{}{}
	}
	(*set)[name] = struct{}{}
}

// warnOfPages tells of a working directory that hides a war's pages: its
// server looks for them in a folder below it.
func (c Container) warnOfPages(env runner.Env, layers []oci.Layer) {
	moved := c.Workdir != "" && path.Clean(c.Workdir) != "/"+home
	if moved && slices.ContainsFunc(layers, func(l oci.Layer) bool { return l.Descriptor.Name == appjar.Webapp }) {
		env.Emit(runner.Warning{Text: fmt.Sprintf("the war's pages lie in /%s/src/main/webapp, and its server looks for them below image.workdir, which is %s: leave image.workdir out", home, c.Workdir)})
	}
}

// created is the image's own time.
func (c Container) created(in In) time.Time {
	switch c.Created {
	case "", createdAtCommit:
		if !in.Created.IsZero() {
			return in.Created.UTC().Truncate(time.Second)
		}
	case createdAtEpoch:
	default:
		if t, err := time.Parse(time.RFC3339, c.Created); err == nil {
			return t.UTC().Truncate(time.Second)
		}
	}
	return time.Unix(0, 0).UTC()
}
