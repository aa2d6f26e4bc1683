package mvn

import (
	"archive/zip"
	"context"
	"crypto/sha512"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/fastship/fastship/cache"
	"github.com/fastship/fastship/internal/fault"
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
	SHA512  string // of apache-maven-VERSION-bin.zip
	HTTP    *http.Client
	Tell    func(done, total int64) // progress in bytes; total is 0 when unknown
}

// Pinned is the distribution that fastship brings where no Maven is installed.
func Pinned(client *http.Client, tell func(done, total int64)) Distribution {
	return Distribution{Version: PinnedMaven, SHA512: pinnedSHA512, HTTP: client, Tell: tell}
}

func (d Distribution) key() cache.Key {
	return cache.NewKey("maven-distribution", "1").Add("version", d.Version).Add("sha512", d.SHA512).Key()
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
	return filepath.Join(dir, "apache-maven-"+d.Version, "bin", "mvn"), release, nil
}

// download fetches the archive into the cache.
func (d Distribution) download(ctx context.Context, c *cache.Cache, s Settings) (cache.Descriptor, error) {
	base, server := s.Central()
	from := fmt.Sprintf("%s/org/apache/maven/apache-maven/%s/apache-maven-%s-bin.zip", base, d.Version, d.Version)
	fail := func(hint string, err error) (cache.Descriptor, error) {
		return cache.Descriptor{}, fault.New(fault.Missing, hint, "download Maven %s from %s: %w", d.Version, redactURL(from), err)
	}
	const install = "install Maven, add its wrapper to the project (mvn wrapper:wrapper), or let a mirror of Central in settings.xml be reached"
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, from, nil)
	if err != nil {
		return fail("correct the mirror's url in settings.xml", err)
	}
	if strings.HasPrefix(server.Password, "{") {
		return fail("install Maven: only Maven itself can decrypt the password of server "+server.ID, fmt.Errorf("the password in settings.xml is encrypted"))
	}
	if server.Username != "" {
		request.SetBasicAuth(server.Username, server.Password)
	}
	for _, h := range server.Headers {
		request.Header.Set(h.Name, h.Value)
	}
	response, err := s.client(d.HTTP).Do(request)
	if err != nil {
		return fail(install, err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		hint := install
		if response.StatusCode == http.StatusUnauthorized || response.StatusCode == http.StatusForbidden {
			hint = fmt.Sprintf("correct the credentials of <server> %s in settings.xml", server.ID)
		}
		return fail(hint, fmt.Errorf("the server answered %s", response.Status))
	}
	blob, err := d.keep(ctx, c, response)
	if err != nil {
		return fail(install, err)
	}
	return blob, nil
}

// keep writes the answer into the cache if it has the pinned checksum.
func (d Distribution) keep(ctx context.Context, c *cache.Cache, response *http.Response) (cache.Descriptor, error) {
	w, err := c.Blobs.Create(ctx)
	if err != nil {
		return cache.Descriptor{}, err
	}
	defer w.Abort()
	sum := sha512.New()
	counter := &counter{tell: d.Tell, total: max(response.ContentLength, 0)}
	n, err := io.Copy(io.MultiWriter(w, sum, counter), io.LimitReader(response.Body, maxDistribution+1))
	if err != nil {
		return cache.Descriptor{}, err
	}
	if n > maxDistribution {
		return cache.Descriptor{}, fmt.Errorf("more than %d bytes: not Maven's archive", maxDistribution)
	}
	if got := hex.EncodeToString(sum.Sum(nil)); got != d.SHA512 {
		return cache.Descriptor{}, fmt.Errorf("its sha512 is %s… instead of %s…: not the archive that Apache published", got[:16], d.SHA512[:16])
	}
	counter.end()
	return w.Commit()
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
