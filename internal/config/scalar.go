package config

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"time"

	"go.yaml.in/yaml/v3"
)

const textStyles = yaml.DoubleQuotedStyle | yaml.SingleQuotedStyle | yaml.LiteralStyle | yaml.FoldedStyle

// The forms of plain scalars are those of the YAML 1.1 type repository
// (https://yaml.org/type/) as PyYAML narrows them: a float needs a point, and
// its exponent a sign.
var (
	boolForm = regexp.MustCompile(`^(?:yes|Yes|YES|no|No|NO|true|True|TRUE|false|False|FALSE|on|On|ON|off|Off|OFF)$`)
	nullForm = regexp.MustCompile(`^(?:~|null|Null|NULL|)$`)
	intForm  = regexp.MustCompile(`^[-+]?(?:` +
		`0b[01_]+|0x[0-9a-fA-F_]+|` + // base 2 and 16
		`0[0-7_]+|0|[1-9][0-9_]*|` + // base 8 and 10
		`[1-9][0-9_]*(?::[0-5]?[0-9])+)$`) // base 60
	floatForm = regexp.MustCompile(`^(?:` +
		`[-+]?[0-9][0-9_]*\.[0-9_]*(?:[eE][-+][0-9]+)?|` +
		`\.[0-9][0-9_]*(?:[eE][-+][0-9]+)?|` + // no sign here: -.5 is text
		`[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+\.[0-9_]*|` + // base 60
		`[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$`)
	timeForm = regexp.MustCompile(`^(?:[0-9]{4}-[0-9]{2}-[0-9]{2}|` +
		`[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}(?:[Tt]|[ \t]+)[0-9]{1,2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]*)?` +
		`(?:[ \t]*(?:Z|[-+][0-9]{1,2}(?::[0-9]{2})?))?)$`)
)

// tagOf is the short tag of a scalar: as written, else by its quotes, else by
// its form.
func tagOf(n *yaml.Node) string {
	switch {
	case n.Style&yaml.TaggedStyle != 0:
		return n.Tag
	case n.Style&textStyles != 0:
		return "!!str"
	}
	return plainTag(n.Value)
}

func plainTag(text string) string {
	switch {
	case nullForm.MatchString(text):
		return "!!null"
	case boolForm.MatchString(text):
		return "!!bool"
	case intForm.MatchString(text):
		return "!!int"
	case floatForm.MatchString(text):
		return "!!float"
	case timeForm.MatchString(text):
		return "!!timestamp"
	case text == "<<":
		return "!!merge"
	case text == "=":
		return "!!value"
	}
	return "!!str"
}

// scalar returns the value of a scalar node.
func scalar(n *yaml.Node) (v any, err error) {
	ok := true
	tag := tagOf(n)
	switch tag {
	case "!!str":
		return n.Value, nil
	case "!!null":
		return nil, nil
	case "!!bool":
		v, ok = parseBool(n.Value)
	case "!!int":
		v, ok = parseInt(n.Value)
	case "!!float":
		v, ok = parseFloat(n.Value)
	case "!!timestamp":
		v, ok = parseTime(n.Value)
	case "!!merge", "!!value":
		return nil, lineError(n, "%q has a meaning of its own in YAML; put it in quotes", n.Value)
	default:
		return nil, lineError(n, "the tag %q is not supported", clip(tag))
	}
	if !ok {
		return nil, lineError(n, "not a valid %s; put it in quotes if it is text", tag[2:])
	}
	return v, nil
}

// keyText is the text of a key with value v, written as text.
func keyText(v any, text string) string {
	switch v := v.(type) {
	case nil:
		return "null"
	case bool:
		return strconv.FormatBool(v)
	case int64, json.Number:
		return fmt.Sprint(v)
	case float64:
		return floatText(v)
	case time.Time:
		return text
	}
	return v.(string)
}
