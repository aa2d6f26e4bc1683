package registry

import (
	"strings"

	"github.com/google/go-containerregistry/pkg/name"

	"github.com/fastship/fastship/internal/fault"
)

// ParseRepository reads host/name, the value of the key named key. Errors are
// of class fault.BadInput.
func ParseRepository(key, s string, o Options) (name.Repository, error) {
	if bare, tag, ok := cutTag(s); ok {
		return name.Repository{}, fault.New(fault.BadInput, "write "+key+": "+bare+", and the tag in image.tags", "%s: %s has a tag or a digest (%s)", key, s, tag)
	}
	repo, err := name.NewRepository(s, o.nameOptions()...)
	if err != nil {
		return name.Repository{}, badName(key, s, err)
	}
	return repo, nil
}

// ParseReference reads host/name:tag or host/name@digest, the value of the
// key named key. Errors are of class fault.BadInput.
func ParseReference(key, s string, o Options) (name.Reference, error) {
	ref, err := name.ParseReference(s, o.nameOptions()...)
	if err != nil {
		return nil, badName(key, s, err)
	}
	return ref, nil
}

func cutTag(s string) (bare, tag string, ok bool) {
	if bare, tag, ok = strings.Cut(s, "@"); ok {
		return bare, tag, true
	}
	if i := strings.LastIndexByte(s, ':'); i > strings.LastIndexByte(s, '/') && strings.Contains(s, "/") {
		return s[:i], s[i+1:], true
	}
	return s, "", false
}

func badName(key, s string, err error) error {
	host, path, ok := strings.Cut(s, "/")
	if !ok {
		host, path = "", s
	}
	if lower := strings.ToLower(path); lower != path {
		if host != "" {
			lower = host + "/" + lower
		}
		return fault.New(fault.BadInput, "write "+key+": "+lower, "%s: %s has capitals; registries allow lower-case names only", key, s)
	}
	return fault.New(fault.BadInput, "a name looks like registry.example.com/team/orders", "%s: %w", key, err)
}
