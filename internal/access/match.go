package access

import (
	"slices"

	secrets "github.com/datasette-secrets/datasette-secrets"
)

// Matches tells whether an allow block matches an actor, as Datasette's
// actor_matches_allow does:
//
//   - true and null match everybody, false nobody;
//   - {unauthenticated: true} matches an anonymous visitor;
//   - {key: "*"} matches an actor that has the key, whatever is in it;
//   - {key: value} and {key: [value, …]} match an actor with one of these
//     values, or one of these in its list, under the key;
//   - of several keys one has to match, so {} matches nobody.
//
// Where Datasette fails with an error, such as for a block that is a text, the
// answer is false.
func Matches(actor secrets.Actor, allow any) bool {
	switch allow := allow.(type) {
	case nil:
		return true
	case bool:
		return allow
	case map[string]any:
		return matchesBlock(actor, allow)
	}
	return false
}

func matchesBlock(actor secrets.Actor, block map[string]any) bool {
	if actor == nil && block["unauthenticated"] == true {
		return true
	}
	for key, values := range block {
		if v, ok := actor[key]; ok && matchesKey(v, values) {
			return true
		}
	}
	return false
}

// matchesKey compares what an actor has under a key with what the block has
// there. A mapping, or a list inside a list, on either side is no match:
// Datasette compares sets, and Python cannot put either of them in one.
func matchesKey(have, want any) bool {
	if want == "*" {
		return true
	}
	if have == nil {
		return false
	}
	haves, wants := listOf(have), listOf(want)
	if !all(haves, scalar) || !all(wants, scalar) {
		return false
	}
	return slices.ContainsFunc(haves, func(h any) bool {
		return slices.ContainsFunc(wants, func(w any) bool { return equal(h, w) })
	})
}

func all(list []any, ok func(any) bool) bool {
	return !slices.ContainsFunc(list, func(v any) bool { return !ok(v) })
}

// listOf returns a list as it is and everything else as a list of one.
func listOf(v any) []any {
	if list, ok := v.([]any); ok {
		return list
	}
	return []any{v}
}

// equal compares two scalars as Python does: texts by their characters, numbers
// by their value, with true as 1 and false as 0, and never a text with a number.
func equal(a, b any) bool {
	switch a := a.(type) {
	case nil:
		return b == nil
	case string:
		text, ok := b.(string)
		return ok && a == text
	}
	x, xok := numeric(a)
	y, yok := numeric(b)
	return xok && yok && x.equal(y)
}

func numeric(v any) (number, bool) {
	if b, ok := v.(bool); ok {
		if b {
			return intNumber(1), true
		}
		return intNumber(0), true
	}
	return numberOf(v)
}
