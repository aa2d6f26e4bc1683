package push

import (
	"context"
	"errors"
	"strings"

	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"github.com/fastship/fastship/internal/fault"
)

// immutable makes what it can of a registry's refusal to move a tag: the same
// image under it, put there by another run, is what was wanted.
func (r *repository) immutable(ctx context.Context, tag, digest string, err error) error {
	e, ok := errors.AsType[*transport.Error](err)
	if !ok || e.StatusCode < 400 || e.StatusCode >= 500 || !saysImmutable(e) {
		return err
	}
	there := r.there[tag]
	if there == "" {
		if now, lookErr := r.digestOf(ctx, tag); lookErr == nil {
			there = now
		}
	}
	switch there {
	case digest:
		return nil
	case "":
		there = "another image"
	}
	return fault.New(fault.ImageFailed, "push under another tag (image.tags), or leave image.tags out: the default names the commit", "tag %s is immutable and names %s: %w", tag, there, err)
}

// saysImmutable knows ECR's TAG_INVALID and ImageTagAlreadyExistsException,
// Harbor's and Artifact Registry's messages by their word.
func saysImmutable(e *transport.Error) bool {
	text := strings.ToLower(e.Error())
	return strings.Contains(text, "immutable") || strings.Contains(text, "imagetagalreadyexists")
}
