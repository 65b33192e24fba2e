package access

import "strings"

// Verdict is what one rule says to a question.
type Verdict string

// The verdicts. One that denies beats every other, and without one that allows
// the answer is no.
const (
	Allows Verdict = "allows"
	Denies Verdict = "denies"
	Passes Verdict = "passes" // no objection, which is not enough
)

// Finding is what one rule has to say to a question.
type Finding struct {
	Verdict Verdict
	Rule    string // a sentence for people
	Place   string // where the rule is: mostly a path in the configuration file
	Turn    string // what at its place would turn the verdict, "if …"
	Class   error  // of the refusal; nil for the general one

	block bool // a rule that says who, so that turning it is enough for an answer
}

// Places that are in no configuration file.
const (
	rootFlag          = "--root"
	restrictionsPlace = "the list _r.a of the actor"
)

// Conclude makes a decision of what the rules say: the first that denies, else
// the first that allows.
func Conclude(action string, all []Finding) Decision {
	if f := deciding(all); f != nil {
		return Decision{Allowed: f.Verdict == Allows, Reason: f.Rule, Place: f.InFile()}
	}
	return Decision{Reason: "no rule allows " + action}
}

// Refused is the first finding that denies, nil if none does.
func Refused(all []Finding) *Finding {
	for i := range all {
		if all[i].Verdict == Denies {
			return &all[i]
		}
	}
	return nil
}

// deciding is the finding that decides; nil if nothing allows or denies.
func deciding(all []Finding) *Finding {
	if f := Refused(all); f != nil {
		return f
	}
	for i := range all {
		if all[i].Verdict == Allows {
			return &all[i]
		}
	}
	return nil
}

// InFile is the rule's place in the configuration file, empty for one that is
// in none.
func (f Finding) InFile() string {
	if f.block || strings.HasPrefix(f.Place, ownBlock+".") {
		return f.Place
	}
	return ""
}

// Change is one thing that would have to be different: "permissions.x" and "if
// it matched this actor".
type Change struct {
	Place string
	If    string
}

// String is the change in one line.
func (c Change) String() string { return c.Place + ", " + c.If }

// Nearest is what would have to be different for another answer: one change
// that takes away what is allowed, or all those together that it takes to allow
// what is denied.
func Nearest(action string, all []Finding) []Change {
	decided := Conclude(action, all)
	if decided.Allowed {
		return []Change{whatDenies(action, all)}
	}
	var changes []Change
	allowed := false
	for _, f := range all {
		switch {
		case f.Verdict == Allows:
			allowed = true
		case f.Verdict == Denies && f.Turn == "":
			return nil // nothing would help
		case f.Verdict == Denies:
			changes = append(changes, Change{f.Place, f.Turn})
			allowed = allowed || f.block
		}
	}
	if !allowed {
		changes = append(changes, Change{"permissions." + action, "if it were there and true"})
	}
	return changes
}

// whatDenies is what would deny what is allowed: the rule that looked at the
// actor, or a new one.
func whatDenies(action string, all []Finding) Change {
	for _, f := range all {
		if f.Verdict == Allows && f.block {
			return Change{f.Place, f.Turn}
		}
	}
	return Change{"permissions." + action, "if it were there and false"}
}
