// Package spec reads fastship.yaml: it composes the stages' own Configs, and
// gives the file's JSON schema and help from the same structs.
//
// A key is a field of a Config with a yaml tag, and its row in keys.go; parser,
// schema and help follow from these two.
package spec

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"

	"github.com/fastship/fastship/internal/fault"
	"github.com/fastship/fastship/stages/image"
	"github.com/fastship/fastship/stages/maven"
	"github.com/fastship/fastship/stages/push"
	"github.com/fastship/fastship/stages/rollout"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// Version is the newest version of fastship.yaml that this fastship knows.
const Version = 1

// Spec is fastship.yaml. What the file leaves out is zero, and zero means
// each stage's default; Version is never zero.
type Spec struct {
	Version int            `yaml:"version"`
	Maven   maven.Config   `yaml:"maven"`
	Cache   Cache          `yaml:"cache"`
	Image   Image          `yaml:"image"`
	Deploy  rollout.Config `yaml:"deploy"`
	Envs    map[string]Env `yaml:"envs"`
	// Env is the environment that Image and Deploy are those of; empty: none.
	Env string
}

// Cache is the cache section: whose cache a build uses.
type Cache struct {
	Store string `yaml:"store"` // dir, or s3://BUCKET/PREFIX?…; empty means dir
	Scope string `yaml:"scope"` // trusted, or the name of an untrusted scope; default: as internal/ci detects
}

// The two stages that share the image section, under names that can stand
// side by side in one struct.
type (
	ImageConfig = image.Config
	PushConfig  = push.Config
)

// Image is the image section: what the image is made of and where it goes.
type Image struct {
	ImageConfig `yaml:",inline"`
	PushConfig  `yaml:",inline"`
	Outputs     Outputs `yaml:"outputs"`
}

// Outputs are places for the image, or its name, beside layout and registry.
// Paths are relative to the project's folder.
type Outputs struct {
	Archive          string `yaml:"archive"`
	Engine           string `yaml:"engine"`
	ImageDefinitions string `yaml:"imageDefinitions"`
	ImageDetail      string `yaml:"imageDetail"`
}

// Named tells whether a file is asked for that names the image in a registry.
func (o Outputs) Named() bool { return o.ImageDefinitions != "" || o.ImageDetail != "" }

// Image is the part of the image stage. Insecure holds for its base, too.
func (i Image) Image() image.Config {
	c := i.ImageConfig
	c.Pushed = i.PushConfig.Repository != ""
	c.Insecure = i.PushConfig.Insecure
	c.Outputs.Archive, c.Outputs.Engine = i.Outputs.Archive, i.Outputs.Engine
	return c
}

// Push is the part of the push stage.
func (i Image) Push() push.Config {
	c := i.PushConfig
	c.Files.Definitions, c.Files.Detail = i.Outputs.ImageDefinitions, i.Outputs.ImageDetail
	return c
}

// maxFile bounds the file in bytes, and with it the depth of the parser's
// recursion and its time, which grows with the square of a hostile file's size.
const maxFile = 32 << 10

// Load reads a file; an absent one is an empty one. getenv is os.LookupEnv or
// its like. Errors are those of Parse.
func Load(path string, getenv func(string) (string, bool)) (*Spec, error) {
	return load(path, "", getenv)
}

func load(path, env string, getenv func(string) (string, bool)) (*Spec, error) {
	b, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if other := filepath.Join(filepath.Dir(path), "fastship.yml"); exists(other) {
			return nil, fault.New(fault.BadInput, "rename it to fastship.yaml", "%s is not read: the file's name is fastship.yaml", other)
		}
		return &Spec{Version: Version}, nil
	case err != nil:
		return nil, fault.As(fault.BadInput, err)
	}
	return parse(filepath.Base(path), b, env, getenv)
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// Parse reads the bytes of a fastship.yaml; name stands for the file in
// errors. ${VAR} and ${VAR:-default} in values are replaced by what getenv
// has. Every error is of class fault.BadInput and wraps an *Error.
func Parse(name string, b []byte, getenv func(string) (string, bool)) (*Spec, error) {
	return parse(name, b, "", getenv)
}

func parse(name string, b []byte, env string, getenv func(string) (string, bool)) (*Spec, error) {
	text := normalise(b)
	d := &decoder{name: name, text: text, getenv: getenv, env: env}
	body, err := d.parse()
	if err == nil {
		s := &Spec{}
		if err = d.document(body, s); err == nil {
			return s, nil
		}
	}
	e, ok := errors.AsType[*Error](err)
	if !ok { // every path above makes an *Error; were one to slip through, it is still bad input
		return nil, fault.As(fault.BadInput, err)
	}
	return nil, &fault.Error{Class: fault.BadInput, Err: e, Hint: e.hint}
}

// normalise takes off a byte order mark and makes every line end in LF.
func normalise(b []byte) []byte {
	b = bytes.TrimPrefix(b, []byte("\xEF\xBB\xBF"))
	b = bytes.ReplaceAll(b, []byte("\r\n"), []byte("\n"))
	return bytes.ReplaceAll(b, []byte("\r"), []byte("\n"))
}

// document decodes the file's one document. The version comes first: a file
// for a newer fastship must not be blamed for keys that are right there. The
// environments come last, since they lie over all else.
func (d *decoder) document(body ast.Node, s *Spec) error {
	s.Version = Version
	if body == nil {
		return nil
	}
	ast.Walk(anchors{d}, body)
	entries, err := d.entries(body, "")
	if err != nil {
		return err
	}
	var plain []entry
	var environments ast.Node
	for _, e := range entries {
		switch e.name {
		case "version":
			if err := d.version(e.value); err != nil {
				return err
			}
		case envs:
			environments = e.value
			continue
		}
		plain = append(plain, e)
	}
	if err := d.section(plain, reflect.ValueOf(s).Elem(), ""); err != nil || environments == nil {
		return err
	}
	return d.environments(environments, s)
}

// version refuses what another fastship wrote.
func (d *decoder) version(n ast.Node) error {
	var v int
	if err := d.value(n, reflect.ValueOf(&v).Elem(), "version"); err != nil {
		return err
	}
	switch {
	case isNull(n):
	case v > Version:
		return d.fail(n, "install a newer fastship, or write the file for version 1",
			"written for a newer fastship: version %d, this one knows %d", v, Version)
	case v != Version:
		return d.fail(n, "write version: 1", "there is no version %d; this fastship knows %d", v, Version)
	}
	return nil
}

// parse gives the root of the one document in the text, nil when it is empty.
func (d *decoder) parse() (body ast.Node, err error) {
	if err := d.readable(); err != nil {
		return nil, err
	}
	// The parser is third-party code and the file anybody's: its panics are
	// answers about the file.
	defer func() {
		if p := recover(); p != nil {
			body, err = nil, d.failAt(1, 1, "", "not YAML: %v", p)
		}
	}()
	file, err := parser.ParseBytes(d.text, 0, parser.AllowDuplicateMapKey()) // we tell of duplicates better
	if err != nil {
		return nil, d.syntaxError(err)
	}
	for _, doc := range file.Docs {
		if doc.Body == nil || doc.Body.Type() == ast.DirectiveType {
			continue
		}
		if body != nil {
			return nil, d.fail(doc.Body, "keep one of them", "a second document begins here; fastship.yaml has one")
		}
		body = doc.Body
	}
	return body, nil
}
