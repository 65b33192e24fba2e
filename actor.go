package secrets

import (
	"encoding/json"
	"fmt"
	"strconv"
)

// Actor is who is signed in, as Datasette defines it: a JSON object, usually
// with an "id". A nil Actor is anonymous.
type Actor map[string]any

// NewActor returns the actor {"id": id}, or nil (anonymous) when id is empty.
func NewActor(id string) Actor {
	if id == "" {
		return nil
	}
	return Actor{"id": id}
}

// ID returns the actor's id as the text that is stored in columns such as
// updated_by: a string as it is, a number or boolean as Python's str() writes
// it. It is empty when there is no id or the id is null.
func (a Actor) ID() string { return text(a["id"]) }

// Display returns the name to show in the page's header: the first non-empty
// of display, name, username, login and id.
func (a Actor) Display() string { return a.first("display", "name", "username", "login", "id") }

func (a Actor) first(keys ...string) string {
	for _, key := range keys {
		if s := text(a[key]); s != "" {
			return s
		}
	}
	return ""
}

// text writes a JSON scalar as Python's str() does; other kinds are empty.
func text(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case bool:
		if v {
			return "True"
		}
		return "False"
	case json.Number:
		return v.String()
	case int, int64, uint64:
		return fmt.Sprint(v)
	case float64:
		return strconv.FormatFloat(v, 'g', -1, 64)
	}
	return ""
}

// Proof is how it is known that an actor is who the request says.
type Proof string

// The proofs, strongest first.
const (
	ProofLocal    Proof = "local"     // the operator of the machine, at a command line
	ProofSignedIn Proof = "signed-in" // a ds_actor cookie signed by this host or its Datasette
	ProofToken    Proof = "token"     // a dstok_ bearer token
	ProofVouched  Proof = "vouched"   // the word of a plugin that an administrator lets sign people in
	ProofProven   Proof = "proven"    // a plugin that returns the token which this host gave it with the actor
	ProofAsserted Proof = "asserted"  // a plugin's word for it
	ProofNone     Proof = ""          // nobody is signed in
)

// Caller is who asks for something: an actor, and the plugin it came through,
// if any. It is the first argument, after the context, of every act on a
// secret.
type Caller struct {
	Actor  Actor
	Proof  Proof
	Plugin string // the plugin's name as its listener knows it; empty for a page or a command
	Client string // the name of the application that showed a client token; empty for anybody else

	// For the log only.
	RequestID string
	Remote    string // the network address that asked; empty where there is none
}
