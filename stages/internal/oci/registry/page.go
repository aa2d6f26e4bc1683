package registry

import (
	"bytes"
	"errors"
	"net/url"
	"regexp"
	"strings"
)

// ErrNoRegistry is an answer that only something else than a registry gives: a
// login page, a proxy's, or a server that takes every path for its own.
var ErrNoRegistry = errors.New("no registry answers there")

// IsPage tells that a document is for browsers: what registries send is JSON.
// The content type does not tell; frameworks call their empty answers text/html.
func IsPage(body []byte) bool { return bytes.HasPrefix(bytes.TrimSpace(body), []byte("<")) }

// page finds a document for browsers in an error's text.
var (
	page  = regexp.MustCompile(`(?is):?\s*<(!doctype|html|\?xml|head|body)\b.*?(</html>\s*|$)`)
	title = regexp.MustCompile(`(?is)<title[^>]*>\s*(.*?)\s*</title>`)
)

// plain is an error whose text has no web page in it and is one line.
type plain struct {
	error
	text string
}

func (p *plain) Error() string { return p.text }
func (p *plain) Unwrap() error { return p.error }

// maxBody is how much of an answer in no known form is worth reading.
const maxBody = 1000

// query finds what stands behind a URL's question mark: states and signatures
// that tell nobody anything and may let others in.
var query = regexp.MustCompile(`(https?://[^\s"?]+)\?[^\s"]+`)

// Readable makes an error's text one line of reasonable length. It leaves of a
// proxy's page its title, where that says more than the status does, and of an
// HTTP client's URL what is before the query.
func Readable(err error) error {
	if err == nil {
		return nil
	}
	whole := err.Error()
	text := page.ReplaceAllStringFunc(whole, func(p string) string {
		t := title.FindStringSubmatch(p)
		if t == nil || t[1] == "" || strings.Contains(whole[:strings.Index(whole, p)], strings.Join(strings.Fields(t[1]), " ")) {
			return ""
		}
		return ": a page titled “" + t[1] + "”"
	})
	if _, ok := errors.AsType[*url.Error](err); ok {
		text = query.ReplaceAllString(text, "$1")
	}
	text = strings.Join(strings.Fields(text), " ")
	if len(text) > maxBody {
		text = strings.ToValidUTF8(text[:maxBody], "") + " …"
	}
	if text == whole {
		return err
	}
	return &plain{err, text}
}
