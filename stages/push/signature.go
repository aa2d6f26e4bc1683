package push

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"

	"github.com/fastship/fastship/stages/internal/oci"
	"github.com/fastship/fastship/stages/push/sign"
)

// Names of the artifacts that hold signatures, and the artifact types by which
// they are found among an image's referrers.
const (
	nameSignature    = "signature"
	nameAttestations = "attestations"

	typeSignature    = "application/vnd.dev.cosign.artifact.sig.v1+json"
	typeAttestations = "application/vnd.dev.cosign.artifact.att.v1+json"
)

// cosignTag is where cosign looks for a signature or for attestations.
func cosignTag(artifact string, image manifest) (string, bool) {
	switch artifact {
	case nameSignature:
		return tagOf(image) + ".sig", true
	case nameAttestations:
		return tagOf(image) + ".att", true
	}
	return "", false
}

// Sign says by which key images are signed.
type Sign struct {
	// Key is a file, relative to the project's folder, env://NAME or
	// awskms:///KEY; empty signs nothing.
	Key string `yaml:"key"`
}

func (s Sign) plan() []string {
	if s.Key == "" {
		return nil
	}
	return []string{"sign it by " + s.Key + " before it gets its tags"}
}

// signer reads the key once per Step; nil without one.
func (s *Step) signer(ctx context.Context) (*sign.Key, error) {
	if s.config.Sign.Key == "" {
		return nil, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.key != nil {
		return s.key, nil
	}
	key, err := sign.Open(ctx, s.config.Sign.Key, sign.Options{Dir: s.config.Dir, Getenv: s.deps.Getenv, AWS: s.deps.AWS, Secret: s.deps.Secret})
	if err == nil {
		s.key = key
	}
	return key, err
}

// signed is one layer of cosign's manifests: what is signed, and notes on it.
type signed struct {
	blob  memoryBlob
	notes map[string]string
}

// signAll signs the image and, as statements, the attachments.
func signAll(ctx context.Context, remote *repository, image manifest, list []Attachment, key *sign.Key) ([]artifact, error) {
	payload, err := sign.Payload(remote.repo.Name(), image.digest)
	if err != nil {
		return nil, err
	}
	own, err := remote.collect(ctx, nameSignature, typeSignature, image, func(l link, content []byte) bool {
		signature, err := base64.StdEncoding.DecodeString(l.Annotations[sign.AnnotationSignature])
		return err == nil && string(content) == string(payload) && key.Verify(payload, signature)
	}, func() (signed, error) {
		signature, err := key.Sign(ctx, payload)
		if err != nil {
			return signed{}, fmt.Errorf("sign the image: %w", err)
		}
		return signed{blobOf(sign.MediaTypePayload, payload), map[string]string{sign.AnnotationSignature: sign.Annotation(signature)}}, nil
	})
	if err != nil || len(list) == 0 {
		return own, err
	}
	statements, err := statementsOf(list, remote.repo.Name(), image)
	if err != nil {
		return nil, err
	}
	var makers []func() (signed, error)
	for i, statement := range statements {
		makers = append(makers, func() (signed, error) {
			envelope, err := key.Envelope(ctx, statement)
			if err != nil {
				return signed{}, fmt.Errorf("sign the %s: %w", list[i].Name, err)
			}
			return signed{blobOf(sign.MediaTypeEnvelope, envelope), map[string]string{sign.AnnotationSignature: "", "predicateType": list[i].Predicate}}, nil
		})
	}
	more, err := remote.collect(ctx, nameAttestations, typeAttestations, image, func(_ link, content []byte) bool {
		for i, statement := range statements {
			if makers[i] != nil && key.Holds(content, statement) {
				makers[i] = nil
				return true
			}
		}
		return false
	}, makers...)
	return append(own, more...), err
}

// statementsOf makes the statements that are signed: the attachment itself
// where it is one, else one with the attachment as its predicate.
func statementsOf(list []Attachment, name string, image manifest) ([][]byte, error) {
	type subject struct {
		Name   string            `json:"name"`
		Digest map[string]string `json:"digest"`
	}
	statements := make([][]byte, len(list))
	for i, a := range list {
		if a.Statement {
			statements[i] = a.Content
			continue
		}
		raw, err := json.Marshal(struct {
			Type          string          `json:"_type"`
			Subject       []subject       `json:"subject"`
			PredicateType string          `json:"predicateType"`
			Predicate     json.RawMessage `json:"predicate"`
		}{"https://in-toto.io/Statement/v1", []subject{{name, map[string]string{"sha256": image.digest[len("sha256:"):]}}}, a.Predicate, a.Content})
		if err != nil {
			return nil, fmt.Errorf("write the statement of the %s: %w", a.Name, err)
		}
		statements[i] = raw
	}
	return statements, nil
}

// maxSignatures bounds how many layers of a tag are looked into.
const maxSignatures = 100

// collect adds signatures to those that the tag holds already, which may be
// other people's. have tells that a layer there is as good as what a maker would make, and
// sets to nil those makers that are not needed.
func (r *repository) collect(ctx context.Context, what, kind string, image manifest, have func(l link, content []byte) bool, makers ...func() (signed, error)) ([]artifact, error) {
	tag, _ := cosignTag(what, image)
	there, ok, err := r.manifestOf(ctx, tag)
	if err != nil {
		return nil, fmt.Errorf("read the %s of the image: %w", what, err)
	}
	var m artifactManifest
	if ok {
		if err := json.Unmarshal(there.raw, &m); err != nil || m.MediaType != "" && m.MediaType != oci.MediaTypeManifest {
			return nil, fmt.Errorf("the tag %s holds something else than the %s of the image", tag, what)
		}
	}
	found := 0
	for _, l := range m.Layers[:min(len(m.Layers), maxSignatures)] {
		_, content, err := r.get(ctx, "blobs/"+l.Digest)
		if err == nil && have(l, content) {
			found++
		}
	}
	if found == len(makers) {
		return nil, nil
	}
	return r.extend(what, kind, image, m, makers)
}

// extend writes the manifest with what is new.
func (*repository) extend(what, kind string, image manifest, m artifactManifest, makers []func() (signed, error)) ([]artifact, error) {
	var blobs []memoryBlob
	for _, f := range makers {
		if f == nil {
			continue
		}
		s, err := f()
		if err != nil {
			return nil, err
		}
		blobs = append(blobs, s.blob)
		m.Layers = append(m.Layers, linkTo(s.blob, s.notes))
	}
	config, err := signatureConfig(m.Layers)
	if err != nil {
		return nil, err
	}
	to := image.link()
	m.ArtifactType, m.Config, m.Subject = kind, linkTo(config, nil), &to
	a, err := newArtifact(what, m, append(blobs, config)...)
	return []artifact{a}, err
}

// signatureConfig is the image configuration that cosign's manifests have: its
// layers are no file systems, and their diff IDs their digests.
func signatureConfig(layers []link) (memoryBlob, error) {
	type rootFS struct {
		Type    string   `json:"type"`
		DiffIDs []string `json:"diff_ids"`
	}
	c := struct {
		Architecture string   `json:"architecture"`
		OS           string   `json:"os"`
		Config       struct{} `json:"config"`
		RootFS       rootFS   `json:"rootfs"`
	}{RootFS: rootFS{Type: "layers"}}
	for _, l := range layers {
		c.RootFS.DiffIDs = append(c.RootFS.DiffIDs, l.Digest)
	}
	raw, err := json.Marshal(c)
	return blobOf(oci.MediaTypeConfig, raw), err
}

// signatures brings the tags under which cosign looks for what it signed.
func (k *copying) signatures(ctx context.Context, image manifest) error {
	for _, name := range []string{nameSignature, nameAttestations} {
		tag, _ := cosignTag(name, image)
		m, found, err := k.from.manifestOf(ctx, tag)
		if err != nil {
			return err
		}
		if !found {
			continue
		}
		if err := k.blobs(ctx, m); err != nil {
			return err
		}
		if err := k.to.tag(ctx, m, tag); err != nil {
			return err
		}
	}
	return nil
}
