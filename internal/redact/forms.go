package redact

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"net/url"
	"regexp"
	"strings"
)

// forms lists what is masked for one value; it is empty for a value that is
// too short.
func forms(value string) []string {
	value = strings.TrimSpace(value)
	if len(value) < Min {
		return nil
	}
	all := append([]string{value}, jsonForms(value)...)
	all = append(all, urlForms(value)...)
	all = append(all, base64Forms(value)...)
	if strings.Contains(value, "\n") {
		for line := range strings.Lines(value) {
			if line = strings.TrimSpace(line); len(line) >= MinLine {
				all = append(all, line)
				all = append(all, jsonForms(line)...)
			}
		}
	}
	return all
}

// jsonForms are the insides of a JSON string, as Go and browsers write them:
// with and without <, > and & escaped.
func jsonForms(value string) []string {
	var forms []string
	for _, escapeHTML := range []bool{true, false} {
		var b bytes.Buffer
		enc := json.NewEncoder(&b)
		enc.SetEscapeHTML(escapeHTML)
		if enc.Encode(value) == nil {
			forms = append(forms, strings.Trim(b.String(), "\n")[1:b.Len()-2])
		}
	}
	return forms
}

var percentEscape = regexp.MustCompile(`%[0-9A-F]{2}`)

// urlForms are the query's and the path's escapes, with digits of either case
// (RFC 3986, section 2.1).
func urlForms(value string) []string {
	var forms []string
	for _, form := range []string{url.QueryEscape(value), url.PathEscape(value)} {
		forms = append(forms, form, percentEscape.ReplaceAllStringFunc(form, strings.ToLower))
	}
	return forms
}

// minInner is the shortest part of a base64 text that is masked: 8 of its
// characters hold 6 bytes.
const minInner = 8

// base64Forms are the value's own encodings, and the part of a longer text's
// encoding that depends on the value alone: three bytes make four characters,
// so there is one such part for each place at which the value can begin.
func base64Forms(value string) []string {
	var forms []string
	for _, e := range []*base64.Encoding{base64.StdEncoding, base64.URLEncoding} {
		forms = append(forms, e.EncodeToString([]byte(value)), e.WithPadding(base64.NoPadding).EncodeToString([]byte(value)))
		for before := range 3 {
			text := append(make([]byte, before), value...)
			whole := e.WithPadding(base64.NoPadding).EncodeToString(text)
			// A character holds 6 bits: drop those that hold a bit of
			// what stands before or comes after the value.
			from, to := (before*8+5)/6, len(text)*8/6
			if inner := whole[from:to]; len(inner) >= minInner {
				forms = append(forms, inner)
			}
		}
	}
	return forms
}
