package jre

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/binary"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/fastship/fastship/cache"
	"github.com/fastship/fastship/internal/fault"
)

// Certificate is a certification authority that programs in the image trust.
type Certificate struct {
	Alias string `json:"alias"` // its name in the trust store
	DER   []byte `json:"der"`
}

// bundleFile is where OpenSSL, and native code that follows it, looks for
// trusted certificates on Debian; other distributions link to it.
const bundleFile = "etc/ssl/certs/ca-certificates.crt"

// ReadCertificates reads the authorities in PEM files (RFC 7468). Errors are of
// class fault.BadInput and name file and line. Text between the certificates
// is allowed, as openssl writes it; other kinds of PEM are refused: a private
// key has no place in an image.
func ReadCertificates(paths []string) ([]Certificate, error) {
	var all []Certificate
	for _, path := range paths {
		content, err := os.ReadFile(path)
		if err != nil {
			return nil, fault.New(fault.BadInput, "give PEM files, relative to the project's folder", "image.certificates: %w", err)
		}
		found, err := parseCertificates(path, content)
		if err != nil {
			return nil, err
		}
		all = append(all, found...)
	}
	return all, nil
}

func parseCertificates(path string, content []byte) ([]Certificate, error) {
	refuse := func(rest []byte, format string, args ...any) error {
		line := bytes.Count(content[:len(content)-len(rest)], []byte("\n")) + 1
		return fault.New(fault.BadInput, "give certificates in PEM form (openssl x509 -inform der -outform pem makes it of DER)",
			"image.certificates: %s:%d: "+format, append([]any{path, line}, args...)...)
	}
	var all []Certificate
	begin := []byte("-----BEGIN ")
	for rest := content; ; {
		at := bytes.Index(rest, begin)
		if at < 0 {
			if len(all) == 0 {
				return nil, refuse(content, "no certificate in it")
			}
			return all, nil
		}
		rest = rest[at:]
		block, after := pem.Decode(rest)
		// Decode skips what it cannot read: the next one would hide it.
		if block == nil || bytes.Contains(rest[len(begin):len(rest)-len(after)], begin) {
			return nil, refuse(rest, "a PEM block that is broken or has no end")
		}
		if block.Type != "CERTIFICATE" {
			return nil, refuse(rest, "a %s, not a CERTIFICATE", block.Type)
		}
		if _, err := x509.ParseCertificate(block.Bytes); err != nil {
			return nil, refuse(rest, "not a certificate: %w", err)
		}
		all = append(all, Certificate{Alias: "fastship-" + cache.Sum(block.Bytes).Hex()[:16], DER: block.Bytes})
		rest = after
	}
}

// expired tells which authorities are of no use any more.
func expired(certs []Certificate, now time.Time) []string {
	var told []string
	for _, c := range certs {
		if parsed, err := x509.ParseCertificate(c.DER); err == nil && now.After(parsed.NotAfter) {
			told = append(told, fmt.Sprintf("image.certificates: the certificate of %s has expired on %s", parsed.Subject, parsed.NotAfter.Format(time.DateOnly)))
		}
	}
	return told
}

// trust makes the files of those whom the image trusts: the JDK's own store with
// more added to it, and the same as PEM for what is not Java. The store keeps
// its form while nothing is added; else it is a JKS, which every release reads
// whatever its default.
func (r Request) trust(ctx context.Context, c *cache.Cache) ([]content, error) {
	store, err := certificates(r.JDK)
	if err != nil {
		return nil, err
	}
	known, err := r.listed(ctx, c, store)
	if err != nil {
		return nil, fmt.Errorf("read the certificates of %s: %w", r.JDK, err)
	}
	all := known
	have := map[string]bool{}
	for _, k := range known {
		have[string(k.DER)] = true
	}
	for _, cert := range r.Certificates {
		if !have[string(cert.DER)] {
			have[string(cert.DER)] = true
			all = append(all[:len(all):len(all)], cert)
		}
	}
	if len(all) > len(known) {
		store = writeJKS(all)
	}
	path := javaHome + "/lib/security/cacerts"
	return []content{{path, store}, {bundleFile, bundle(all)}}, nil
}

func bundle(certs []Certificate) []byte {
	var b bytes.Buffer
	for _, c := range certs {
		b.Write(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.DER}))
	}
	return b.Bytes()
}

// listed reads a trust store: a JKS itself, another form by the JDK's keytool,
// once.
func (r Request) listed(ctx context.Context, c *cache.Cache, store []byte) ([]Certificate, error) {
	if len(store) >= 4 && binary.BigEndian.Uint32(store) == jksMagic {
		found, err := parseJKS(store)
		if err != nil {
			return nil, err
		}
		var all []Certificate
		for _, t := range found {
			all = append(all, Certificate{Alias: t.alias, DER: t.der()})
		}
		return all, nil
	}
	key := cache.NewKey("trusted certificates", "1").Add("store", string(cache.Sum(store))).Key()
	if r.reads {
		all, _, ok := cache.Lookup[[]Certificate](ctx, c, key)
		if !ok {
			return nil, errors.New("keytool has not listed them yet")
		}
		return all, nil
	}
	all, _, _, err := cache.Do(ctx, c, key, func(ctx context.Context) ([]Certificate, []cache.Descriptor, error) {
		all, err := r.ask(ctx, store)
		return all, nil, err
	})
	return all, err
}

// ask has keytool list a trust store.
func (r Request) ask(ctx context.Context, store []byte) ([]Certificate, error) {
	dir, release, err := workspace()
	if err != nil {
		return nil, err
	}
	defer release()
	path := filepath.Join(dir, "cacerts")
	if err := os.WriteFile(path, store, 0o600); err != nil {
		return nil, err
	}
	var out strings.Builder
	args := []string{"-J-XX:TieredStopAtLevel=1", "-J-Duser.language=en", "-list", "-rfc", "-keystore", path, "-storepass", jksPassword}
	if err := run(ctx, r.Linker.tool("keytool"), args, func(line string) { out.WriteString(line + "\n") }); err != nil {
		return nil, err
	}
	return parseListing(out.String())
}

// parseListing reads what keytool -list -rfc prints: a line with the alias in
// front of each certificate.
func parseListing(text string) ([]Certificate, error) {
	var all []Certificate
	const name = "Alias name: "
	for text != "" {
		_, after, ok := strings.Cut(text, name)
		if !ok {
			break
		}
		alias, rest, _ := strings.Cut(after, "\n")
		own, _, _ := strings.Cut(rest, name)
		block, _ := pem.Decode([]byte(own))
		if block == nil {
			return nil, fmt.Errorf("keytool shows no certificate of %q", alias)
		}
		all = append(all, Certificate{Alias: strings.TrimSpace(alias), DER: block.Bytes})
		text = rest
	}
	return all, nil
}
