// Package control lets commands talk to the host that has a database open.
//
// # How a command finds its host
//
// While a host runs, a file lies beside its database, DATABASE-control, which
// only the host's user can read:
//
//	{"socket": "/run/user/1000/secrets-1234/control.sock", "token": "…", "pid": 4711}
//
// The host holds a lock on the file for as long as it lives. So a file that a
// dead host left behind is recognised, and of two hosts on one database only
// the first has it.
//
// # What is said
//
// On the socket, HTTP: POST /ACT with the token as bearer, JSON in and JSON
// out. An error travels as the name of its class and its text, which is for
// the operator, like the host's log.
//
// # Who may
//
// Whoever can read the database can read the file. The socket alone is not
// enough: plugins run as the same user, and today's kernels do not keep a
// sandboxed program from connecting to a unix socket. It cannot read the file,
// and guessing 256 random bits is hopeless. The kernel tells the host the user
// of whoever connects; other users than the host's and root are hung up on.
package control

import (
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"

	secrets "github.com/datasette-secrets/datasette-secrets"
)

var (
	// ErrNoHost is Dial's error when no host has the database open, or that
	// host takes no commands.
	ErrNoHost = errors.New("no host runs on this database")

	// ErrTaken is Serve's error when another host has the database open and
	// takes the commands.
	ErrTaken = errors.New("another host has this database open, and takes the commands for it")
)

const (
	maxRequest = 64 << 10 // bytes
	maxAnswer  = 4 << 20  // bytes
)

// note is what the file beside the database says.
type note struct {
	Socket string `json:"socket"`
	Token  string `json:"token"`
	PID    int    `json:"pid"`
}

// notePath is where the note about a database lies. A link to the database
// leads to the same place as its target.
func notePath(database string) (string, error) {
	path, err := filepath.EvalSymlinks(database)
	if err != nil {
		return "", fmt.Errorf("finding the database: %w", err)
	}
	return path + "-control", nil
}

// failure is an error on its way to a command.
type failure struct {
	Class string `json:"class"`
	Text  string `json:"text"`
}

// answer is what comes back.
type answer struct {
	Error  *failure        `json:"error,omitempty"`
	Answer json.RawMessage `json:"answer,omitempty"`
}

// class is one row of the table of errors.
type class struct {
	sentinel error
	word     string
}

// classes is the table. A class that is also another one comes before it.
func classes() []class {
	return []class{
		{secrets.ErrInvalid, "invalid"},
		{secrets.ErrNotDeclared, "not-declared"},
		{secrets.ErrNotApproved, "not-approved"},
		{secrets.ErrDenied, "denied"},
		{secrets.ErrNotFound, "not-found"},
		{secrets.ErrNotSet, "not-set"},
		{secrets.ErrNotConfigured, "not-configured"},
		{secrets.ErrSealed, "sealed"},
		{secrets.ErrIntegrity, "integrity"},
		{secrets.ErrUnavailable, "unavailable"},
	}
}

func failureOf(err error) *failure {
	f := &failure{Text: err.Error()}
	for _, c := range classes() {
		if errors.Is(err, c.sentinel) {
			f.Class = c.word
			break
		}
	}
	return f
}

// err is the error on the command's side: the same text, and the same class.
func (f *failure) err() error {
	for _, c := range classes() {
		if c.word == f.Class {
			return told{f.Text, c.sentinel}
		}
	}
	return told{f.Text, nil}
}

// told is an error that a host told.
type told struct {
	text  string
	class error
}

func (e told) Error() string { return e.text }
func (e told) Unwrap() error { return e.class }
