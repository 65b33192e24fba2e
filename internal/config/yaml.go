package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"go.yaml.in/yaml/v3"
)

const (
	// maxDepth bounds nesting. It is also what stops an anchor that contains
	// itself.
	maxDepth = 500

	// freeNodes is how much a small file may grow by its aliases, in nodes and
	// characters. A file with no aliases cannot reach its limit.
	freeNodes = 100_000
)

// ParseYAML reads data as PyYAML's safe_load does, for the core types: null,
// booleans, integers, floats, timestamps, strings, sequences and mappings.
// Of a repeated key the last value counts, and "<<" merges mappings.
//
// It differs in this. Keys that are not strings, which Python keeps, become
// the text that they would have as JSON keys: true, null, 8. A date is a
// time.Time at midnight UTC, as is a time without zone. The tags !!binary,
// !!omap, !!pairs and !!set are refused, and so is what grows beyond reason by
// its aliases. An anchor may be defined again. Inside {} and [], a ":" must be
// followed by a space.
func ParseYAML(data []byte) (any, error) {
	if err := checkText(data); err != nil {
		return nil, err
	}
	if at := bytes.IndexFunc(data, isControl); at >= 0 {
		return nil, fmt.Errorf("line %d: a control character that cannot be shown", lineAt(data, int64(at)))
	}
	dec := yaml.NewDecoder(bytes.NewReader(data))
	var doc yaml.Node
	if err := dec.Decode(&doc); err == io.EOF {
		return nil, nil
	} else if err != nil {
		return nil, yamlError(data, err)
	}
	var next yaml.Node
	if err := dec.Decode(&next); err == nil {
		return nil, fmt.Errorf("line %d: a second document begins; only one is allowed", next.Line)
	} else if err != io.EOF {
		return nil, yamlError(data, err)
	}
	b := builder{left: 2*len(data) + freeNodes}
	return b.value(&doc, 0)
}

var unknownAnchor = regexp.MustCompile(`unknown anchor '(.*)' referenced`)

// yamlError rewords an error of the YAML library, and adds the line where the
// library leaves it out. The name of an unknown anchor is not repeated: an
// unquoted password may begin with "*".
func yamlError(data []byte, err error) error {
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	if match := unknownAnchor.FindStringSubmatch(text); match != nil {
		line := lineAt(data, int64(bytes.Index(data, []byte("*"+match[1]))))
		return fmt.Errorf(`line %d: a value that begins with "*" refers to an anchor that is not there; put it in quotes if it is text`, line)
	}
	if !strings.HasPrefix(text, "line ") { // the library leaves out the first line
		text = "line 1: " + text
	}
	return errors.New("near " + text)
}

// isControl reports whether YAML does not allow r anywhere.
func isControl(r rune) bool {
	switch r {
	case '\t', '\n', '\r', '\u0085':
		return false
	case '\uFFFE', '\uFFFF':
		return true
	}
	return unicode.IsControl(r)
}

func lineError(n *yaml.Node, format string, args ...any) error {
	return fmt.Errorf("line %d: %s", n.Line, fmt.Sprintf(format, args...))
}

// builder turns nodes into a tree. It expands aliases, so that the tree shares
// nothing and can be walked and printed without surprise, and left is what may
// still be produced.
type builder struct{ left int }

func (b *builder) value(n *yaml.Node, depth int) (any, error) {
	if err := b.spend(n, depth); err != nil {
		return nil, err
	}
	if err := checkColons(n); err != nil {
		return nil, err
	}
	switch n.Kind {
	case yaml.DocumentNode:
		return b.value(n.Content[0], depth)
	case yaml.AliasNode:
		return b.value(n.Alias, depth+1)
	case yaml.SequenceNode:
		return b.sequence(n, depth)
	case yaml.MappingNode:
		return b.mapping(n, depth)
	}
	return scalar(n)
}

func (b *builder) spend(n *yaml.Node, depth int) error {
	if depth > maxDepth {
		return lineError(n, "nested too deeply, or an anchor that contains itself")
	}
	if b.left -= 1 + len(n.Value); b.left < 0 {
		return lineError(n, "the aliases in this file repeat too much")
	}
	return nil
}

// checkColons refuses {a:, b: 1}. To PyYAML its first key is a; the library
// would quietly take it to be "a:".
func checkColons(n *yaml.Node) error {
	if n.Style&yaml.FlowStyle == 0 {
		return nil
	}
	for _, item := range n.Content {
		if item.Kind == yaml.ScalarNode && item.Style&textStyles == 0 && strings.HasSuffix(item.Value, ":") {
			return lineError(item, `inside {} and [], a ":" should be followed by a space`)
		}
	}
	return nil
}

func (b *builder) sequence(n *yaml.Node, depth int) (any, error) {
	if n.Tag != "!!seq" {
		return nil, badTag(n)
	}
	items := make([]any, 0, len(n.Content))
	for _, item := range n.Content {
		v, err := b.value(item, depth+1)
		if err != nil {
			return nil, err
		}
		items = append(items, v)
	}
	return items, nil
}

func (b *builder) mapping(n *yaml.Node, depth int) (any, error) {
	if n.Tag != "!!map" {
		return nil, badTag(n)
	}
	m, err := b.merged(n, depth)
	if err != nil {
		return nil, err
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := target(n.Content[i])
		if isMerge(key) {
			continue
		}
		name, err := b.key(key, depth+1)
		if err != nil {
			return nil, err
		}
		if m[name], err = b.value(n.Content[i+1], depth+1); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// merged returns what the "<<" keys of a mapping bring in. A later "<<" beats
// an earlier one but, in one list of mappings, an earlier mapping a later one.
func (b *builder) merged(n *yaml.Node, depth int) (map[string]any, error) {
	m := map[string]any{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if !isMerge(target(n.Content[i])) {
			continue
		}
		sources := []*yaml.Node{n.Content[i+1]}
		if list := target(n.Content[i+1]); list.Kind == yaml.SequenceNode {
			sources = list.Content
		}
		for _, source := range slices.Backward(sources) {
			if target(source).Kind != yaml.MappingNode {
				return nil, lineError(source, `"<<" should be followed by a mapping or a list of mappings`)
			}
			v, err := b.value(source, depth+1)
			if err != nil {
				return nil, err
			}
			maps.Copy(m, v.(map[string]any))
		}
	}
	return m, nil
}

func isMerge(key *yaml.Node) bool {
	return key.Kind == yaml.ScalarNode && tagOf(key) == "!!merge"
}

// target is the node that an alias stands for, or the node itself.
func target(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode {
		return n.Alias
	}
	return n
}

// key returns the text of a mapping's key.
func (b *builder) key(n *yaml.Node, depth int) (string, error) {
	if err := b.spend(n, depth); err != nil {
		return "", err
	}
	if n.Kind != yaml.ScalarNode {
		return "", lineError(n, "a key should be a single value, not %s", nodeKind(n))
	}
	if tagOf(n) == "!!value" {
		return n.Value, nil
	}
	v, err := scalar(n)
	if err != nil {
		return "", err
	}
	return keyText(v, n.Value), nil
}

func nodeKind(n *yaml.Node) string {
	if n.Kind == yaml.SequenceNode {
		return "a list"
	}
	return "a mapping"
}

func badTag(n *yaml.Node) error {
	return lineError(n, "the tag %q is not supported for %s", clip(n.Tag), nodeKind(n))
}
