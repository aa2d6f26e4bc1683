package inspect

import (
	"encoding/json"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// MadeFile, in a project's state folder, tells what the layers of the last
// image were made of, and those of the image before it.
const MadeFile = "image-inputs.json"

// Made is what one image was made of.
type Made struct {
	Digest  string      `json:"digest"`
	Base    string      `json:"base"`
	Packing string      `json:"packing"` // what is done to libraries, and the codecs
	Layers  []MadeLayer `json:"layers"`
}

// MadeLayer is what one layer was made of.
type MadeLayer struct {
	Role   string  `json:"role"`
	Digest string  `json:"digest"`
	Inputs []Input `json:"inputs,omitempty"` // jars; of base, archive and the user's files none are recorded
}

// Input is a jar by its place in the image and the digest of its bytes before
// it was packed.
type Input struct {
	Path   string `json:"path"`
	Digest string `json:"digest"`
}

// Record is the content of MadeFile.
type Record struct {
	Made
	Previous *Made `json:"previous,omitempty"`
}

// why reads a layout's record, and tells for each layer that the image before
// had not why it was made; nothing where no record of that image is.
func why(layout, digest string) []string {
	raw, err := os.ReadFile(filepath.Join(filepath.Dir(layout), MadeFile))
	var r Record
	if err != nil || json.Unmarshal(raw, &r) != nil || r.Digest != digest || r.Previous == nil {
		return nil
	}
	return r.Why()
}

// Why tells for each layer that Previous had not what was another.
func (r Record) Why() []string {
	if r.Previous == nil {
		return nil
	}
	var all []string
	for _, l := range r.Layers {
		if slices.ContainsFunc(r.Previous.Layers, func(p MadeLayer) bool { return p.Digest == l.Digest }) {
			continue
		}
		at := slices.IndexFunc(r.Previous.Layers, func(p MadeLayer) bool { return p.Role == l.Role })
		if at < 0 {
			all = append(all, l.Role+": there was no such layer")
			continue
		}
		all = append(all, l.Role+": "+r.reason(l, r.Previous.Layers[at]))
	}
	return all
}

func (r Record) reason(now, before MadeLayer) string {
	if reasons := inputs(now.Inputs, before.Inputs); len(reasons) > 0 {
		return strings.Join(reasons, ", ")
	}
	switch {
	case r.Packing != r.Previous.Packing:
		return "packed otherwise: " + r.Previous.Packing + " → " + r.Packing
	case r.Base != r.Previous.Base:
		return "another base: " + r.Previous.Base + " → " + r.Base
	case now.Role == "files":
		return "a file, or what image.files says of it, changed"
	}
	return "what it is made of beside jars changed"
}

// maxReasons bounds how many jars are told of one layer.
const maxReasons = 20

func inputs(now, before []Input) []string {
	var all []string
	for _, n := range now {
		at := slices.IndexFunc(before, func(b Input) bool { return b.Path == n.Path })
		switch {
		case at < 0:
			all = append(all, path.Base(n.Path)+" came")
		case before[at].Digest != n.Digest:
			all = append(all, path.Base(n.Path)+" changed")
		}
	}
	for _, b := range before {
		if !slices.ContainsFunc(now, func(n Input) bool { return n.Path == b.Path }) {
			all = append(all, path.Base(b.Path)+" went")
		}
	}
	if len(all) > maxReasons {
		all = append(all[:maxReasons], fmt.Sprintf("and %d more", len(all)-maxReasons))
	}
	return all
}
