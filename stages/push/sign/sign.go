// Package sign signs what is said about images, with a key that cosign can
// verify by: a file that `cosign generate-key-pair` made, a plain PKCS #8 file,
// or a key in AWS KMS.
package sign

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/fastship/fastship/internal/fault"
)

// Key signs. It may be used from several goroutines.
type Key struct {
	public crypto.PublicKey
	sign   func(ctx context.Context, digest []byte) ([]byte, error)
}

// Options is what a key may be read with.
type Options struct {
	// Dir is the folder that a relative file name is meant in.
	Dir string
	// Getenv finds COSIGN_PASSWORD, and the variable that env://NAME names.
	Getenv func(name string) (string, bool)
	// AWS loads the configuration for KMS; region is empty where the key does
	// not name one.
	AWS func(ctx context.Context, region string) (aws.Config, error)
	// Secret is told what must be masked; nil tells nobody.
	Secret func(values ...string)
}

// PasswordVariable is where cosign, too, looks for a key file's password.
const PasswordVariable = "COSIGN_PASSWORD"

const (
	kmsScheme = "awskms://"
	envScheme = "env://"
)

// Open reads the key that image.sign.key names: FILE, env://NAME or
// awskms:///KEY. It reads only. Errors are of class fault.BadInput or
// fault.Missing.
func Open(ctx context.Context, reference string, o Options) (*Key, error) {
	if strings.HasPrefix(reference, kmsScheme) {
		return openKMS(ctx, reference, o)
	}
	text, err := read(reference, o)
	if err != nil {
		return nil, err
	}
	k, err := parse(text, func() (string, bool) {
		password, ok := o.getenv(PasswordVariable)
		if o.Secret != nil && password != "" {
			o.Secret(password)
		}
		return password, ok
	})
	if err != nil {
		return nil, fmt.Errorf("image.sign.key: %s: %w", reference, err)
	}
	return k, nil
}

func (o Options) getenv(name string) (string, bool) {
	if o.Getenv == nil {
		return "", false
	}
	return o.Getenv(name)
}

// maxKey bounds a key file in bytes.
const maxKey = 64 << 10

func read(reference string, o Options) ([]byte, error) {
	if name, ok := strings.CutPrefix(reference, envScheme); ok {
		text, ok := o.getenv(name)
		if !ok || text == "" {
			return nil, fault.New(fault.Missing, "set "+name+" to the text of the key file", "image.sign.key: the variable %s is not set", name)
		}
		return []byte(text), nil
	}
	if scheme, _, ok := strings.Cut(reference, "://"); ok {
		return nil, fault.New(fault.BadInput, "write a file, env://NAME or awskms:///KEY", "image.sign.key: keys of %s:// are not known", scheme)
	}
	if !filepath.IsAbs(reference) {
		reference = filepath.Join(o.Dir, reference)
	}
	info, err := os.Stat(reference)
	if err == nil && (!info.Mode().IsRegular() || info.Size() > maxKey) {
		return nil, fault.New(fault.BadInput, "name the file that cosign generate-key-pair made", "image.sign.key: %s is no key file", reference)
	}
	text, err := os.ReadFile(reference)
	if err != nil {
		return nil, fault.New(fault.Missing, "make one: cosign generate-key-pair, or name another", "image.sign.key: %w", err)
	}
	return text, nil
}

// parse reads a PEM file's first key.
func parse(text []byte, password func() (string, bool)) (*Key, error) {
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, fault.New(fault.BadInput, "name the file that cosign generate-key-pair made", "it is not in PEM form")
	}
	der := block.Bytes
	var private any
	var err error
	switch block.Type {
	case "ENCRYPTED SIGSTORE PRIVATE KEY", "ENCRYPTED COSIGN PRIVATE KEY":
		if der, err = decrypt(block.Bytes, password); err != nil {
			return nil, err
		}
		private, err = x509.ParsePKCS8PrivateKey(der)
	case "PRIVATE KEY":
		private, err = x509.ParsePKCS8PrivateKey(der)
	case "EC PRIVATE KEY":
		private, err = x509.ParseECPrivateKey(der)
	case "PUBLIC KEY":
		return nil, fault.New(fault.BadInput, "name the private key: cosign.key", "it is a public key")
	default:
		return nil, fault.New(fault.BadInput, "convert it: cosign import-key-pair --key FILE, or openssl pkcs8 -topk8 -nocrypt", "it holds a %s, which is not known", block.Type)
	}
	if err != nil {
		return nil, fault.New(fault.BadInput, "make it again", "the key is damaged: %w", err)
	}
	return newKey(private)
}

func newKey(private any) (*Key, error) {
	switch k := private.(type) {
	case *ecdsa.PrivateKey:
		if err := fits(&k.PublicKey); err != nil {
			return nil, err
		}
		return &Key{public: &k.PublicKey, sign: func(_ context.Context, digest []byte) ([]byte, error) {
			// Without a source of randomness the signature is RFC 6979's: what
			// is signed twice is signed the same.
			return k.Sign(nil, digest, crypto.SHA256)
		}}, nil
	case *rsa.PrivateKey:
		if err := fits(&k.PublicKey); err != nil {
			return nil, err
		}
		return &Key{public: &k.PublicKey, sign: func(_ context.Context, digest []byte) ([]byte, error) {
			return rsa.SignPKCS1v15(nil, k, crypto.SHA256, digest)
		}}, nil
	}
	return nil, fits(nil)
}

// fits tells whether cosign verifies by such a key with SHA-256, its default.
func fits(public crypto.PublicKey) error {
	const hint = "use an ECDSA P-256 or RSA key: cosign generate-key-pair"
	switch k := public.(type) {
	case *ecdsa.PublicKey:
		if k.Curve == elliptic.P256() {
			return nil
		}
		return fault.New(fault.BadInput, hint, "it is an ECDSA key on %s", k.Curve.Params().Name)
	case *rsa.PublicKey:
		if k.Size() >= 2048/8 {
			return nil
		}
		return fault.New(fault.BadInput, hint, "it is an RSA key of %d bits", k.Size()*8)
	}
	return fault.New(fault.BadInput, hint, "it is a key of another kind")
}

// Sign signs a message: ECDSA in ASN.1 form, or RSA PKCS #1 v1.5, over its
// SHA-256.
func (k *Key) Sign(ctx context.Context, message []byte) ([]byte, error) {
	sum := sha256.Sum256(message)
	signature, err := k.sign(ctx, sum[:])
	if err != nil {
		return nil, err
	}
	// A key store that answers with another key's signature, or a mangled one,
	// must not go unseen until somebody verifies.
	if !k.Verify(message, signature) {
		return nil, errors.New("the signature does not fit the key")
	}
	return signature, nil
}

// Verify tells whether a signature is this key's.
func (k *Key) Verify(message, signature []byte) bool {
	sum := sha256.Sum256(message)
	switch public := k.public.(type) {
	case *ecdsa.PublicKey:
		return ecdsa.VerifyASN1(public, sum[:], signature)
	case *rsa.PublicKey:
		return rsa.VerifyPKCS1v15(public, crypto.SHA256, sum[:], signature) == nil
	}
	return false
}

// ID names the key: the SHA-256 of its public half (SubjectPublicKeyInfo), in
// hexadecimal.
func (k *Key) ID() string {
	der, err := x509.MarshalPKIXPublicKey(k.public)
	if err != nil {
		return "" // not of a key that fits
	}
	sum := sha256.Sum256(der)
	return hex.EncodeToString(sum[:])
}
