package sign

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
)

// Media types and artifact types of cosign (sigstore/cosign, specs/).
const (
	MediaTypePayload  = "application/vnd.dev.cosign.simplesigning.v1+json"
	MediaTypeEnvelope = "application/vnd.dsse.envelope.v1+json"
	// AnnotationSignature holds the signature of a payload, in base64.
	AnnotationSignature = "dev.cosignproject.cosign/signature"
)

const payloadType = "application/vnd.in-toto+json"

// Payload is what a signature of an image signs: Red Hat's “simple signing”,
// as cosign writes it.
func Payload(repository, digest string) ([]byte, error) {
	type identity struct {
		Reference string `json:"docker-reference"`
	}
	type image struct {
		Digest string `json:"docker-manifest-digest"`
	}
	type critical struct {
		Identity identity `json:"identity"`
		Image    image    `json:"image"`
		Type     string   `json:"type"`
	}
	return json.Marshal(struct {
		Critical critical `json:"critical"`
		Optional any      `json:"optional"`
	}{critical{identity{repository}, image{digest}, "cosign container image signature"}, nil})
}

type envelope struct {
	PayloadType string              `json:"payloadType"`
	Payload     []byte              `json:"payload"`
	Signatures  []envelopeSignature `json:"signatures"`
}

type envelopeSignature struct {
	KeyID string `json:"keyid"`
	Sig   []byte `json:"sig"`
}

// Envelope signs an in-toto statement (DSSE, secure-systems-lab/dsse).
func (k *Key) Envelope(ctx context.Context, statement []byte) ([]byte, error) {
	signature, err := k.Sign(ctx, encoded(statement))
	if err != nil {
		return nil, err
	}
	return json.Marshal(envelope{payloadType, statement, []envelopeSignature{{Sig: signature}}})
}

// Holds tells whether an envelope is this key's over the statement.
func (k *Key) Holds(raw, statement []byte) bool {
	var e envelope
	if json.Unmarshal(raw, &e) != nil || e.PayloadType != payloadType || string(e.Payload) != string(statement) {
		return false
	}
	for _, s := range e.Signatures {
		if k.Verify(encoded(statement), s.Sig) {
			return true
		}
	}
	return false
}

// encoded is DSSE's pre-authentication encoding.
func encoded(statement []byte) []byte {
	return fmt.Appendf(nil, "DSSEv1 %d %s %d %s", len(payloadType), payloadType, len(statement), statement)
}

// Annotation is a signature as an annotation has it.
func Annotation(signature []byte) string { return base64.StdEncoding.EncodeToString(signature) }
