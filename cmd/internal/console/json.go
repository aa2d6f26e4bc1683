package console

import (
	"bytes"
	"encoding/json"

	"github.com/fastship/fastship/runner"
)

// json writes one event as one line to Out. Secrets are masked in the body's
// texts before they are encoded, so that no escape can hide one; time, stage,
// event and the names of fields are fastship's own words and stay.
func (c *Console) json(e runner.Event) {
	raw, err := json.Marshal(e.Body)
	if err != nil {
		raw, _ = json.Marshal(map[string]string{"error": err.Error()}) // cannot fail: a map of strings
	}
	e.Body = masked{e.Body.Kind(), maskJSON(raw, c.maskValue)}
	line, err := e.MarshalJSON()
	if err != nil {
		line, _ = json.Marshal(map[string]string{"event": e.Body.Kind(), "error": err.Error()})
	}
	c.write(c.opt.Out, string(line)+"\n")
}

// masked is a body that has been encoded already.
type masked struct {
	kind string
	raw  json.RawMessage
}

// Kind implements runner.Body.
func (m masked) Kind() string { return m.kind }

// MarshalJSON gives the body as it is.
func (m masked) MarshalJSON() ([]byte, error) { return m.raw, nil }

// maskJSON applies mask to every string of a valid JSON text and leaves the
// rest, the order of fields included, as it is. The names of the outermost
// object's fields stay: they are a body's own, while names further in may be
// the keys of a map.
func maskJSON(raw []byte, mask func(string) string) []byte {
	var out bytes.Buffer
	depth := 0
	for len(raw) > 0 {
		start := bytes.IndexByte(raw, '"')
		if start < 0 {
			break
		}
		end := start + 1
		for raw[end] != '"' {
			if raw[end] == '\\' {
				end++
			}
			end++
		}
		end++
		depth += bytes.Count(raw[:start], []byte("{")) - bytes.Count(raw[:start], []byte("}"))
		out.Write(raw[:start])
		literal := raw[start:end]
		raw = raw[end:]
		if depth <= 1 && bytes.HasPrefix(raw, []byte(":")) {
			out.Write(literal)
			continue
		}
		out.Write(maskLiteral(literal, mask))
	}
	out.Write(raw)
	return out.Bytes()
}

func maskLiteral(literal []byte, mask func(string) string) []byte {
	var s string
	if json.Unmarshal(literal, &s) != nil {
		return literal
	}
	clean := mask(s)
	if clean == s {
		return literal
	}
	encoded, _ := json.Marshal(clean) // cannot fail: a string
	return encoded
}
