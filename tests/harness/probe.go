package harness

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/datasette-secrets/datasette-secrets/pluginapi"
	"github.com/datasette-secrets/datasette-secrets/tests/testdata/pace"
)

// Probe is the other end of the plugin in tests/testdata/plugins/probe, or of
// its siblings in Python and Node, which asks its host whatever a test wants to
// know. Its methods must not be called from several goroutines at once.
type Probe struct {
	Name   string
	Args   []string // for the host: its folder of plugins, and the probe's block of configuration
	socket string
	conn   net.Conn
	reader *bufio.Reader
}

// AddProbe puts a probe that declares secrets into the folder dir, and returns
// its other end.
func AddProbe(t testing.TB, dir, name string, declare ...pluginapi.Secret) *Probe {
	t.Helper()
	AddPlugin(t, dir, name, "tests/testdata/plugins/probe")
	return otherEnd(t, dir, name, declare)
}

// AddPythonProbe is AddProbe for the same plugin in Python.
func AddPythonProbe(t testing.TB, dir, name string, declare ...pluginapi.Secret) *Probe {
	t.Helper()
	AddPythonPlugin(t, dir, name, "tests/testdata/plugins/probe-python/probe.py")
	return otherEnd(t, dir, name, declare)
}

// otherEnd is the test's end of a probe whose program is in dir.
func otherEnd(t testing.TB, dir, name string, declare []pluginapi.Secret) *Probe {
	t.Helper()
	writeDeclarations(t, dir, name, map[string]any{"Secrets": declare})
	// The folder of a test can be too deep for the path of a socket.
	folder, err := os.MkdirTemp("", "probe")
	if err != nil {
		t.Fatal(err)
	}
	p := &Probe{Name: name, socket: filepath.Join(folder, "s")}
	// It reads a file beside its program and listens in a folder of the test,
	// neither of which a sandbox lets it do.
	p.Args = []string{"--plugins-dir", dir, "-s", "plugins." + name + ".socket", p.socket,
		"-s", "plugins.datasette-secrets.sandbox", "off"}
	t.Cleanup(func() {
		p.hangUp()
		os.RemoveAll(folder)
	})
	return p
}

// NewProbe is AddProbe into a folder of its own, for secrets with nothing but
// a name.
func NewProbe(t testing.TB, names ...string) *Probe {
	t.Helper()
	declare := make([]pluginapi.Secret, len(names))
	for i, name := range names {
		declare[i].Name = name
	}
	return AddProbe(t, t.TempDir(), "probe", declare...)
}

// AddRefusingProbe puts a probe into dir that fails when it is asked what it
// declares.
func AddRefusingProbe(t testing.TB, dir, name string) {
	t.Helper()
	writeDeclarations(t, dir, name, map[string]any{"Refuse": true})
	AddPlugin(t, dir, name, "tests/testdata/plugins/probe")
}

func writeDeclarations(t testing.TB, dir, name string, declared any) {
	t.Helper()
	data, err := json.Marshal(declared)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, name+".json"), data, 0o644); err != nil {
		t.Fatal(err)
	}
}

// Get is the plugin's GetSecret. The error is one of pluginapi's, or tells what
// the plugin was told.
func (p *Probe) Get(t testing.TB, name, actor string) (string, error) {
	t.Helper()
	a := p.ask(t, map[string]any{"op": "get", "name": name, "actor": actor})
	return a.Value, a.err()
}

// Pace makes calls of GetSecret ("get") or CanAccessSecret ("can"), by so many
// callers at once, and returns how long they took.
func (p *Probe) Pace(t testing.TB, op, name string, callers, calls int) pace.Figures {
	t.Helper()
	a := p.ask(t, map[string]any{"op": op, "name": name, "actor": "probe", "times": calls, "callers": callers})
	if err := a.err(); err != nil {
		t.Fatal(err)
	}
	return a.Pace
}

// Can is the plugin's CanAccessSecret.
func (p *Probe) Can(t testing.TB, name, actor string) (bool, error) {
	t.Helper()
	a := p.ask(t, map[string]any{"op": "can", "name": name, "actor": actor})
	return a.Allowed, a.err()
}

// List is the plugin's ListSecrets.
func (p *Probe) List(t testing.TB) []pluginapi.SecretStatus {
	t.Helper()
	a := p.ask(t, map[string]any{"op": "list"})
	if err := a.err(); err != nil {
		t.Fatal(err)
	}
	return a.Secrets
}

// Fail makes a probe in Node fail as a plugin does whose author made a mistake.
func (p *Probe) Fail(t testing.TB) {
	t.Helper()
	// It ends without an answer.
	if err := p.exchange([]byte(`{"op": "fail"}`+"\n"), &answer{}); err == nil {
		t.Fatalf("%s did not fail", p.Name)
	}
	p.hangUp()
}

// Changes is what the plugin was told of all its secrets, in its own Watch,
// which the first call begins.
func (p *Probe) Changes(t testing.TB) []pluginapi.Change {
	t.Helper()
	a := p.ask(t, map[string]any{"op": "watch"})
	if err := a.err(); err != nil {
		t.Fatal(err)
	}
	return a.Changes
}

// Many is the GetSecrets of a probe in Python or Node: the values that it got,
// and for the other names the text of the error.
func (p *Probe) Many(t testing.TB, actor string, names ...string) (values, failures map[string]string) {
	t.Helper()
	a := p.ask(t, map[string]any{"op": "many", "names": names, "actor": actor})
	if err := a.err(); err != nil {
		t.Fatal(err)
	}
	return a.Values, a.Errors
}

// Config is the JSON of the plugin's block of configuration.
func (p *Probe) Config(t testing.TB) string {
	t.Helper()
	a := p.ask(t, map[string]any{"op": "config"})
	if err := a.err(); err != nil {
		t.Fatal(err)
	}
	return string(a.Config)
}

type answer struct {
	Value          string
	Values, Errors map[string]string
	Allowed        bool
	Secrets        []pluginapi.SecretStatus
	Changes        []pluginapi.Change
	Config         json.RawMessage
	Pace           pace.Figures
	Error, Message string
}

func (a answer) err() error {
	for _, sentinel := range []error{
		pluginapi.ErrNotSet, pluginapi.ErrDenied, pluginapi.ErrNotConfigured,
		pluginapi.ErrSealed, pluginapi.ErrIntegrity, pluginapi.ErrUnavailable,
	} {
		if a.Error == sentinel.Error() {
			return sentinel
		}
	}
	if a.Error != "" {
		return errors.New(a.Message)
	}
	return nil
}

// ask puts one question. A host that was started again has another probe, so a
// connection that broke is made anew.
func (p *Probe) ask(t testing.TB, question any) (a answer) {
	t.Helper()
	data, err := json.Marshal(question)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err = p.exchange(append(data, '\n'), &a); err == nil {
			return a
		}
		p.hangUp()
	}
	t.Fatalf("asking the plugin %s: %v", p.Name, err)
	return a
}

func (p *Probe) exchange(question []byte, a *answer) error {
	if err := p.dial(); err != nil {
		return err
	}
	if err := p.conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	if _, err := p.conn.Write(question); err != nil {
		return err
	}
	line, err := p.reader.ReadBytes('\n')
	if err != nil {
		return err
	}
	return json.Unmarshal(line, a)
}

// dial connects, as soon as the plugin listens: a host serves when its plugins
// are ready, but that does not mean that their Start has come far.
func (p *Probe) dial() error {
	if p.conn != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for {
		conn, err := new(net.Dialer).DialContext(ctx, "unix", p.socket)
		if err == nil {
			p.conn, p.reader = conn, bufio.NewReader(conn)
			return nil
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(5 * time.Millisecond):
		}
	}
}

func (p *Probe) hangUp() {
	if p.conn != nil {
		p.conn.Close()
	}
	p.conn = nil
}
