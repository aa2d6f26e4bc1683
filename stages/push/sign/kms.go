package sign

import (
	"context"
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/fastship/fastship/internal/awsconf"
	"github.com/fastship/fastship/internal/fault"
)

// kmsKey is cosign's form: awskms://[HOST]/KEY, where KEY is an id, an ARN,
// alias/NAME or an alias' ARN.
var kmsKey = regexp.MustCompile(`^awskms://([^/]*)/((?:arn:[a-z-]+:kms:([a-z0-9-]+):\d{12}:)?(?:(?:key/)?[0-9a-f-]{36}|(?:key/)?mrk-[0-9a-f]{32}|alias/[A-Za-z0-9/_-]+))$`)

// openKMS reads the public half, which tells whether the key is there, is for
// signing, and may be used.
func openKMS(ctx context.Context, reference string, o Options) (*Key, error) {
	m := kmsKey.FindStringSubmatch(reference)
	if m == nil {
		return nil, fault.New(fault.BadInput, "write awskms:///alias/NAME, awskms:///KEY-ID or awskms:///ARN", "image.sign.key: %s names no key in AWS KMS", reference)
	}
	load := o.AWS
	if load == nil {
		load = func(ctx context.Context, region string) (aws.Config, error) {
			return awsconf.Load(ctx, awsconf.Options{Region: region})
		}
	}
	cfg, err := load(ctx, m[3])
	if err != nil {
		return nil, err
	}
	if m[1] != "" {
		cfg = cfg.Copy()
		cfg.ConfigSources, cfg.BaseEndpoint = nil, aws.String("https://"+m[1])
	}
	service := awsconf.Service{ID: "KMS", Host: "kms", Target: "TrentService."}
	call := func(ctx context.Context, op string, in map[string]any, out any) error {
		in["KeyId"] = m[2]
		answer, err := service.Post(ctx, cfg, op, in)
		if err != nil {
			return awsconf.Explain(cfg, err)
		}
		return json.Unmarshal(answer, out)
	}
	var key struct {
		KeyUsage  string
		PublicKey []byte // in DER
	}
	if err := call(ctx, "GetPublicKey", map[string]any{}, &key); err != nil {
		return nil, fault.As(fault.Missing, fmt.Errorf("image.sign.key: read %s: %w", reference, err))
	}
	if key.KeyUsage != "SIGN_VERIFY" {
		return nil, fault.New(fault.BadInput, "name a key whose usage is SIGN_VERIFY", "image.sign.key: %s is a key to %s", reference, strings.ToLower(key.KeyUsage))
	}
	public, err := x509.ParsePKIXPublicKey(key.PublicKey)
	if err == nil {
		err = fits(public)
	}
	if err != nil {
		return nil, fault.As(fault.BadInput, fmt.Errorf("image.sign.key: %s: %w", reference, err))
	}
	algorithm := "RSASSA_PKCS1_V1_5_SHA_256"
	if _, ok := public.(*ecdsa.PublicKey); ok {
		algorithm = "ECDSA_SHA_256"
	}
	return &Key{public: public, sign: func(ctx context.Context, digest []byte) ([]byte, error) {
		var signed struct{ Signature []byte }
		if err := call(ctx, "Sign", map[string]any{"Message": digest, "MessageType": "DIGEST", "SigningAlgorithm": algorithm}, &signed); err != nil {
			return nil, fmt.Errorf("sign by %s: %w", reference, err)
		}
		return signed.Signature, nil
	}}, nil
}
