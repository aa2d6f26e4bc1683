package mvn

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/fastship/fastship/internal/fault"
)

// Pom is what fastship reads of a pom.xml by itself, as written: nothing is
// inherited or interpolated. Maven's own view comes from the spy.
type Pom struct {
	Path         string     `xml:"-"`
	ModelVersion string     `xml:"modelVersion"`
	Group        string     `xml:"groupId"`
	Artifact     string     `xml:"artifactId"`
	Packaging    string     `xml:"packaging"`
	Parent       *Parent    `xml:"parent"`
	Modules      []string   `xml:"modules>module"`
	Subprojects  []string   `xml:"subprojects>subproject"` // model 4.1.0's word
	Properties   Properties `xml:"properties"`
	Plugins      []Plugin   `xml:"build>plugins>plugin"`
	Managed      []Plugin   `xml:"build>pluginManagement>plugins>plugin"`
	Profiles     []Profile  `xml:"profiles>profile"`
	Repositories []Remote   `xml:"repositories>repository"`
	PluginRepos  []Remote   `xml:"pluginRepositories>pluginRepository"`
	Deploys      []Remote   `xml:"distributionManagement>repository"`
	Snapshots    []Remote   `xml:"distributionManagement>snapshotRepository"`
}

// Parent points at the pom that a pom inherits from.
type Parent struct {
	Group        string  `xml:"groupId"`
	Artifact     string  `xml:"artifactId"`
	Version      string  `xml:"version"`
	RelativePath *string `xml:"relativePath"` // nil means ../pom.xml
}

// Profile is a profile as far as it can change modules and properties.
type Profile struct {
	ID              string     `xml:"id"`
	ActiveByDefault bool       `xml:"activation>activeByDefault"`
	Modules         []string   `xml:"modules>module"`
	Subprojects     []string   `xml:"subprojects>subproject"`
	Properties      Properties `xml:"properties"`
	Repositories    []Remote   `xml:"repositories>repository"`
	PluginRepos     []Remote   `xml:"pluginRepositories>pluginRepository"`
}

// Plugin is a plugin's place in a pom, with what the compiler plugin's
// configuration says on Java releases.
type Plugin struct {
	Artifact string `xml:"artifactId"`
	Release  string `xml:"configuration>release"`
	Source   string `xml:"configuration>source"`
	Target   string `xml:"configuration>target"`

	Rules      EnforcerRules `xml:"configuration>rules"`
	Executions []Execution   `xml:"executions>execution"`
}

// Properties are the elements of a properties element.
type Properties map[string]string

// UnmarshalXML implements xml.Unmarshaler.
func (p *Properties) UnmarshalXML(d *xml.Decoder, _ xml.StartElement) error {
	if *p == nil {
		*p = Properties{}
	}
	for {
		token, err := d.Token()
		if err != nil {
			return err
		}
		switch t := token.(type) {
		case xml.StartElement:
			var value string
			if err := d.DecodeElement(&value, &t); err != nil {
				return err
			}
			(*p)[t.Name.Local] = strings.TrimSpace(value)
		case xml.EndElement:
			return nil
		}
	}
}

// ReadPom reads a pom.xml. What is no XML, or no pom, gives an error of class
// fault.BadInput with file, line and column.
func ReadPom(path string) (*Pom, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fault.New(fault.BadInput, "", "read the project's pom: %w", err)
	}
	p, err := ParsePom(path, text)
	if err != nil {
		return nil, fault.As(fault.BadInput, err)
	}
	return p, nil
}

// errEncoding is a pom in an encoding that only Maven can read.
var errEncoding = errors.New("encoding not known")

// ParsePom reads the text of a pom.xml; path stands in its errors.
func ParsePom(path string, text []byte) (*Pom, error) {
	d := xml.NewDecoder(bytes.NewReader(bytes.TrimPrefix(text, []byte("\ufeff"))))
	d.Entity = xml.HTMLEntity // Maven's reader knows them too
	d.CharsetReader = charset
	p := &Pom{Path: path}
	if err := decodePom(d, p); err != nil {
		if errors.Is(err, errEncoding) {
			return &Pom{Path: path}, nil // nothing known, and Maven may well read it
		}
		line, column := d.InputPos()
		if stray, ok := errors.AsType[*strayText](err); ok {
			line, column = stray.line, stray.column
		}
		if syntax, ok := errors.AsType[*xml.SyntaxError](err); ok {
			err = errors.New(syntax.Msg)
		}
		return nil, fmt.Errorf("%s:%d:%d: not a pom: %w", path, line, column, err)
	}
	return p, nil
}

func decodePom(d *xml.Decoder, p *Pom) error {
	for {
		line, column := d.InputPos()
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return errors.New("it has no <project> element")
		}
		if err != nil {
			return err
		}
		switch t := token.(type) {
		case xml.CharData:
			if err := stray(t, line, column, "text before the first element; it is not XML"); err != nil {
				return err
			}
		case xml.StartElement:
			if t.Name.Local != "project" {
				return fmt.Errorf("its root element is <%s>, not <project>", t.Name.Local)
			}
			if err := d.DecodeElement(p, &t); err != nil {
				return err
			}
			return rest(d)
		}
	}
}

// rest reads what follows the root element, where only comments may stand.
func rest(d *xml.Decoder) error {
	for {
		line, column := d.InputPos()
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		switch t := token.(type) {
		case xml.StartElement:
			return fmt.Errorf("<%s> after the end of <project>", t.Name.Local)
		case xml.CharData:
			if err := stray(t, line, column, "text after the end of <project>"); err != nil {
				return err
			}
		}
	}
}

// strayText is text where only elements may stand.
type strayText struct {
	line, column int
	what         string
}

func (e *strayText) Error() string { return e.what }

// stray returns the place of the first character of text that is no white
// space; text begins at line and column.
func stray(text []byte, line, column int, what string) error {
	for _, b := range text {
		switch b {
		case '\n':
			line, column = line+1, 1
		case ' ', '\t', '\r':
			column++
		default:
			return &strayText{line, column, what}
		}
	}
	return nil
}

// charset reads the single-byte encodings in which old poms are written. In
// what fastship looks at, the windows-1252 letters beyond Latin-1 do not occur.
func charset(name string, in io.Reader) (io.Reader, error) {
	switch strings.ToLower(name) {
	case "iso-8859-1", "iso-8859-15", "latin1", "windows-1252", "cp1252", "us-ascii", "ascii":
	default:
		return nil, errEncoding
	}
	text, err := io.ReadAll(in)
	if err != nil {
		return nil, err
	}
	var out strings.Builder
	for _, b := range text {
		out.WriteRune(rune(b))
	}
	return strings.NewReader(out.String()), nil
}

// Interpolate replaces each ${name} that look knows, as Maven does in poms and
// settings; unknown ones stay as they are.
func Interpolate(s string, look func(name string) (string, bool)) string {
	var out strings.Builder
	for depth := 0; depth < 32; depth++ { // a value may hold further ${…}; a cycle must end
		start := strings.Index(s, "${")
		end := strings.Index(s[max(start, 0):], "}")
		if start < 0 || end < 0 {
			break
		}
		end += start
		value, ok := look(s[start+2 : end])
		if !ok {
			out.WriteString(s[:end+1])
			s = s[end+1:]
			continue
		}
		s = s[:start] + value + s[end+1:]
	}
	out.WriteString(s)
	return out.String()
}
