package sign

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"golang.org/x/crypto/nacl/secretbox"
	"golang.org/x/crypto/scrypt"

	"github.com/fastship/fastship/internal/awsconf"
	"github.com/fastship/fastship/internal/fault"
)

func pkcs8(t testing.TB, key any) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func p256(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func rsaKey(t testing.TB) *rsa.PrivateKey {
	t.Helper()
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func asPEM(kind string, b []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: b}))
}

// seal encrypts a key as cosign does, with cheap parameters.
func seal(t testing.TB, der []byte, password string, change func(*sealed)) string {
	t.Helper()
	var s sealed
	s.KDF.Name, s.Cipher.Name = "scrypt", "nacl/secretbox"
	s.KDF.Params.N, s.KDF.Params.R, s.KDF.Params.P = 16, 8, 1
	s.KDF.Salt, s.Cipher.Nonce = []byte("salt"), make([]byte, 24)
	derived, err := scrypt.Key([]byte(password), s.KDF.Salt, 16, 8, 1, 32)
	if err != nil {
		t.Fatal(err)
	}
	s.Ciphertext = secretbox.Seal(nil, der, (*[24]byte)(s.Cipher.Nonce), (*[32]byte)(derived))
	if change != nil {
		change(&s)
	}
	raw, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	return asPEM("ENCRYPTED SIGSTORE PRIVATE KEY", raw)
}

func env(pairs ...string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		for i := 0; i < len(pairs); i += 2 {
			if pairs[i] == name {
				return pairs[i+1], true
			}
		}
		return "", false
	}
}

func TestKeys(t *testing.T) {
	ec, der := p256(t), []byte(nil)
	der = pkcs8(t, ec)
	sec1, err := x509.MarshalECPrivateKey(ec)
	if err != nil {
		t.Fatal(err)
	}
	ids := map[string]bool{}
	for name, text := range map[string]string{
		"plain": asPEM("PRIVATE KEY", der), "SEC 1": asPEM("EC PRIVATE KEY", sec1), "sealed": seal(t, der, "word", nil),
		"old": strings.ReplaceAll(seal(t, der, "word", nil), "SIGSTORE", "COSIGN"), "RSA": asPEM("PRIVATE KEY", pkcs8(t, rsaKey(t))),
	} {
		var secrets []string
		k, err := Open(t.Context(), "env://KEY", Options{Getenv: env("KEY", text, "COSIGN_PASSWORD", "word"), Secret: func(v ...string) { secrets = append(secrets, v...) }})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		one, err := k.Sign(t.Context(), []byte("message"))
		if err != nil || !k.Verify([]byte("message"), one) || k.Verify([]byte("another"), one) || k.Verify([]byte("message"), nil) {
			t.Errorf("%s: %v", name, err)
		}
		two, err := k.Sign(t.Context(), []byte("message"))
		if err != nil || string(one) != string(two) {
			t.Errorf("%s: signed twice, it is signed otherwise: %v", name, err)
		}
		if (name == "sealed" || name == "old") != (len(secrets) == 1) {
			t.Errorf("%s: told the secrets %q", name, secrets)
		}
		ids[k.ID()] = true
	}
	if len(ids) != 2 {
		t.Errorf("two keys have the names %v", ids)
	}
}

func TestKeysThatWillNotDo(t *testing.T) {
	der := pkcs8(t, p256(t))
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	write := func(name, text string) string {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	for name, c := range map[string]struct {
		reference string
		env       []string
		class     fault.Class
		want      string
	}{
		"absent":      {"none.key", nil, fault.Missing, "none.key"},
		"folder":      {".", nil, fault.BadInput, "no key file"},
		"variable":    {"env://NOPE", nil, fault.Missing, "NOPE is not set"},
		"scheme":      {"gcpkms://x", nil, fault.BadInput, "gcpkms:// are not known"},
		"text":        {write("text", "hello"), nil, fault.BadInput, "PEM"},
		"public":      {write("pub", asPEM("PUBLIC KEY", der)), nil, fault.BadInput, "public key"},
		"other":       {write("other", asPEM("OPENSSH PRIVATE KEY", der)), nil, fault.BadInput, "OPENSSH"},
		"damaged":     {write("damaged", asPEM("PRIVATE KEY", der[1:])), nil, fault.BadInput, "damaged"},
		"P-384":       {write("p384", asPEM("PRIVATE KEY", pkcs8(t, p384))), nil, fault.BadInput, "P-384"},
		"Ed25519":     {write("ed", asPEM("PRIVATE KEY", pkcs8(t, ed))), nil, fault.BadInput, "another kind"},
		"no password": {write("sealed", seal(t, der, "word", nil)), nil, fault.Missing, "encrypted"},
		"wrong":       {"sealed", []string{"COSIGN_PASSWORD", "other"}, fault.Missing, "not the key's password"},
		"greedy":      {write("greedy", seal(t, der, "word", func(s *sealed) { s.KDF.Params.N = 1 << 30 })), []string{"COSIGN_PASSWORD", "word"}, fault.BadInput, "out of bounds"},
		"nonce":       {write("nonce", seal(t, der, "word", func(s *sealed) { s.Cipher.Nonce = nil })), nil, fault.BadInput, "nonce"},
		"KDF":         {write("kdf", seal(t, der, "word", func(s *sealed) { s.KDF.Name = "argon2" })), nil, fault.BadInput, "argon2"},
		"KMS":         {"awskms:///what ever", nil, fault.BadInput, "names no key"},
	} {
		_, err := Open(t.Context(), c.reference, Options{Dir: dir, Getenv: env(c.env...)})
		if fault.ClassOf(err) != c.class || !strings.Contains(err.Error(), c.want) || fault.HintOf(err) == "" {
			t.Errorf("%s: class %d, %v (%s)", name, fault.ClassOf(err), err, fault.HintOf(err))
		}
	}
}

// fakeKMS answers as KMS does for one key.
func fakeKMS(t *testing.T, usage string, key crypto.Signer, garble bool) (Options, *[]string) {
	t.Helper()
	var calls []string
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var in struct {
			KeyId, Message, MessageType, SigningAlgorithm string
		}
		body, _ := io.ReadAll(r.Body)
		if err := json.Unmarshal(body, &in); err != nil {
			t.Error(err)
		}
		target := r.Header.Get("X-Amz-Target")
		calls = append(calls, target+" "+in.KeyId+" "+in.SigningAlgorithm)
		w.Header().Set("Content-Type", "application/x-amz-json-1.1")
		if key == nil {
			w.WriteHeader(400)
			io.WriteString(w, `{"__type":"NotFoundException","message":"Alias arn:aws:kms:eu-central-1:1:alias/x is not found."}`)
			return
		}
		answer := map[string]any{"KeyId": in.KeyId}
		switch target {
		case "TrentService.GetPublicKey":
			der, err := x509.MarshalPKIXPublicKey(key.Public())
			if err != nil {
				t.Error(err)
			}
			answer["PublicKey"], answer["KeyUsage"] = der, usage
		case "TrentService.Sign":
			digest, err := base64.StdEncoding.DecodeString(in.Message)
			if err != nil || len(digest) != 32 || in.MessageType != "DIGEST" {
				t.Errorf("%+v", in)
			}
			if garble {
				digest[0]++
			}
			if answer["Signature"], err = key.Sign(rand.Reader, digest, crypto.SHA256); err != nil {
				t.Error(err)
			}
		}
		_ = json.NewEncoder(w).Encode(answer)
	}))
	t.Cleanup(s.Close)
	return Options{AWS: func(_ context.Context, region string) (aws.Config, error) { return awsconf.Local(s.URL, region), nil }}, &calls
}

func TestKMS(t *testing.T) {
	for algorithm, key := range map[string]crypto.Signer{"ECDSA_SHA_256": p256(t), "RSASSA_PKCS1_V1_5_SHA_256": rsaKey(t)} {
		o, calls := fakeKMS(t, "SIGN_VERIFY", key, false)
		k, err := Open(t.Context(), "awskms:///alias/images/prod", o)
		if err != nil {
			t.Fatal(err)
		}
		signature, err := k.Sign(t.Context(), []byte("message"))
		if err != nil || !k.Verify([]byte("message"), signature) {
			t.Error(err)
		}
		if got := strings.Join(*calls, ", "); got != "TrentService.GetPublicKey alias/images/prod , TrentService.Sign alias/images/prod "+algorithm {
			t.Error(got)
		}
	}
	o, _ := fakeKMS(t, "SIGN_VERIFY", p256(t), true)
	k, err := Open(t.Context(), "awskms:///arn:aws:kms:eu-central-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab", o)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := k.Sign(t.Context(), []byte("message")); err == nil {
		t.Error("a signature that does not fit passes")
	}
	o, _ = fakeKMS(t, "ENCRYPT_DECRYPT", rsaKey(t), false)
	if _, err := Open(t.Context(), "awskms:///alias/x", o); fault.ClassOf(err) != fault.BadInput || !strings.Contains(err.Error(), "encrypt_decrypt") {
		t.Errorf("%v", err)
	}
	o, _ = fakeKMS(t, "", nil, false)
	if _, err := Open(t.Context(), "awskms:///alias/x", o); fault.ClassOf(err) != fault.Missing || !strings.Contains(err.Error(), "alias/x") {
		t.Errorf("%v", err)
	}
}

func TestEnvelope(t *testing.T) {
	k, err := newKey(p256(t))
	if err != nil {
		t.Fatal(err)
	}
	other, err := newKey(p256(t))
	if err != nil {
		t.Fatal(err)
	}
	statement := []byte(`{"a":1}`)
	raw, err := k.Envelope(t.Context(), statement)
	if err != nil || !k.Holds(raw, statement) || k.Holds(raw, []byte("{}")) || other.Holds(raw, statement) || k.Holds([]byte("x"), statement) {
		t.Errorf("%s, %v", raw, err)
	}
	if got := string(encoded([]byte("hello world"))); got != "DSSEv1 28 application/vnd.in-toto+json 11 hello world" {
		t.Error(got)
	}
	payload, err := Payload("example.com/orders", "sha256:ab")
	if err != nil || string(payload) != `{"critical":{"identity":{"docker-reference":"example.com/orders"},"image":{"docker-manifest-digest":"sha256:ab"},"type":"cosign container image signature"},"optional":null}` {
		t.Errorf("%s, %v", payload, err)
	}
}

func FuzzKeyFile(f *testing.F) {
	f.Add([]byte(asPEM("PRIVATE KEY", []byte("x"))))
	f.Add([]byte(asPEM("ENCRYPTED COSIGN PRIVATE KEY", []byte(`{"kdf":{"name":"scrypt","params":{"N":16,"r":8,"p":1}},"cipher":{"name":"nacl/secretbox","nonce":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}}`))))
	f.Fuzz(func(t *testing.T, text []byte) {
		if _, err := parse(text, func() (string, bool) { return "", true }); err == nil {
			t.Skip("a key")
		}
	})
}
