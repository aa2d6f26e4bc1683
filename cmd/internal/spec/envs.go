package spec

import (
	"maps"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"github.com/fastship/fastship/internal/fault"
	"github.com/fastship/fastship/internal/near"
	"github.com/fastship/fastship/stages/rollout"
	"github.com/goccy/go-yaml/ast"
)

// Env is what an environment may have of its own: where the image is pushed
// and which service runs it. What the image is made of is the same in all, so
// that one digest goes through all of them.
type Env struct {
	Image  EnvImage       `yaml:"image"`
	Deploy rollout.Config `yaml:"deploy"`
}

// EnvImage is the part of the image section that says where it goes.
type EnvImage struct {
	PushConfig `yaml:",inline"`
}

// envs is the key of the environments.
const envs = "envs"

// envForm bounds a name to what can stand in paths and in tags.
var envForm = regexp.MustCompile(`^[A-Za-z0-9_-]{1,63}$`)

// LoadEnv is Load with one of the file's environments laid over the rest;
// empty is none.
func LoadEnv(path, env string, getenv func(string) (string, bool)) (*Spec, error) {
	s, err := load(path, env, getenv)
	if err != nil || env == "" {
		return s, err
	}
	e, ok := s.Envs[env]
	if !ok {
		return nil, noEnv(filepath.Base(path), env, slices.Sorted(maps.Keys(s.Envs)))
	}
	s.Env, s.Image.PushConfig, s.Deploy = env, e.Image.PushConfig, e.Deploy
	return s, nil
}

func noEnv(file, env string, all []string) error {
	hint := "its environments: " + strings.Join(all, ", ")
	if len(all) == 0 {
		hint = "add it under envs, or leave --env out: there are none"
	} else if names := near.Names(env, all, 3); len(names) > 0 {
		hint = "near names: " + strings.Join(names, ", ")
	}
	return fault.New(fault.BadInput, hint, "%s has no environment %s", file, quote(env))
}

// environments decodes envs, each laid over what the file says without it. In
// those that are not the one of this run, variables need not be set.
func (d *decoder) environments(n ast.Node, s *Spec) error {
	entries, err := d.entries(n, envs)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if !envForm.MatchString(e.name) {
			return d.fail(e.key, "use letters, digits, _ and -; at most 63", "%s is no name of an environment", quote(e.name))
		}
		own := *d
		if e.name != d.env {
			own.absent, own.getenv = true, func(string) (string, bool) { return "x", true }
		}
		env := Env{EnvImage{s.Image.PushConfig}, s.Deploy}
		if err := own.value(e.value, reflect.ValueOf(&env).Elem(), envs+"."+e.name); err != nil {
			return err
		}
		if s.Envs == nil {
			s.Envs = map[string]Env{}
		}
		s.Envs[e.name] = env
	}
	return nil
}

// withoutEnv is the path of a key without the environment that it stands in.
func withoutEnv(path string) string {
	if rest, in := strings.CutPrefix(path, envs+"."); in {
		if _, inner, deeper := strings.Cut(rest, "."); deeper {
			return inner
		}
	}
	return path
}
