package mvn

import (
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"

	"github.com/fastship/fastship/cache"
	"github.com/fastship/fastship/internal/fault"
)

// download fetches the archive into the cache.
func (d Distribution) download(ctx context.Context, c *cache.Cache, s Settings) (cache.Descriptor, error) {
	base, server := s.Central()
	folder := base + "/org/apache/maven/apache-maven"
	from := fmt.Sprintf("%s/%s/apache-maven-%s-bin.zip", folder, d.Version, d.Version)
	if d.URL != "" {
		from, server = d.URL, Server{ID: "MVNW_USERNAME", Username: d.User, Password: d.Password}
	}
	fail := func(hint string, err error) (cache.Descriptor, error) {
		return cache.Descriptor{}, fault.New(fault.Missing, hint, "download Maven %s from %s: %w", d.Version, redactURL(from), err)
	}
	const install = "install Maven, add its wrapper to the project (mvn wrapper:wrapper), or let a mirror of Central in settings.xml be reached"
	if Encrypted(server.Password) && d.URL == "" {
		return fail("bring the ~/.m2/settings-security.xml that the password was encrypted with, or install Maven", fmt.Errorf("the password of server %s in settings.xml is encrypted, and could not be decrypted", server.ID))
	}
	get := getter{s.client(d.HTTP), server}
	response, err := get.open(ctx, from)
	switch status, _ := errors.AsType[*statusError](err); {
	case status == nil:
	case status.code == http.StatusUnauthorized || status.code == http.StatusForbidden:
		return fail(fmt.Sprintf("correct the credentials of <server> %s in settings.xml", server.ID), err)
	case status.code == http.StatusNotFound && d.URL == "" && d.Version != PinnedMaven:
		if newest := get.newest(ctx, folder); len(newest) > 0 {
			return cache.Descriptor{}, fault.New(fault.BadInput, "correct maven.version; the newest are "+strings.Join(newest, " and "), "download Maven: there is no version %s in %s", d.Version, redactURL(folder))
		}
	}
	if err != nil {
		return fail(install, err)
	}
	defer response.Body.Close()
	if d.SHA512 == "" {
		if d.SHA512, err = get.published(ctx, from+".sha512"); err != nil && d.URL == "" {
			return fail("let the repository serve the .sha512 beside Maven's archive, or install Maven", err)
		}
		// Without one beside a wrapper's own URL nothing is left to compare
		// but distributionSha256Sum, as for ./mvnw itself.
	}
	blob, err := d.keep(ctx, c, response)
	if err != nil {
		return fail(install, err)
	}
	return blob, nil
}

// getter asks one repository with its credentials.
type getter struct {
	client *http.Client
	server Server
}

type statusError struct {
	code   int
	status string
}

func (e *statusError) Error() string { return "the server answered " + e.status }

// open starts a GET; an answer other than 200 is a *statusError.
func (g getter) open(ctx context.Context, url string) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	if g.server.Username != "" {
		request.SetBasicAuth(g.server.Username, g.server.Password)
	}
	for _, h := range g.server.Headers {
		request.Header.Set(h.Name, h.Value)
	}
	response, err := g.client.Do(request)
	if err != nil {
		return nil, err
	}
	if response.StatusCode != http.StatusOK {
		_ = response.Body.Close()
		return nil, &statusError{response.StatusCode, response.Status}
	}
	return response, nil
}

var hexSHA512 = regexp.MustCompile(`^[0-9a-fA-F]{128}$`)

// published reads the checksum beside an archive: the bare digits, or with
// the file's name after them as sha512sum writes it.
func (g getter) published(ctx context.Context, url string) (string, error) {
	response, err := g.open(ctx, url)
	if err != nil {
		return "", fmt.Errorf("read its sha512: %w", err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, 4<<10))
	if err != nil {
		return "", fmt.Errorf("read its sha512: %w", err)
	}
	word, _, _ := strings.Cut(strings.TrimSpace(string(text)), " ")
	if !hexSHA512.MatchString(word) {
		return "", errors.New("read its sha512: the answer is not one")
	}
	return strings.ToLower(word), nil
}

// newest names the newest final version in a maven-metadata.xml, and the
// newest of all where that is another.
func (g getter) newest(ctx context.Context, folder string) []string {
	response, err := g.open(ctx, folder+"/maven-metadata.xml")
	if err != nil {
		return nil // the 404 is told all the same
	}
	defer response.Body.Close()
	var metadata struct {
		Versions []string `xml:"versioning>versions>version"`
	}
	if xml.NewDecoder(io.LimitReader(response.Body, 1<<20)).Decode(&metadata) != nil {
		return nil
	}
	var final, any string
	for _, v := range metadata.Versions {
		if any == "" || CompareVersions(v, any) > 0 {
			any = v
		}
		if !strings.Contains(v, "-") && (final == "" || CompareVersions(v, final) > 0) {
			final = v
		}
	}
	if final == any || any == "" {
		return nonEmpty(final)
	}
	return append(nonEmpty(final), any)
}

// keep writes the answer into the cache if it has the checksums.
func (d Distribution) keep(ctx context.Context, c *cache.Cache, response *http.Response) (cache.Descriptor, error) {
	w, err := c.Blobs.Create(ctx)
	if err != nil {
		return cache.Descriptor{}, err
	}
	defer w.Abort()
	sum, short := sha512.New(), sha256.New()
	counter := &counter{tell: d.Tell, total: max(response.ContentLength, 0)}
	n, err := io.Copy(io.MultiWriter(w, sum, short, counter), io.LimitReader(response.Body, maxDistribution+1))
	if err != nil {
		return cache.Descriptor{}, err
	}
	if n > maxDistribution {
		return cache.Descriptor{}, fmt.Errorf("more than %d bytes: not Maven's archive", maxDistribution)
	}
	if got := hex.EncodeToString(sum.Sum(nil)); got != cmp.Or(d.SHA512, got) {
		return cache.Descriptor{}, fmt.Errorf("its sha512 is %s… instead of %s…: not the archive that Apache published", got[:16], d.SHA512[:16])
	}
	if got := hex.EncodeToString(short.Sum(nil)); !strings.EqualFold(got, cmp.Or(d.SHA256, got)) {
		return cache.Descriptor{}, fmt.Errorf("its sha256 is %s instead of distributionSha256Sum's %s", got, d.SHA256)
	}
	counter.end()
	return w.Commit()
}
