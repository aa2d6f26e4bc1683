package s3

import (
	"cmp"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/fastship/fastship/internal/fault"
	"github.com/fastship/fastship/internal/near"
	"github.com/minio/minio-go/v7/pkg/encrypt"
	"github.com/minio/minio-go/v7/pkg/s3utils"
)

// Config says where a store is. Bucket and Scope are required.
type Config struct {
	Bucket    string
	Prefix    string // before "v1/", without slashes at its ends
	Region    string // empty: the AWS configuration's, else the bucket's own
	Endpoint  string // URL; empty: AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL, then AWS
	PathStyle bool   // the bucket in the path, not in the host's name
	SSE       string // "", "AES256" or "aws:kms"
	KMSKey    string // for aws:kms; empty: the bucket's key
	Profile   string // empty: AWS_PROFILE
	Scope     string // "trusted" or "untrusted/NAME"

	// Credentials replace those of the AWS SDK's chain.
	Credentials aws.CredentialsProvider
	// Transport replaces the one with proxies and AWS_CA_BUNDLE.
	Transport http.RoundTripper
	// RequestTimeout is how long an attempt at a request may pass no byte
	// either way; a sent body's answer may take twice as long. 0 means 4 s.
	RequestTimeout time.Duration
	// Budget is the time that a run may lose to attempts that fail before the
	// bucket is left alone: see cache.ErrAway. 0 means 5 s.
	Budget time.Duration
	// Concurrency is how many connections are kept. 0 means 32.
	Concurrency int
}

const (
	defaultRegion      = "us-east-1" // of a server that has no regions
	defaultTimeout     = 4 * time.Second
	defaultBudget      = 5 * time.Second
	defaultConcurrency = 32
	attempts           = 4 // of one request
)

const (
	sseS3  = "AES256"
	sseKMS = "aws:kms"
)

// ParseURL reads the value of cache.store,
//
//	s3://BUCKET/PREFIX?region=…&endpoint=…&path-style=true&sse=…&kms-key=…&profile=…
//
// all but BUCKET optional. Errors are fault.BadInput; the caller names the key
// that they are about.
func ParseURL(s string) (Config, error) {
	bad := func(hint, format string, args ...any) (Config, error) {
		return Config{}, fault.New(fault.BadInput, hint, format, args...)
	}
	const form = "write it as s3://BUCKET/PREFIX"
	u, err := url.Parse(s)
	if err != nil {
		return bad(form, "%w", err)
	}
	if u.Scheme != "s3" || u.Host == "" || u.User != nil || u.Fragment != "" || u.Port() != "" {
		return bad(form, "%s is not an s3 URL with a bucket alone", u.Redacted())
	}
	c := Config{Bucket: u.Host, Prefix: strings.Trim(u.Path, "/")}
	values, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return bad("separate parameters by & and escape their values", "%s: %w", s, err)
	}
	known := []string{"endpoint", "kms-key", "path-style", "profile", "region", "sse"}
	fields := []*string{&c.Endpoint, &c.KMSKey, new(string), &c.Profile, &c.Region, &c.SSE}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		i := slices.Index(known, name)
		switch value := values[name]; {
		case i < 0:
			hint := "use " + strings.Join(known, ", ")
			if close := near.Names(name, known, 1); len(close) > 0 {
				hint = "did you mean " + close[0] + "?"
			}
			return bad(hint, "%s: unknown parameter %q", s, name)
		case len(value) != 1:
			return bad("give it once", "%s: %s is given %d times", s, name, len(value))
		case value[0] == "":
			return bad("give it a value or leave it out", "%s: %s is empty", s, name)
		default:
			*fields[i] = value[0]
		}
	}
	if style := *fields[2]; style != "" {
		if c.PathStyle, err = strconv.ParseBool(style); err != nil {
			return bad("write path-style=true or path-style=false", "%s: path-style is %q", s, style)
		}
	}
	return c, c.checkPlace()
}

func (c Config) check() error {
	if err := checkScope(c.Bucket, c.Scope); err != nil {
		return err
	}
	return c.checkPlace()
}

func checkScope(bucket, scope string) error {
	if !scopeForm.MatchString(scope) || slices.Contains([]string{"untrusted/.", "untrusted/.."}, scope) {
		return fault.New(fault.BadInput, "use trusted, or untrusted/NAME with letters, digits and ._- in NAME", "open the cache in bucket %s: scope %q", bucket, scope)
	}
	return nil
}

func (c Config) checkPlace() error {
	switch {
	case c.Bucket == "":
		return fault.New(fault.BadInput, "write it as s3://BUCKET/PREFIX", "no bucket is named")
	case s3utils.CheckValidBucketName(c.Bucket) != nil:
		return fault.New(fault.BadInput, "use 3 to 63 letters, digits, dots and hyphens", "bucket %s: %w", c.Bucket, s3utils.CheckValidBucketName(c.Bucket))
	case c.SSE != "" && c.SSE != sseS3 && c.SSE != sseKMS:
		return fault.New(fault.BadInput, "use AES256 or aws:kms", "unknown encryption sse=%s", c.SSE)
	case c.KMSKey != "" && c.SSE != sseKMS:
		return fault.New(fault.BadInput, "add sse=aws:kms", "kms-key without sse=aws:kms")
	}
	_, _, err := c.address()
	return err
}

// address is the host and whether it is spoken to by TLS.
func (c Config) address() (host string, secure bool, err error) {
	if c.Endpoint == "" {
		domain := "amazonaws.com"
		if strings.HasPrefix(c.Region, "cn-") {
			domain += ".cn"
		}
		return "s3." + cmp.Or(c.Region, defaultRegion) + "." + domain, true, nil
	}
	u, err := url.Parse(c.Endpoint)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") || strings.Trim(u.Path, "/") != "" || u.User != nil {
		return "", false, fault.New(fault.BadInput, "write it as https://HOST or http://HOST:PORT", "endpoint %s is no URL of a host", c.Endpoint)
	}
	return u.Host, u.Scheme == "https", nil
}

func (c Config) encryption() (encrypt.ServerSide, error) {
	switch c.SSE {
	case sseS3:
		return encrypt.NewSSE(), nil
	case sseKMS:
		sse, err := encrypt.NewSSEKMS(c.KMSKey, nil)
		if err != nil {
			return nil, fmt.Errorf("open the cache in bucket %s: %w", c.Bucket, err)
		}
		return sse, nil
	}
	return nil, nil
}
