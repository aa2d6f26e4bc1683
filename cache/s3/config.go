package s3

import (
	"cmp"
	"fmt"
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
)

// Config says where a store is. Bucket and Scope are required.
type Config struct {
	Bucket    string
	Prefix    string // before "v1/", without slashes at its ends
	Region    string // empty: the AWS configuration's
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
	// RequestTimeout is how long a request may pass no byte either way. 0
	// means 30 s.
	RequestTimeout time.Duration
	// Concurrency is how many connections are kept. 0 means 32.
	Concurrency int
}

const (
	defaultRegion      = "us-east-1" // of a server that has no regions
	defaultTimeout     = 30 * time.Second
	defaultConcurrency = 32
	attempts           = 4 // of one request
)

const (
	sseS3  = "AES256"
	sseKMS = "aws:kms"
)

// ParseURL reads s3://BUCKET/PREFIX?region=…&endpoint=…&pathStyle=true&sse=…&kmsKey=…&profile=….
// Errors are fault.BadInput.
func ParseURL(s string) (Config, error) {
	u, err := url.Parse(s)
	if err != nil {
		return Config{}, fault.New(fault.BadInput, "write it as s3://BUCKET/PREFIX", "read the cache's address: %w", err)
	}
	if u.Scheme != "s3" || u.Host == "" || u.User != nil || u.Fragment != "" || u.Port() != "" {
		return Config{}, fault.New(fault.BadInput, "write it as s3://BUCKET/PREFIX", "read the cache's address %q: not an s3 URL with a bucket alone", u.Redacted())
	}
	c := Config{Bucket: u.Host, Prefix: strings.Trim(u.Path, "/")}
	values, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return Config{}, fault.New(fault.BadInput, "separate parameters by & and escape their values", "read the cache's address %q: %w", s, err)
	}
	texts := map[string]*string{"region": &c.Region, "endpoint": &c.Endpoint, "sse": &c.SSE, "kmsKey": &c.KMSKey, "profile": &c.Profile}
	for name, value := range values {
		if len(value) != 1 {
			return Config{}, fault.New(fault.BadInput, "give it once", "read the cache's address %q: %s is given %d times", s, name, len(value))
		}
		switch field := texts[name]; {
		case field != nil:
			*field = value[0]
		case name == "pathStyle":
			if c.PathStyle, err = strconv.ParseBool(value[0]); err != nil {
				return Config{}, fault.New(fault.BadInput, "write pathStyle=true or pathStyle=false", "read the cache's address %q: pathStyle is %q", s, value[0])
			}
		default:
			return Config{}, unknownParameter(s, name)
		}
	}
	return c, c.checkPlace()
}

func unknownParameter(address, name string) error {
	known := []string{"endpoint", "kmsKey", "pathStyle", "profile", "region", "sse"}
	hint := "use " + strings.Join(known, ", ")
	if close := near.Names(name, known, 1); len(close) > 0 {
		hint = "did you mean " + close[0] + "?"
	}
	return fault.New(fault.BadInput, hint, "read the cache's address %q: unknown parameter %q", address, name)
}

func (c Config) check() error {
	if !scopeForm.MatchString(c.Scope) || slices.Contains([]string{"untrusted/.", "untrusted/.."}, c.Scope) {
		return fault.New(fault.BadInput, "use trusted, or untrusted/NAME with letters, digits and ._- in NAME", "open the cache in bucket %s: scope %q", c.Bucket, c.Scope)
	}
	return c.checkPlace()
}

func (c Config) checkPlace() error {
	switch {
	case c.Bucket == "":
		return fault.New(fault.BadInput, "write it as s3://BUCKET/PREFIX", "open the cache: no bucket is named")
	case c.SSE != "" && c.SSE != sseS3 && c.SSE != sseKMS:
		return fault.New(fault.BadInput, "use AES256 or aws:kms", "open the cache in bucket %s: unknown encryption %q", c.Bucket, c.SSE)
	case c.KMSKey != "" && c.SSE != sseKMS:
		return fault.New(fault.BadInput, "add sse=aws:kms", "open the cache in bucket %s: a KMS key without sse=aws:kms", c.Bucket)
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
		return "", false, fault.New(fault.BadInput, "write it as https://HOST or http://HOST:PORT", "open the cache in bucket %s: endpoint %q is no URL of a host", c.Bucket, c.Endpoint)
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
