// Package cache is fastship's memory: bytes named by their sha256
// (BlobStore) and finished work named by its inputs (ActionStore). Nothing
// else in fastship keeps anything between runs.
package cache

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
)

// Digest names bytes by content, in OCI's form: "sha256:" and 64 lower-case
// hexadecimal digits.
type Digest string

const digestPrefix = "sha256:"

// Sum returns the digest of b.
func Sum(b []byte) Digest {
	h := sha256.Sum256(b)
	return FromSum(h[:])
}

// FromSum names a finished sha256 sum of 32 bytes.
func FromSum(sum []byte) Digest { return Digest(digestPrefix + hex.EncodeToString(sum)) }

// ParseDigest checks that s is a sha256 digest in OCI's form.
func ParseDigest(s string) (Digest, error) {
	h, ok := strings.CutPrefix(s, digestPrefix)
	if !ok || len(h) != 2*sha256.Size || strings.ToLower(h) != h {
		return "", fmt.Errorf("digest %q: want sha256: and 64 lower-case hexadecimal digits", s)
	}
	if _, err := hex.DecodeString(h); err != nil {
		return "", fmt.Errorf("digest %q: %w", s, err)
	}
	return Digest(s), nil
}

// Hex returns the 64 digits alone, the blob's file name in an OCI layout.
func (d Digest) Hex() string { return strings.TrimPrefix(string(d), digestPrefix) }

// Descriptor points at a blob: OCI's descriptor, with the name that the blob
// has for its user (a file's path, a layer's role).
type Descriptor struct {
	Name      string `json:"name,omitempty"`
	MediaType string `json:"mediaType,omitempty"`
	Digest    Digest `json:"digest"`
	Size      int64  `json:"size"` // bytes
}
