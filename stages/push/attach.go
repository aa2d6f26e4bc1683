package push

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"

	"github.com/fastship/fastship/cache"
	"github.com/fastship/fastship/runner"
	"github.com/fastship/fastship/stages/internal/oci"
	"github.com/fastship/fastship/stages/push/sign"
)

// Attachment is a document about an image, which lies beside it in the
// registry as one of its referrers (distribution-spec v1.1).
type Attachment struct {
	Name      string // sbom, provenance
	MediaType string
	// Predicate is the type of the statement (in-toto) that Content is or, if
	// it is no Statement, that it is signed as the predicate of.
	Predicate string
	Statement bool
	Content   []byte
}

// artifact is a manifest that belongs to an image, with its blobs.
type artifact struct {
	manifest
	name     string
	kind     string            // its artifactType
	notes    map[string]string // its annotations
	contents []memoryBlob
}

type memoryBlob struct {
	cache.Descriptor
	bytes []byte
}

func blobOf(mediaType string, b []byte) memoryBlob {
	return memoryBlob{cache.Descriptor{MediaType: mediaType, Digest: cache.Sum(b), Size: int64(len(b))}, b}
}

// documents are blobs to send.
type documents []memoryBlob

func (m documents) open(_ context.Context, b cache.Descriptor, from int64) (io.ReadCloser, error) {
	for _, blob := range m {
		if blob.Digest == b.Digest {
			return io.NopCloser(bytes.NewReader(blob.bytes[from:])), nil
		}
	}
	return nil, fmt.Errorf("blob %s: %w", b.Digest, cache.ErrNotFound)
}

func (documents) verify(context.Context, cache.Descriptor) error { return nil }

// link is a descriptor in a manifest.
type link struct {
	MediaType    string            `json:"mediaType"`
	ArtifactType string            `json:"artifactType,omitempty"`
	Digest       string            `json:"digest"`
	Size         int64             `json:"size"`
	Annotations  map[string]string `json:"annotations,omitempty"`
}

func linkTo(b memoryBlob, annotations map[string]string) link {
	return link{MediaType: b.MediaType, Digest: string(b.Digest), Size: b.Size, Annotations: annotations}
}

func (m manifest) link() link {
	return link{MediaType: m.mediaType, Digest: m.digest, Size: int64(len(m.raw))}
}

// artifactManifest is OCI's image manifest as artifacts use it (image-spec
// v1.1, manifest.md, “Guidelines for Artifact Usage”). Descriptors never have
// the data field: ECR refuses it.
type artifactManifest struct {
	SchemaVersion int               `json:"schemaVersion"`
	MediaType     string            `json:"mediaType"`
	ArtifactType  string            `json:"artifactType,omitempty"`
	Config        link              `json:"config"`
	Layers        []link            `json:"layers"`
	Subject       *link             `json:"subject,omitempty"`
	Annotations   map[string]string `json:"annotations,omitempty"`
}

const mediaTypeEmpty = "application/vnd.oci.empty.v1+json"

// document makes the artifact of an attachment.
func document(a Attachment, subject manifest) (artifact, error) {
	config, content := blobOf(mediaTypeEmpty, []byte("{}")), blobOf(a.MediaType, a.Content)
	var notes map[string]string
	if a.Statement {
		notes = map[string]string{"in-toto.io/predicate-type": a.Predicate}
	}
	to := subject.link()
	return newArtifact(a.Name, artifactManifest{
		ArtifactType: a.MediaType, Config: linkTo(config, nil), Layers: []link{linkTo(content, notes)}, Subject: &to, Annotations: notes,
	}, config, content)
}

func newArtifact(name string, m artifactManifest, contents ...memoryBlob) (artifact, error) {
	m.SchemaVersion, m.MediaType = 2, oci.MediaTypeManifest
	raw, err := json.Marshal(m)
	if err != nil {
		return artifact{}, fmt.Errorf("write the manifest of the %s: %w", name, err)
	}
	return artifact{
		manifest: manifest{digest: string(cache.Sum(raw)), mediaType: m.MediaType, raw: raw},
		name:     name, kind: m.ArtifactType, notes: m.Annotations, contents: contents,
	}, nil
}

// attachLater attaches in the background what is not signed: a failure is a
// warning.
func (s *Step) attachLater(env runner.Env, remote *repository, image manifest) {
	if s.deps.Attachments == nil || env.Background == nil {
		return
	}
	env.Background("attach what the image is made of to "+remote.repo.Name(), func(ctx context.Context) error {
		return s.attach(ctx, env, remote, image, nil)
	})
}

// attach puts the attachments beside the image; with a key it signs the image
// and them, too. What was attached before is not asked for again.
func (s *Step) attach(ctx context.Context, env runner.Env, remote *repository, image manifest, key *sign.Key) error {
	var list []Attachment
	if s.deps.Attachments != nil {
		var err error
		if list, err = s.deps.Attachments(ctx, image.digest); err != nil {
			return err
		}
	}
	var artifacts []artifact
	for _, a := range list {
		made, err := document(a, image)
		if err != nil {
			return err
		}
		artifacts = append(artifacts, made)
	}
	if len(artifacts) == 0 && key == nil {
		return nil
	}
	done := attachedKey(remote.repo, image, artifacts, key)
	if s.isKnown(ctx, done) {
		return nil
	}
	if key != nil {
		signed, err := signAll(ctx, remote, image, list, key)
		if err != nil {
			return err
		}
		artifacts = append(artifacts, signed...)
	}
	if err := remote.attach(ctx, image, artifacts); err != nil {
		return err
	}
	if s.deps.Cache != nil {
		cache.Keep(ctx, s.deps.Cache, done, true, nil)
	}
	env.Emit(runner.Note{Text: "attached to " + image.digest + ": " + names(artifacts)})
	return nil
}

func names(artifacts []artifact) string {
	list := make([]string, len(artifacts))
	for i, a := range artifacts {
		list[i] = a.name
	}
	return strings.Join(list, ", ")
}

// attachedKey names the fact that these artifacts are attached. Signatures
// stand in it by their key: those of KMS are others each time.
func attachedKey(repo name.Repository, image manifest, artifacts []artifact, key *sign.Key) cache.Key {
	parts := cache.NewKey("attached", "1").Add("repository", repo.Name()).Add("image", image.digest)
	for _, a := range artifacts {
		parts = parts.Add(a.name, a.digest)
	}
	if key != nil {
		parts = parts.Add("key", key.ID())
	}
	return parts.Key()
}

func (s *Step) isKnown(ctx context.Context, key cache.Key) bool {
	if s.deps.Cache == nil {
		return false
	}
	_, _, ok := cache.Lookup[bool](ctx, s.deps.Cache, key)
	return ok
}

// attach sends artifacts: blobs, manifests, and where the registry does not
// keep the list of an image's referrers itself, that list.
func (r *repository) attach(ctx context.Context, image manifest, artifacts []artifact) error {
	var contents documents
	var blobs []cache.Descriptor
	for _, a := range artifacts {
		for _, c := range a.contents {
			contents = append(contents, c)
			blobs = append(blobs, c.Descriptor)
		}
	}
	missing, err := r.missing(ctx, once(blobs), true)
	if err != nil {
		return err
	}
	if _, err := r.upload(ctx, contents, missing, &progress{}); err != nil {
		return err
	}
	linked := true
	for _, a := range artifacts {
		reference := a.digest
		if tag, ok := cosignTag(a.name, image); ok {
			reference = tag
		}
		ok, err := r.putManifest(ctx, reference, a.manifest)
		if err != nil {
			return r.immutable(ctx, reference, a.digest, fmt.Errorf("send the %s: %w", a.name, err))
		}
		linked = linked && ok
	}
	if linked {
		return nil
	}
	// A registry may know referrers without saying so in its answers.
	if _, ok, err := r.referrers(ctx, image.digest); err != nil || ok {
		return err
	}
	return r.refer(ctx, image, artifacts)
}
