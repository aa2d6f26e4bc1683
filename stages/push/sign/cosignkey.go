package sign

import (
	"encoding/json"

	"golang.org/x/crypto/nacl/secretbox"
	"golang.org/x/crypto/scrypt"

	"github.com/fastship/fastship/internal/fault"
)

// sealed is cosign's encrypted key: scrypt and NaCl's secretbox, in JSON
// (go-securesystemslib, encrypted).
type sealed struct {
	KDF struct {
		Name   string `json:"name"`
		Params struct {
			N int `json:"N"`
			R int `json:"r"`
			P int `json:"p"`
		} `json:"params"`
		Salt []byte `json:"salt"`
	} `json:"kdf"`
	Cipher struct {
		Name  string `json:"name"`
		Nonce []byte `json:"nonce"`
	} `json:"cipher"`
	Ciphertext []byte `json:"ciphertext"`
}

// maxScrypt bounds the memory, in bytes, that a key file may ask for: cosign's
// own take 64 MB at most.
const maxScrypt = 128 << 20

func decrypt(text []byte, password func() (string, bool)) ([]byte, error) {
	var s sealed
	damaged := func(what string) error {
		return fault.New(fault.BadInput, "make it again: cosign generate-key-pair", "the encrypted key is damaged: %s", what)
	}
	if err := json.Unmarshal(text, &s); err != nil {
		return nil, damaged(err.Error())
	}
	p := s.KDF.Params
	switch {
	case s.KDF.Name != "scrypt" || s.Cipher.Name != "nacl/secretbox":
		return nil, damaged("it says " + s.KDF.Name + " and " + s.Cipher.Name)
	case len(s.Cipher.Nonce) != 24:
		return nil, damaged("its nonce has another length than 24")
	case p.N <= 1 || p.R <= 0 || p.P <= 0 || p.P > 16 || p.N > maxScrypt/128/p.R:
		return nil, damaged("its scrypt parameters are out of bounds")
	}
	word, ok := password()
	if !ok {
		return nil, fault.New(fault.Missing, "set "+PasswordVariable+", to nothing where the key has no password", "the key is encrypted")
	}
	derived, err := scrypt.Key([]byte(word), s.KDF.Salt, p.N, p.R, p.P, 32)
	if err != nil {
		return nil, damaged(err.Error())
	}
	der, ok := secretbox.Open(nil, s.Ciphertext, (*[24]byte)(s.Cipher.Nonce), (*[32]byte)(derived))
	if !ok {
		return nil, fault.New(fault.Missing, "correct "+PasswordVariable, "%s is not the key's password", PasswordVariable)
	}
	return der, nil
}
