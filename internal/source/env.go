// Package source knows the places, other than the database, that a secret's
// value can come from. Today that is the environment.
package source

import (
	secrets "github.com/datasette-secrets/datasette-secrets"
)

// variablePrefix stands before a secret's name in the environment, as
// Datasette's plugin has it.
const variablePrefix = "DATASETTE_SECRETS_"

// Environment reads secrets from environment variables. It is asked anew every
// time, so that a change is seen at once.
type Environment struct {
	// Lookup finds a variable, as os.LookupEnv does. A nil Lookup finds none.
	Lookup func(name string) (string, bool)
}

// Variable returns the name of the variable that overrides a secret.
func (Environment) Variable(name string) string { return variablePrefix + name }

// Get returns the value of a secret exactly as the variable has it. A variable
// that is set to nothing counts as not set.
func (e Environment) Get(name string) (secrets.Value, bool) {
	if e.Lookup == nil {
		return secrets.Value{}, false
	}
	text, _ := e.Lookup(e.Variable(name))
	if text == "" {
		return secrets.Value{}, false
	}
	return secrets.NewValue(text), true
}
