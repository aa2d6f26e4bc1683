package mvn

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"encoding/base64"
	"encoding/xml"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// Decrypt replaces the passwords that `mvn --encrypt-password` made, with the
// master password in ~/.m2/settings-security.xml or the file that
// -Dsettings.security names (maven.apache.org/guides/mini/guide-encryption.html).
// What cannot be decrypted stays as it is, and the first reason is returned:
// Maven may still know more, such as version 4's other ciphers.
func (s *Settings) Decrypt(h Host, a Args) error {
	var encrypted []*string
	for i := range s.Servers {
		encrypted = append(encrypted, &s.Servers[i].Password)
	}
	for i := range s.Proxies {
		encrypted = append(encrypted, &s.Proxies[i].Password)
	}
	var master string
	var first error
	for _, password := range encrypted {
		text, ok := decorated(*password)
		if !ok {
			continue
		}
		if master == "" && first == nil {
			master, first = readMaster(h, a)
		}
		if master == "" {
			return first
		}
		clear, err := decrypt(text, master)
		if err != nil {
			first = errors.Join(first, fmt.Errorf("decrypt a password in settings.xml: %w", err))
			continue
		}
		*password = clear
	}
	return first
}

// Encrypted tells whether a password is one that only Decrypt makes usable.
func Encrypted(password string) bool {
	_, ok := decorated(password)
	return ok
}

var decoration = regexp.MustCompile(`^(?:.*?[^\\])?\{(.*?[^\\])\}`)

// decorated returns what stands in braces; \{ is an ordinary character.
func decorated(password string) (string, bool) {
	m := decoration.FindStringSubmatch(strings.TrimSpace(password))
	if m == nil || strings.HasPrefix(m[1], "${") {
		return "", false
	}
	return m[1], true
}

// masterPassphrase encrypts the master password: plexus-sec-dispatcher's
// DefaultSecDispatcher.SYSTEM_PROPERTY_SEC_LOCATION, a known word.
const masterPassphrase = "settings.security"

// maxRelocations bounds the files that point at each other.
const maxRelocations = 5

func readMaster(h Host, a Args) (string, error) {
	path := filepath.Join(h.Home, ".m2", "settings-security.xml")
	if named, ok := a.Property("settings.security"); ok && named != "" {
		path = named
	}
	for range maxRelocations {
		if rest, ok := strings.CutPrefix(path, "~"); ok {
			path = h.Home + rest
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return "", fmt.Errorf("read Maven's master password: %w", err)
		}
		var file struct {
			Master     string `xml:"master"`
			Relocation string `xml:"relocation"`
		}
		if err := xml.Unmarshal(text, &file); err != nil {
			return "", fmt.Errorf("read Maven's master password in %s: %w", path, err)
		}
		if to := strings.TrimSpace(file.Relocation); to != "" {
			path = to
			continue
		}
		text64, ok := decorated(file.Master)
		if !ok {
			return "", fmt.Errorf("read Maven's master password: %s has no encrypted <master>", path)
		}
		master, err := decrypt(text64, masterPassphrase)
		if err != nil {
			return "", fmt.Errorf("decrypt Maven's master password in %s: %w", path, err)
		}
		return master, nil
	}
	return "", fmt.Errorf("read Maven's master password: %s is one relocation too many", path)
}

// decrypt undoes plexus-cipher's PBECipher: base64 of 8 bytes of salt, the
// number of bytes of filling, the text in AES-128/CBC/PKCS5, and the filling.
// Key and initial vector are the two halves of SHA-256(passphrase, salt).
func decrypt(text, passphrase string) (string, error) {
	raw, err := base64.StdEncoding.DecodeString(text)
	const salt, header = 8, 9
	if err != nil || len(raw) <= header {
		return "", errors.New("it is not in the form that mvn --encrypt-password gives")
	}
	end := len(raw) - int(raw[salt])
	if end <= header || (end-header)%aes.BlockSize != 0 {
		return "", errors.New("it is cut short")
	}
	sum := sha256.Sum256(append([]byte(passphrase), raw[:salt]...))
	block, err := aes.NewCipher(sum[:16])
	if err != nil {
		return "", err
	}
	out := make([]byte, end-header)
	cipher.NewCBCDecrypter(block, sum[16:]).CryptBlocks(out, raw[header:end])
	fill := int(out[len(out)-1])
	if fill == 0 || fill > aes.BlockSize {
		return "", errors.New("it was made with another master password")
	}
	for _, b := range out[len(out)-fill:] {
		if int(b) != fill {
			return "", errors.New("it was made with another master password")
		}
	}
	return string(out[:len(out)-fill]), nil
}
