package access

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	secrets "github.com/datasette-secrets/datasette-secrets"
)

// rule is one block of the configuration: nil for none, a bool, or an allow
// block (map[string]any) that newRule has checked.
type rule struct {
	path  string
	block any
}

// newRule checks a block. As on Datasette's command line, the integers 1 and 0
// are true and false.
func newRule(path string, block any) (rule, error) {
	switch b := block.(type) {
	case nil, bool:
		return rule{path, b}, nil
	case map[string]any:
		copied, err := newAllowBlock(path, b)
		return rule{path, copied}, err
	}
	if n, ok := numberOf(block); ok && n.isInt() {
		for i, value := range []bool{false, true} {
			if n.equal(intNumber(int64(i))) {
				return rule{path, value}, nil
			}
		}
	}
	return rule{}, fmt.Errorf("%s: expected true, false, 1, 0 or an allow block such as {id: root}, not %s", path, kind(block))
}

// newAllowBlock copies an allow block, so that nobody can change it later. Its
// values are scalars and lists of scalars: nothing else can match an actor.
func newAllowBlock(path string, block map[string]any) (map[string]any, error) {
	block = maps.Clone(block)
	for _, key := range slices.Sorted(maps.Keys(block)) {
		value := block[key]
		if list, ok := value.([]any); ok {
			value = slices.Clone(list)
			block[key] = value
		}
		for _, v := range listOf(value) {
			if !scalar(v) {
				return nil, fmt.Errorf("%s.%s: expected a text, a number, true, false or a list of these, not %s",
					path, key, misplaced(value, v))
			}
		}
	}
	return block, nil
}

func misplaced(value, element any) string {
	if _, ok := value.([]any); ok {
		return "a list with " + kind(element) + " in it"
	}
	return kind(element)
}

// scalar tells whether YAML or JSON calls v a scalar. A date is one, although
// it matches nobody: JSON has no dates.
func scalar(v any) bool {
	switch v.(type) {
	case nil, string, bool, time.Time:
		return true
	}
	_, ok := numberOf(v)
	return ok
}

// kind names what a value is in the words of YAML, without showing it.
func kind(v any) string {
	switch v.(type) {
	case nil:
		return "nothing"
	case bool:
		return "true or false"
	case string:
		return "a text"
	case time.Time:
		return "a date"
	case []any:
		return "a list"
	case map[string]any:
		return "a mapping"
	case int, int64, uint64, float64, json.Number:
		return "this number"
	}
	return "a value of another kind"
}

// finding asks the rule, which has a block, about an actor.
func (r rule) finding(actor secrets.Actor) Finding {
	f := Finding{Verdict: Allows, Place: r.path, block: true}
	switch value, isBool := r.block.(bool); {
	case isBool && value:
		f.Rule, f.Turn = r.path+" is true", "if it were false"
	case isBool:
		f.Verdict, f.Rule, f.Turn = Denies, r.path+" is false", "if it were true"
	case Matches(actor, r.block):
		f.Rule, f.Turn = r.path+" matches "+who(actor), "if it did not match "+who(actor)
	default:
		f.Verdict, f.Rule, f.Turn = Denies, r.path+" does not match "+who(actor), "if it matched "+who(actor)
	}
	return f
}

// looksAtActors reports whether what the rule says depends on the actor.
func (r rule) looksAtActors() bool {
	_, isBlock := r.block.(map[string]any)
	return isBlock
}

func who(actor secrets.Actor) string {
	if actor == nil {
		return "someone who is not signed in"
	}
	return "this actor"
}
