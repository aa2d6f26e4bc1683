package spec

import (
	"bytes"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/fastship/fastship/internal/near"
	"github.com/goccy/go-yaml/ast"
)

// decoder turns the syntax tree of one file into a Spec. It works on the tree
// rather than by struct tags alone, since every fault must be told with its
// place.
type decoder struct {
	name   string
	text   []byte
	getenv func(string) (string, bool)
	named  map[string]ast.Node // anchors
	env    string              // the environment of this run, whose variables must be set
	absent bool                // this is another one: texts with variables in them are not known
}

// anchors collects what aliases may point at.
type anchors struct{ d *decoder }

// Visit implements ast.Visitor.
func (a anchors) Visit(n ast.Node) ast.Visitor {
	if anchor, ok := n.(*ast.AnchorNode); ok && anchor.Name != nil {
		if a.d.named == nil {
			a.d.named = map[string]ast.Node{}
		}
		a.d.named[anchor.Name.GetToken().Value] = anchor.Value
	}
	return a
}

// maxAliases bounds how many aliases in a row point at aliases.
const maxAliases = 8

// resolve follows anchors and aliases to what they stand for. asText tells of
// a !!str tag, the only one with a meaning here.
func (d *decoder) resolve(n ast.Node) (node ast.Node, asText bool, err error) {
	for range maxAliases {
		switch t := n.(type) {
		case *ast.AnchorNode:
			n = t.Value
		case *ast.AliasNode:
			target, ok := d.named[t.Value.GetToken().Value]
			if !ok {
				name := t.Value.GetToken().Value
				return nil, false, d.fail(n, "where it is text, put it in quotes: "+quote("*"+name), "no anchor &%s in this file", name)
			}
			n = target
		case *ast.TagNode:
			if t.GetToken().Value != "!!str" || t.Value == nil {
				return nil, false, d.fail(n, "leave it out", "the tag %s has no meaning here", t.GetToken().Value)
			}
			n, asText = t.Value, true
		case nil:
			return nil, false, d.failAt(1, 1, "", "not YAML: a value is missing")
		default:
			return n, asText, nil
		}
	}
	return nil, false, d.fail(n, "", "aliases that point at aliases")
}

// entry is one key of a mapping and its value.
type entry struct {
	name  string
	key   ast.Node
	value ast.Node
}

// entries lists a mapping's keys, those merged in by << last. path names the
// mapping in errors, empty for the file.
func (d *decoder) entries(n ast.Node, path string) ([]entry, error) {
	var list, merged []entry
	m, _, err := d.resolve(n)
	if err != nil || isNull(m) {
		return nil, err
	}
	values, ok := valuesOf(m)
	if !ok {
		return nil, d.wrongType(n, m, path, "keys and values")
	}
	for _, v := range values {
		switch v.Key.(type) {
		case *ast.MergeKeyNode:
			more, err := d.merge(v.Value, path)
			if err != nil {
				return nil, err
			}
			merged = append(merged, more...)
			continue
		case *ast.MappingKeyNode:
			return nil, d.fail(v.Key, "", "write a key as name: value")
		}
		if !v.IsFlowStyle && !isFlow(m) {
			if err := d.indentation(v.Key); err != nil {
				return nil, err
			}
		}
		name := v.Key.GetToken().Value
		if at := slices.IndexFunc(list, func(e entry) bool { return e.name == name }); at >= 0 {
			return nil, d.fail(v.Key, "keep one of them", "%s is there twice, first in line %d", name, list[at].key.GetToken().Position.Line)
		}
		list = append(list, entry{name, v.Key, v.Value})
	}
	for _, e := range merged {
		if !slices.ContainsFunc(list, func(own entry) bool { return own.name == e.name }) {
			list = append(list, e)
		}
	}
	return list, nil
}

// indentation refuses a line that begins with a tab, which the parser lets
// pass when spaces come first: editors disagree on how deep it stands.
func (d *decoder) indentation(key ast.Node) error {
	line := key.GetToken().Position.Line
	text := lineOf(d.text, line)
	indent := text[:len(text)-len(bytes.TrimLeft(text, " \t"))]
	if at := bytes.IndexByte(indent, '\t'); at >= 0 {
		return d.tab(line, at+1)
	}
	return nil
}

func isFlow(n ast.Node) bool {
	m, ok := n.(*ast.MappingNode)
	return ok && m.IsFlowStyle
}

func valuesOf(n ast.Node) ([]*ast.MappingValueNode, bool) {
	switch m := n.(type) {
	case *ast.MappingNode:
		return m.Values, true
	case *ast.MappingValueNode:
		return []*ast.MappingValueNode{m}, true
	}
	return nil, false
}

// merge lists what << takes over: a mapping without << of its own.
func (d *decoder) merge(n ast.Node, path string) ([]entry, error) {
	m, _, err := d.resolve(n)
	if err != nil {
		return nil, err
	}
	values, ok := valuesOf(m)
	if !ok {
		return nil, d.wrongType(n, m, "<<", "keys and values")
	}
	for _, v := range values {
		if _, again := v.Key.(*ast.MergeKeyNode); again {
			return nil, d.fail(n, "", "<< of a mapping that has << itself")
		}
	}
	return d.entries(m, path)
}

// section decodes the entries of a mapping into a struct.
func (d *decoder) section(entries []entry, into reflect.Value, path string) error {
	fields := fieldsOf(into.Type(), path)
	for _, e := range entries {
		at := slices.IndexFunc(fields, func(f field) bool { return f.name == e.name })
		if at < 0 {
			return d.unknown(e, fields, path)
		}
		if err := d.value(e.value, into.FieldByIndex(fields[at].index), fields[at].path); err != nil {
			return err
		}
	}
	return nil
}

// unknown names the key that was meant: a near one here, or one of the same
// name in another section.
func (d *decoder) unknown(e entry, fields []field, path string) error {
	var here, leaves []string
	for _, f := range fields {
		here = append(here, f.name)
	}
	paths := map[string][]string{} // by last word
	for _, f := range allFields() {
		leaves = append(leaves, f.name)
		if strings.Contains(f.path, ".") {
			paths[f.name] = append(paths[f.name], f.path)
		}
	}
	where := ""
	if path != "" {
		where = " in " + path
	}
	message := fmt.Sprintf("unknown key %q%s", e.name, where)
	hint := "the keys" + where + ": " + strings.Join(here, ", ")
	elsewhere := paths[e.name]
	if guess := near.Names(e.name, leaves, 1); len(elsewhere) == 0 && len(guess) > 0 {
		elsewhere = paths[guess[0]]
	}
	plain := strings.NewReplacer("-", "", "_", "").Replace(e.name)
	if guess := near.Names(plain, here, 1); len(guess) > 0 {
		message += fmt.Sprintf("; did you mean %q?", guess[0])
	} else if len(elsewhere) > 0 {
		message += fmt.Sprintf("; did you mean %s?", strings.Join(elsewhere, " or "))
	}
	return d.fail(e.key, hint, "%s", message)
}

func isNull(n ast.Node) bool { return n != nil && n.Type() == ast.NullType }

var durationType = reflect.TypeFor[time.Duration]()

// value decodes one value into a field. null is as good as leaving the key
// out.
func (d *decoder) value(n ast.Node, into reflect.Value, path string) error {
	if into.Kind() == reflect.Struct {
		entries, err := d.entries(n, path)
		if err != nil {
			return err
		}
		return d.section(entries, into, path)
	}
	node, asText, err := d.resolve(n)
	if err != nil || isNull(node) {
		return err
	}
	if into.Kind() == reflect.Pointer {
		target := reflect.New(into.Type().Elem())
		if err := d.value(n, target.Elem(), path); err != nil {
			return err
		}
		into.Set(target)
		return nil
	}
	switch into.Kind() {
	case reflect.Slice:
		return d.list(n, node, into, path)
	case reflect.Map:
		return d.mapping(n, into, path)
	}
	s, err := d.scalar(n, node, asText, path, into.Type())
	if err != nil {
		return err
	}
	return d.assign(node, s, into, path)
}

// unquoted is text that YAML reads as text, also in brackets.
var unquoted = regexp.MustCompile(`^(?:[A-Za-z_./]|-+[A-Za-z])[\w./=:+-]*$`)

// flow writes words as a list in brackets.
func flow(words string) string {
	var items []string
	for word := range strings.FieldsSeq(words) {
		word = strings.TrimSuffix(word, ",")
		if !unquoted.MatchString(word) || strings.HasSuffix(word, ":") {
			word = quote(word)
		}
		items = append(items, word)
	}
	return "[" + strings.Join(items, ", ") + "]"
}

func (d *decoder) list(n, node ast.Node, into reflect.Value, path string) error {
	seq, ok := node.(*ast.SequenceNode)
	if !ok {
		err := d.wrongType(n, node, path, "a list")
		if t := node.GetToken(); t != nil && slices.Contains([]string{"text", "number"}, kindName(node)) {
			err.hint = "write " + flow(t.Value)
		}
		return err
	}
	out := reflect.MakeSlice(into.Type(), 0, len(seq.Values))
	for _, v := range seq.Values {
		if into.Type().Elem().Kind() == reflect.Struct {
			element := reflect.New(into.Type().Elem()).Elem()
			if err := d.value(v, element, path); err != nil {
				return err
			}
			out = reflect.Append(out, element)
			continue
		}
		item, asText, err := d.resolve(v)
		if err != nil {
			return err
		}
		s, err := d.scalar(v, item, asText, path, into.Type().Elem())
		if err != nil {
			return err
		}
		element := reflect.New(into.Type().Elem()).Elem()
		if s.text == "" {
			return d.fail(v, "leave it out", "an empty item in %s", path)
		}
		if err := d.assign(item, s, element, path); err != nil {
			return err
		}
		out = reflect.Append(out, element)
	}
	into.Set(out)
	return nil
}

// mapping decodes names of the user's choice and their values. A name whose
// value is null is left out; an empty text is a value.
func (d *decoder) mapping(n ast.Node, into reflect.Value, path string) error {
	entries, err := d.entries(n, path)
	if err != nil {
		return err
	}
	out := reflect.MakeMap(into.Type())
	for _, e := range entries {
		if check := keyOf(path).name; check != nil {
			if err := check(e.name); err != nil {
				return d.fail(e.key, hintOf(err), "%s: %v", path, err)
			}
		}
		node, _, err := d.resolve(e.value)
		if err != nil {
			return err
		}
		element := reflect.New(into.Type().Elem()).Elem()
		if isNull(node) && element.Kind() != reflect.Struct {
			continue
		}
		if err := d.value(e.value, element, path); err != nil {
			return err
		}
		out.SetMapIndex(reflect.ValueOf(e.name), element)
	}
	if out.Len() > 0 {
		into.Set(out)
	}
	return nil
}

// scalar is a value's text once variables are replaced in it.
type scalar struct {
	text string
	kind ast.NodeType // as it is written; StringType for text
	// expanded says that a variable gave some of the text, which then may be
	// of any type.
	expanded bool
}

func (d *decoder) scalar(at, n ast.Node, asText bool, path string, want reflect.Type) (scalar, error) {
	s := scalar{kind: n.Type()}
	switch t := n.(type) {
	case *ast.StringNode:
		s.text = t.Value
	case *ast.LiteralNode:
		s.text, s.kind = t.Value.Value, ast.StringType
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
		s.text = n.GetToken().Value
	default:
		err := d.wrongType(at, n, path, wanted(want))
		if kindName(n) == "keys and values" && wanted(want) == "text" {
			err.hint = "where the colon belongs to the text, put the text in quotes"
		}
		return s, err
	}
	if asText {
		s.kind = ast.StringType
	}
	if s.kind != ast.StringType {
		return s, nil
	}
	text, expanded, err := expand(s.text, d.getenv)
	if err != nil {
		return s, d.fail(n, hintOf(err), "%s: %v", path, err)
	}
	s.text, s.expanded = text, expanded
	return s, nil
}

// assign converts a scalar to the field's type and has it checked.
func (d *decoder) assign(n ast.Node, s scalar, into reflect.Value, path string) error {
	if d.absent && s.expanded {
		return nil
	}
	mistyped := func() error {
		if s.expanded {
			return d.fail(n, "", "%s wants %s, not %s", path, wanted(into.Type()), quote(s.text))
		}
		return d.wrongType(n, n, path, wanted(into.Type()))
	}
	switch {
	case into.Type() == durationType:
		v, err := time.ParseDuration(s.text)
		if err != nil || s.kind != ast.StringType {
			return d.fail(n, "", "%s wants a duration such as 15m or 90s, not %s", path, quote(s.text))
		}
		if v <= 0 {
			return d.fail(n, "", "%s must be longer than nothing", path)
		}
		into.SetInt(int64(v))
	case into.Kind() == reflect.String:
		if s.kind != ast.StringType && !keyOf(path).plain {
			return d.fail(n, "put it in quotes: "+quote(s.text), "%s wants text, not the %s %s", path, kindName(n), s.text)
		}
		into.SetString(s.text)
	case into.Kind() == reflect.Bool:
		v, err := strconv.ParseBool(strings.ToLower(s.text))
		if err != nil || len(s.text) == 1 || s.kind != ast.BoolType && !s.expanded {
			return mistyped()
		}
		into.SetBool(v)
	case into.Kind() == reflect.Int:
		v, err := strconv.Atoi(s.text)
		if err != nil || s.kind != ast.IntegerType && !s.expanded {
			return mistyped()
		}
		into.SetInt(int64(v))
	default:
		panic("spec: no way to read a " + into.Type().String()) // a Config's new field, and no test of it
	}
	if check := keyOf(path).check; check != nil && s.text != "" {
		if err := check(s.text); err != nil {
			return d.fail(n, hintOf(err), "%s: %v", path, err)
		}
	}
	return nil
}

// wrongType reports at a node, which may be an alias, what it stands for.
func (d *decoder) wrongType(at, n ast.Node, path, want string) *Error {
	if path == "" {
		path = "fastship.yaml"
	}
	return d.fail(at, "", "%s wants %s, not %s", path, want, article(kindName(n)))
}

func article(noun string) string {
	if noun == "text" || noun == "keys and values" || noun == "nothing" {
		return noun
	}
	return "a " + noun
}

func kindName(n ast.Node) string {
	switch n.(type) {
	case *ast.StringNode, *ast.LiteralNode:
		return "text"
	case *ast.IntegerNode, *ast.FloatNode, *ast.InfinityNode, *ast.NanNode:
		return "number"
	case *ast.BoolNode:
		return "boolean"
	case *ast.SequenceNode:
		return "list"
	case *ast.NullNode:
		return "nothing"
	}
	return "keys and values"
}

func wanted(t reflect.Type) string {
	switch {
	case t == durationType:
		return "a duration such as 15m or 90s"
	case t.Kind() == reflect.Bool:
		return "true or false"
	case t.Kind() == reflect.Int:
		return "a whole number"
	}
	return "text"
}
