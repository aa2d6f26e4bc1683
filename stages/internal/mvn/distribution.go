package mvn

import (
	"archive/zip"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/fastship/fastship/cache"
)

const (
	// pinnedSHA512 is that of apache-maven-3.9.16-bin.zip, as published beside
	// it on Maven Central and on downloads.apache.org.
	pinnedSHA512 = "ed41650d42485cfc243fad22158caf9cbb5dc408ce7a09ddb94dd42a019de929ca43065bfa450612cf12bf78b5cafa3884b96c090de326ff590448c933454af3"
	// maxDistribution bounds the download: the zip has 9 MB.
	maxDistribution = 64 << 20
)

// Distribution is Maven's own archive and where to take it from.
type Distribution struct {
	Version string
	SHA512  string // of the archive; empty: the one published beside it
	// URL is the archive's own, as a wrapper names it; empty means Maven
	// Central, or the mirror that the settings name for it.
	URL      string
	SHA256   string // of the archive, as a wrapper's distributionSha256Sum has it; may be empty
	User     string // for URL
	Password string
	HTTP     *http.Client
	Tell     func(done, total int64) // progress in bytes; total is 0 when unknown
}

// Of is the distribution that a launcher stands for.
func (l Launcher) Of(client *http.Client, tell func(done, total int64)) Distribution {
	return Distribution{Version: l.Version, SHA512: l.SHA512, URL: l.url, SHA256: l.sha256, User: l.user, Password: l.password, HTTP: client, Tell: tell}
}

func (d Distribution) key() cache.Key {
	key := cache.NewKey("maven-distribution", "1").Add("version", d.Version).Add("sha512", d.SHA512)
	if d.URL != "" {
		key = key.Add("url", redactURL(d.URL)).Add("sha256", d.SHA256)
	}
	return key.Key()
}

// Kept tells whether the cache holds the distribution. It writes nothing.
func (d Distribution) Kept(ctx context.Context, c *cache.Cache) bool {
	_, blobs, ok := cache.Lookup[struct{}](ctx, c, d.key())
	return ok && len(blobs) == 1
}

// Provide returns the path of the distribution's mvn: unpacked in the cache,
// after a download from the repository that s names where it is not there.
// release gives the folder back to the cache. A checksum that does not match
// keeps nothing and is an error.
func (d Distribution) Provide(ctx context.Context, c *cache.Cache, s Settings) (mvn string, release func(), err error) {
	_, blobs, _, err := cache.Do(ctx, c, d.key(), func(ctx context.Context) (struct{}, []cache.Descriptor, error) {
		blob, err := d.download(ctx, c, s)
		return struct{}{}, []cache.Descriptor{blob}, err
	})
	if err != nil {
		return "", nil, err
	}
	zipFile := blobs[0].Digest
	dir, release, err := c.Blobs.Expanded(ctx, zipFile, func(dir string) error {
		path, err := c.Blobs.Path(zipFile)
		if err != nil {
			return err
		}
		return unpack(path, dir)
	})
	if err != nil {
		return "", nil, fmt.Errorf("unpack Maven %s: %w", d.Version, err)
	}
	found, _ := filepath.Glob(filepath.Join(dir, "*", "bin", "mvn")) // the pattern is well-formed
	if len(found) != 1 {
		release()
		return "", nil, fmt.Errorf("unpack Maven %s: the archive has %d bin/mvn instead of one", d.Version, len(found))
	}
	return found[0], release, nil
}

// counter tells progress at every further megabyte.
type counter struct {
	tell              func(done, total int64)
	done, told, total int64
}

func (c *counter) Write(p []byte) (int, error) {
	c.done += int64(len(p))
	if c.tell != nil && c.done-c.told >= 1<<20 {
		c.told = c.done
		c.tell(c.done, max(c.total, c.done))
	}
	return len(p), nil
}

func (c *counter) end() {
	if c.tell != nil {
		c.tell(c.done, c.done)
	}
}

// client sends requests through the settings' active proxy; without one the
// given client's own rules (HTTPS_PROXY) hold.
func (s Settings) client(c *http.Client) *http.Client {
	for _, p := range s.Proxies {
		if p.Active == "false" || p.Host == "" {
			continue
		}
		proxy := &url.URL{Scheme: "http", Host: net.JoinHostPort(p.Host, orElse(p.Port, "8080"))}
		if p.Username != "" {
			proxy.User = url.UserPassword(p.Username, p.Password)
		}
		base, ok := c.Transport.(*http.Transport)
		if !ok {
			base = http.DefaultTransport.(*http.Transport)
		}
		transport := base.Clone()
		transport.Proxy = func(r *http.Request) (*url.URL, error) {
			if p.leavesOut(r.URL.Hostname()) {
				return nil, nil
			}
			return proxy, nil
		}
		through := *c
		through.Transport = transport
		return &through
	}
	return c
}

func orElse(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

// leavesOut tells whether nonProxyHosts names the host: patterns with a * at
// one end, as in Java's http.nonProxyHosts.
func (p Proxy) leavesOut(host string) bool {
	for pattern := range strings.SplitSeq(p.NonProxy, "|") {
		pattern = strings.TrimSpace(pattern)
		switch {
		case pattern == "":
		case pattern == host,
			strings.HasPrefix(pattern, "*") && strings.HasSuffix(host, pattern[1:]),
			strings.HasSuffix(pattern, "*") && strings.HasPrefix(host, pattern[:len(pattern)-1]):
			return true
		}
	}
	return false
}

func redactURL(s string) string {
	u, err := url.Parse(s)
	if err != nil {
		return "the mirror"
	}
	return u.Redacted()
}

// unpack writes a zip's files below dir. Names that lead elsewhere are errors:
// the checksum holds them out already, the check costs nothing.
func unpack(archive, dir string) error {
	z, err := zip.OpenReader(archive)
	if err != nil {
		return err
	}
	defer z.Close()
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	for _, f := range z.File {
		if err := unpackFile(root, f); err != nil {
			return err
		}
	}
	return nil
}

func unpackFile(root *os.Root, f *zip.File) error {
	if f.Mode().IsDir() {
		return root.MkdirAll(f.Name, 0o755)
	}
	if err := root.MkdirAll(filepath.Dir(f.Name), 0o755); err != nil {
		return err
	}
	in, err := f.Open()
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := root.OpenFile(f.Name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, f.Mode().Perm()|0o644)
	if err != nil {
		return err
	}
	if _, err := io.Copy(out, in); err != nil {
		_ = out.Close()
		return err
	}
	return out.Close()
}
