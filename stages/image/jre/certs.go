package jre

import (
	"bytes"
	"crypto/sha1"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf16"
)

// certificates returns the JDK's trusted certificates, links followed:
// Debian's JDKs share one file that its ca-certificates package writes.
func certificates(jdk JDK) ([]byte, error) {
	path, err := jdk.cacerts()
	if err != nil {
		return nil, fmt.Errorf("read the certificates of %s: %w", jdk, err)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read the certificates of %s: %w", jdk, err)
	}
	if len(content) < 4 || binary.BigEndian.Uint32(content) != jksMagic {
		return content, nil // PKCS #12, as the JDK itself ships it
	}
	content, err = normalizeJKS(content)
	if err != nil {
		return nil, fmt.Errorf("read the certificates of %s: %w", jdk, err)
	}
	return content, nil
}

// cacerts is where the trusted certificates are, links followed.
func (j JDK) cacerts() (string, error) {
	return inRoot(j.Root, filepath.Join("/", strings.TrimPrefix(j.runtime(), j.Root), "lib", "security", "cacerts"))
}

// checkCertificates tells that they are there: a JDK out of Debian's packages
// alone has but a link to what another package makes when it is installed.
func (j JDK) checkCertificates(refuse func(hint, format string, args ...any) error) error {
	path, err := j.cacerts()
	if err == nil {
		_, err = os.Stat(path)
	}
	if err == nil {
		return nil
	}
	return refuse("install ca-certificates-java in the system that it belongs to, or copy another JDK's lib/security/cacerts there, or "+elsewhere,
		"it has no trusted certificates: %w", err)
}

// The format is that of the JDK's own sun.security.provider.JavaKeyStore:
// magic, version, count, entries, a keyed digest.
const (
	jksMagic    = 0xFEEDFEED
	jksVersion  = 2
	jksTrusted  = 2 // tag of a trusted certificate; 1 is a private key
	jksSalt     = "Mighty Aphrodite"
	jksPassword = "changeit"
)

var errKeyStore = errors.New("a broken Java key store")

type trusted struct {
	alias string
	cert  []byte // its type and content as they stand in the file
}

// normalizeJKS sorts the certificates by alias and drops the time at which
// each was added: the same certificates give the same bytes on any machine.
// The password is the JDK's default, which guards nothing. A private key has
// no place here and is refused.
func normalizeJKS(content []byte) ([]byte, error) {
	certs, err := parseJKS(content)
	if err != nil {
		return nil, err
	}
	return storeOf(certs), nil
}

// writeJKS makes a trust store.
func writeJKS(certs []Certificate) []byte {
	const form = "X.509"
	all := make([]trusted, len(certs))
	for i, c := range certs {
		cert := binary.BigEndian.AppendUint16(nil, uint16(len(form)))
		cert = append(cert, form...)
		cert = binary.BigEndian.AppendUint32(cert, uint32(len(c.DER)))
		all[i] = trusted{c.Alias, append(cert, c.DER...)}
	}
	return storeOf(all)
}

func storeOf(certs []trusted) []byte {
	slices.SortFunc(certs, func(a, b trusted) int { return strings.Compare(a.alias, b.alias) })
	var out []byte
	out = binary.BigEndian.AppendUint32(out, jksMagic)
	out = binary.BigEndian.AppendUint32(out, jksVersion)
	out = binary.BigEndian.AppendUint32(out, uint32(len(certs)))
	for _, c := range certs {
		out = binary.BigEndian.AppendUint32(out, jksTrusted)
		out = binary.BigEndian.AppendUint16(out, uint16(len(c.alias)))
		out = append(out, c.alias...)
		out = binary.BigEndian.AppendUint64(out, 0)
		out = append(out, c.cert...)
	}
	h := sha1.New()
	for _, unit := range utf16.Encode([]rune(jksPassword)) {
		h.Write([]byte{byte(unit >> 8), byte(unit)})
	}
	h.Write([]byte(jksSalt))
	h.Write(out)
	return h.Sum(out)
}

// der is the certificate without its type and length.
func (t trusted) der() []byte {
	form := int(binary.BigEndian.Uint16(t.cert)) // parseJKS has measured both
	return t.cert[2+form+4:]
}

func parseJKS(content []byte) ([]trusted, error) {
	if len(content) < 12+sha1.Size || binary.BigEndian.Uint32(content[4:]) != jksVersion {
		return nil, errKeyStore
	}
	rest := content[12 : len(content)-sha1.Size]
	var broken bool
	take := func(n int) []byte {
		if n > len(rest) {
			broken, n = true, len(rest)
		}
		b := rest[:n]
		rest = rest[n:]
		return b
	}
	number := func(size int) int {
		var n uint64
		for _, b := range take(size) {
			n = n<<8 | uint64(b)
		}
		return int(n)
	}
	var certs []trusted
	for range binary.BigEndian.Uint32(content[8:]) {
		if tag := number(4); tag != jksTrusted && !broken {
			return nil, fmt.Errorf("an entry is not a trusted certificate (tag %d)", tag)
		}
		alias := string(take(number(2)))
		take(8) // when it was added
		start := rest
		take(number(2)) // the certificate's type
		take(number(4)) // the certificate
		if broken {
			return nil, errKeyStore
		}
		certs = append(certs, trusted{alias, bytes.Clone(start[:len(start)-len(rest)])})
	}
	if len(rest) > 0 {
		return nil, errKeyStore
	}
	return certs, nil
}
