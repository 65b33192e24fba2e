// Command probe is a plugin that does what a test asks it to do, at any time.
//
// What it declares stands in a file beside the program, called like the plugin:
// NAME.json for datasette-secrets-plugin-NAME. Its own block of the
// configuration names the unix socket that it listens on:
//
//	plugins:
//	  NAME:
//	    socket: /path/of/the.sock
//
// On that socket it answers lines of JSON, one question after the other:
//
//	{"op": "get", "name": "KEY", "actor": "root"}   {"value": "hunter2"}
//	{"op": "can", "name": "KEY", "actor": "root"}   {"allowed": true}
//	{"op": "list"}                                  {"secrets": [{"Name": "KEY", …}]}
//	{"op": "config"}                                {"config": {"socket": …}}
//	{"op": "watch"}                                 {"changes": [{"Kind": "opened", …}, …]}, of all since the first question
//
// or {"error": "not set", "message": …}. "times" repeats a get or can, by so many
// "callers" at once, and the answer says how long that took. Package harness has the other end, harness.Probe.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"

	"github.com/datasette-secrets/datasette-secrets/pluginapi"
	"github.com/datasette-secrets/datasette-secrets/tests/testdata/pace"
)

func main() { pluginapi.Serve(probe{}) }

type probe struct{}

// declared is the file beside the program.
type declared struct {
	Secrets []pluginapi.Secret
	Refuse  bool // answer RegisterSecrets with an error
}

// RegisterSecrets implements pluginapi.Plugin.
func (probe) RegisterSecrets(context.Context) ([]pluginapi.Secret, error) {
	folder, program := filepath.Split(os.Args[0])
	data, err := os.ReadFile(filepath.Join(folder, strings.TrimPrefix(program, "datasette-secrets-plugin-")+".json"))
	if err != nil {
		return nil, fmt.Errorf("reading what to declare: %w", err)
	}
	var d declared
	if err := json.Unmarshal(data, &d); err != nil {
		return nil, fmt.Errorf("reading what to declare: %w", err)
	}
	if d.Refuse {
		return nil, errors.New("told to refuse")
	}
	return d.Secrets, nil
}

// Start implements pluginapi.Starter. It serves the socket until ctx ends.
func (probe) Start(ctx context.Context, host pluginapi.Host) error {
	var config struct{ Socket string }
	if err := host.Config(ctx, &config); err != nil || config.Socket == "" {
		return err
	}
	if err := os.Remove(config.Socket); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("removing the socket of an earlier life: %w", err)
	}
	listener, err := net.Listen("unix", config.Socket)
	if err != nil {
		return fmt.Errorf("listening: %w", err)
	}
	defer context.AfterFunc(ctx, func() { listener.Close() })()
	changes := &changes{}
	for {
		conn, err := listener.Accept()
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("accepting: %w", err)
		}
		go converse(ctx, host, changes, conn)
	}
}

func converse(ctx context.Context, host pluginapi.Host, changes *changes, conn net.Conn) {
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	questions, answers := json.NewDecoder(bufio.NewReader(conn)), json.NewEncoder(conn)
	for {
		var q question
		if questions.Decode(&q) != nil || answers.Encode(q.ask(ctx, host, changes)) != nil {
			return // the test has gone
		}
	}
}

type question struct {
	Op, Name, Actor string
	Times, Callers  int
}

type answer struct {
	Value   string                   `json:"value,omitempty"`
	Allowed bool                     `json:"allowed,omitempty"`
	Secrets []pluginapi.SecretStatus `json:"secrets,omitempty"`
	Changes []pluginapi.Change       `json:"changes,omitempty"`
	Config  json.RawMessage          `json:"config,omitempty"`
	Pace    pace.Figures             `json:"pace,omitzero"`
	Error   string                   `json:"error,omitempty"`
	Message string                   `json:"message,omitempty"`
}

func (q question) ask(ctx context.Context, host pluginapi.Host, changes *changes) (a answer) {
	var err error
	switch q.Op {
	case "get":
		err = q.get(ctx, host, &a)
	case "can":
		err = q.can(ctx, host, &a)
	case "list":
		a.Secrets, err = host.ListSecrets(ctx)
	case "config":
		err = host.Config(ctx, &a.Config)
	case "watch":
		a.Changes, err = changes.soFar(ctx, host)
	default:
		err = fmt.Errorf("no such op: %q", q.Op)
	}
	if err != nil {
		a.Error, a.Message = class(err), err.Error()
	}
	return a
}

func (q question) get(ctx context.Context, host pluginapi.Host, a *answer) error {
	value, err := host.GetSecret(ctx, q.Name, q.Actor)
	if err != nil {
		return err
	}
	a.Value = value.Reveal()
	return q.repeat(a, func() error {
		value, err := host.GetSecret(ctx, q.Name, q.Actor)
		if err == nil && value.Reveal() != a.Value {
			return errors.New("another value came than before")
		}
		return err
	})
}

// repeat times calls, if that is asked for.
func (q question) repeat(a *answer, call func() error) (err error) {
	if q.Times > 0 {
		a.Pace, err = pace.Run(q.Callers, q.Times, call)
	}
	return err
}

func (q question) can(ctx context.Context, host pluginapi.Host, a *answer) (err error) {
	if a.Allowed, err = host.CanAccessSecret(ctx, q.Name, q.Actor); err != nil {
		return err
	}
	return q.repeat(a, func() error {
		_, err := host.CanAccessSecret(ctx, q.Name, q.Actor)
		return err
	})
}

// class names the error in the words of pluginapi's own text, without what is
// around it.
func class(err error) string {
	for _, sentinel := range []error{
		pluginapi.ErrNotSet, pluginapi.ErrDenied, pluginapi.ErrNotConfigured,
		pluginapi.ErrSealed, pluginapi.ErrIntegrity, pluginapi.ErrUnavailable,
	} {
		if errors.Is(err, sentinel) {
			return sentinel.Error()
		}
	}
	return "other"
}
