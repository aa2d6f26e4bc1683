package cache

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
)

// Key names work by its inputs: the digest of a list of named parts.
type Key string

// KeyPart is one input of a key: its name, for people and --explain, and its
// value or the digest of it.
type KeyPart struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// KeyParts collects the inputs of one piece of work, in a fixed order.
type KeyParts []KeyPart

// NewKey starts a key for a kind of work. The version changes whenever the
// same inputs would give other outputs.
func NewKey(kind, version string) KeyParts {
	return KeyParts{{Name: "kind", Value: kind}, {Name: "version", Value: version}}
}

// Add appends an input; values that are not strings go in as their JSON.
func (p KeyParts) Add(name string, value any) KeyParts {
	s, ok := value.(string)
	if !ok {
		b, err := json.Marshal(value)
		if err != nil {
			panic("cache key part " + name + ": " + err.Error()) // a type that cannot be JSON: the caller's bug
		}
		s = string(b)
	}
	return append(p[:len(p):len(p)], KeyPart{Name: name, Value: s})
}

// Key hashes the parts, each framed by its length, so that no two lists of
// parts collide by running together.
func (p KeyParts) Key() Key {
	h := sha256.New()
	var n [8]byte
	for _, part := range p {
		for _, s := range []string{part.Name, part.Value} {
			binary.BigEndian.PutUint64(n[:], uint64(len(s)))
			h.Write(n[:])
			h.Write([]byte(s))
		}
	}
	return Key(FromSum(h.Sum(nil)).Hex())
}
