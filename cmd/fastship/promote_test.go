package main

import (
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/rogpeppe/go-internal/testscript"
)

// putImage is "image REPOSITORY": an image of no content in $REGISTRY, whose
// reference by digest is $IMAGE from then on.
func putImage(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: image REPOSITORY")
	}
	image, err := random.Image(1000, 2)
	ts.Check(err)
	digest, err := image.Digest()
	ts.Check(err)
	repository := ts.Getenv("REGISTRY") + "/" + args[0]
	ref, err := name.ParseReference(repository + ":v1")
	ts.Check(err)
	ts.Check(remote.Write(ref, image))
	ts.Setenv("IMAGE", repository+"@"+digest.String())
	ts.Setenv("DIGEST", strings.TrimPrefix(digest.String(), "sha256:"))
}
