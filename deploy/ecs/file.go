package ecs

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"

	"github.com/fastship/fastship/internal/fault"
	"github.com/goccy/go-yaml"
)

// maxDefinition is ECS's limit of a task definition, 64 KiB, with room for
// what a file says more spaciously.
const maxDefinition = 128 << 10

// ReadDefinition reads a task definition from a file, JSON or YAML: the input of
// RegisterTaskDefinition, or what describe-task-definition prints. ${VAR} and
// ${VAR:-default} are replaced in text values, $${ is ${. Every error is of
// class fault.BadInput and begins with name.
func ReadDefinition(path, name string, getenv func(string) (string, bool)) (json.RawMessage, error) {
	bad := func(hint string, err error) error {
		return fault.New(fault.BadInput, hint, "%s: %w", name, err)
	}
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil, bad("correct the path: it is relative to fastship.yaml", errors.New("no such file"))
	case err != nil:
		return nil, bad("", err)
	case info.Size() > maxDefinition:
		return nil, bad("ECS takes at most 64 KiB", fmt.Errorf("the file has %d bytes", info.Size()))
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, bad("", err)
	}
	value, err := parseDefinition(text)
	if err != nil {
		return nil, bad("write it as the input of RegisterTaskDefinition, in JSON or YAML", err)
	}
	if value, err = expandAll(value, getenv, ""); err != nil {
		return nil, bad("set the variable, or give a default: ${VAR:-default}", err)
	}
	m, ok := value.(map[string]any)
	if !ok {
		return nil, bad("write it as the input of RegisterTaskDefinition, in JSON or YAML", errors.New("it is no object"))
	}
	if inner, wrapped := m["taskDefinition"].(map[string]any); wrapped && len(m) <= 2 { // as `aws ecs describe-task-definition` prints it
		m = inner
	}
	raw, err := json.Marshal(m)
	if err != nil {
		return nil, bad("", err)
	}
	return raw, nil
}

func parseDefinition(text []byte) (value any, err error) {
	if trimmed := bytes.TrimSpace(text); len(trimmed) > 0 && trimmed[0] == '{' && json.Valid(trimmed) {
		d := json.NewDecoder(bytes.NewReader(trimmed))
		d.UseNumber()
		err = d.Decode(&value)
		return value, err
	}
	// The parser is third-party code and the file anybody's.
	defer func() {
		if p := recover(); p != nil {
			value, err = nil, fmt.Errorf("neither JSON nor YAML: %v", p)
		}
	}()
	if err := yaml.Unmarshal(text, &value); err != nil {
		first, _, _ := strings.Cut(yaml.FormatError(err, false, false), "\n")
		return nil, errors.New(first)
	}
	return value, nil
}

// variable is ${VAR}, ${VAR:-default}, or $${.
var variable = regexp.MustCompile(`\$\$\{|\$\{([A-Za-z_][A-Za-z0-9_]*)(:-([^}]*))?\}`)

// expandAll replaces variables in all text values; path names them in errors.
func expandAll(v any, getenv func(string) (string, bool), path string) (any, error) {
	var err error
	switch v := v.(type) {
	case map[string]any:
		for key := range v {
			if v[key], err = expandAll(v[key], getenv, path+"."+key); err != nil {
				return nil, err
			}
		}
	case []any:
		for i := range v {
			if v[i], err = expandAll(v[i], getenv, fmt.Sprintf("%s[%d]", path, i)); err != nil {
				return nil, err
			}
		}
	case string:
		text := variable.ReplaceAllStringFunc(v, func(found string) string {
			m := variable.FindStringSubmatch(found)
			if m[1] == "" {
				return "${"
			}
			value, _ := getenv(m[1])
			switch {
			case value == "" && m[2] != "":
				value = m[3]
			case value == "":
				err = errors.Join(err, fmt.Errorf("%s: ${%s} is not set", strings.TrimPrefix(path, "."), m[1]))
			}
			return value
		})
		return text, err
	}
	return v, nil
}
