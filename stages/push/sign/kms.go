package sign

import (
	"context"
	"crypto/ecdsa"
	"crypto/x509"
	"fmt"
	"regexp"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

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
	client := kms.NewFromConfig(cfg, func(o *kms.Options) {
		if m[1] != "" {
			o.BaseEndpoint = aws.String("https://" + m[1])
		}
	})
	id := m[2]
	out, err := client.GetPublicKey(ctx, &kms.GetPublicKeyInput{KeyId: &id})
	if err != nil {
		return nil, fault.As(fault.Missing, fmt.Errorf("image.sign.key: read %s: %w", reference, awsconf.Explain(cfg, err)))
	}
	if out.KeyUsage != types.KeyUsageTypeSignVerify {
		return nil, fault.New(fault.BadInput, "name a key whose usage is SIGN_VERIFY", "image.sign.key: %s is a key to %s", reference, strings.ToLower(string(out.KeyUsage)))
	}
	public, err := x509.ParsePKIXPublicKey(out.PublicKey)
	if err == nil {
		err = fits(public)
	}
	if err != nil {
		return nil, fault.As(fault.BadInput, fmt.Errorf("image.sign.key: %s: %w", reference, err))
	}
	algorithm := types.SigningAlgorithmSpecRsassaPkcs1V15Sha256
	if _, ok := public.(*ecdsa.PublicKey); ok {
		algorithm = types.SigningAlgorithmSpecEcdsaSha256
	}
	return &Key{public: public, sign: func(ctx context.Context, digest []byte) ([]byte, error) {
		out, err := client.Sign(ctx, &kms.SignInput{KeyId: &id, Message: digest, MessageType: types.MessageTypeDigest, SigningAlgorithm: algorithm})
		if err != nil {
			return nil, fmt.Errorf("sign by %s: %w", reference, awsconf.Explain(cfg, err))
		}
		return out.Signature, nil
	}}, nil
}
