// Package secrets holds the words that every part of datasette-secrets shares:
// what a secret's declaration is, who is asking, a value that hides itself,
// and the few errors that callers are expected to tell apart.
//
// # The idea
//
// A host owns an encrypted SQLite database of secrets. A secret is a named
// value; every change of its value is a new version. Plugins, subprocesses of
// the host, declare the secrets they need with a [Declaration] and read them
// on behalf of an [Actor]. Who asks is always an argument, a [Caller]: it is
// never hidden in a context, and a plugin never states its own name.
//
// # Clear text
//
// A secret's clear text exists only inside a [Value], which prints, logs and
// encodes as "[redacted]". [Value.Reveal] is the one way out, so a search for
// its callers finds every place where clear text is handled.
//
// # Errors
//
// The errors of errors.go are classes. An outsider (a browser, a plugin, a
// shell script) is told the class; the operator's log is told the cause.
package secrets

import _ "embed" // schema.sql is embedded

// Schema is the SQL of schema.sql: the tables as they stand after every
// migration. Its statements can be run on a file that already has them.
//
//go:embed schema.sql
var Schema string
