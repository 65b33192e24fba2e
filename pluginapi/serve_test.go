package pluginapi_test

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"

	"github.com/datasette-secrets/datasette-secrets/internal/pluginpb"
	"github.com/datasette-secrets/datasette-secrets/internal/pluginwire"
	"github.com/datasette-secrets/datasette-secrets/pluginapi"
)

// declarer is a plugin without Start.
type declarer struct {
	register func() ([]pluginapi.Secret, error)
}

func (d declarer) RegisterSecrets(context.Context) ([]pluginapi.Secret, error) { return d.register() }

// worker is a plugin with Start.
type worker struct {
	declarer
	start func(context.Context, pluginapi.Host) error
}

func (w worker) Start(ctx context.Context, host pluginapi.Host) error { return w.start(ctx, host) }

func one() ([]pluginapi.Secret, error) {
	return []pluginapi.Secret{{Name: "KEY", Description: "d", ObtainURL: "u", ObtainLabel: "l"}}, nil
}

// testPlugin is the plugin that this binary is in a mode.
func testPlugin(mode string) pluginapi.Plugin {
	switch mode {
	case "works":
		return worker{declarer{one}, works}
	case "fails":
		return worker{declarer{one}, func(context.Context, pluginapi.Host) error { return errors.New("no weather today") }}
	case "panics at the start":
		return worker{declarer{one}, func(context.Context, pluginapi.Host) error { panic("no weather today") }}
	case "panics":
		return declarer{panicsOnce()}
	case "refuses":
		return declarer{func() ([]pluginapi.Secret, error) { return nil, errors.New("no secrets today") }}
	case "ignores the end":
		return worker{declarer{one}, func(_ context.Context, host pluginapi.Host) error {
			host.Logger().Info("for ever")
			select {}
		}}
	case "boasts":
		return declarer{func() ([]pluginapi.Secret, error) {
			return []pluginapi.Secret{{Name: "KEY", Description: strings.Repeat("x", pluginwire.HostMaxReceive)}}, nil
		}}
	}
	return declarer{one}
}

// works reads a secret, logs about it, and stays until it is asked to stop.
func works(ctx context.Context, host pluginapi.Host) error {
	value, err := host.GetSecret(ctx, "KEY", "ann")
	host.Logger().With("time", "tea").Info("read", "value", value, "length", value.Len(), "error", err, "level", 1)
	_, err = host.GetSecret(ctx, "OTHER", "ann")
	host.Logger().WithGroup("second").Warn("asked", "not_set", errors.Is(err, pluginapi.ErrNotSet), "time", "now")
	fmt.Println("to standard output, which belongs to the protocol")
	<-ctx.Done()
	host.Logger().Info("stopping")
	return ctx.Err()
}

func panicsOnce() func() ([]pluginapi.Secret, error) {
	panicked := false
	return func() ([]pluginapi.Secret, error) {
		if !panicked {
			panicked = true
			panic("no weather today")
		}
		return one()
	}
}

func TestServeByHand(t *testing.T) {
	t.Parallel()
	p := launch(t, "works")
	if code := p.exit(t); code != 1 {
		t.Errorf("exit code %d, want 1", code)
	}
	text := p.stderr.String()
	if strings.Count(text, "\n") != 2 || !strings.Contains(text, "--plugins-dir") {
		t.Errorf("said %q", text)
	}
	if _, err := p.stdout.ReadByte(); err == nil {
		t.Error("wrote to standard output")
	}
}

func TestServeWithoutABootstrapLine(t *testing.T) {
	t.Parallel()
	for _, input := range []string{"", "hunter2\n", `{"version":1,"key":"hunter2"}` + "\n"} {
		p := launch(t, "works", cookie())
		if _, err := p.stdin.Write([]byte(input)); err != nil {
			t.Fatal(err)
		}
		_ = p.stdin.Close()
		if code := p.exit(t); code != 1 {
			t.Errorf("%q: exit code %d, want 1", input, code)
		}
		if text := p.stderr.String(); !strings.Contains(text, `"@level":"error"`) || strings.Contains(text, "hunter2") {
			t.Errorf("%q: said %q", input, text)
		}
	}
}

func TestServeFromInitToShutdown(t *testing.T) {
	t.Parallel()
	c := connect(t, "works")
	described := c.init(t)
	want := []string{"secrets.plugin.v1.Lifecycle", "secrets.plugin.v1.Declarations", "secrets.plugin.v1.Starter"}
	if got := described.GetServices(); !slices.Equal(got, want) {
		t.Errorf("services %v", got)
	}
	declared, err := c.declarations().RegisterSecrets(callContext(t), &pluginpb.RegisterSecretsRequest{})
	if err != nil {
		t.Fatal(err)
	}
	d := declared.GetSecrets()[0]
	if d.GetName() != "KEY" || d.GetDescription() != "d" || d.GetObtainUrl() != "u" || d.GetObtainLabel() != "l" {
		t.Errorf("declared %v", d)
	}
	if _, err := c.starter().Start(callContext(t), &pluginpb.StartRequest{}); err != nil {
		t.Fatal(err)
	}
	c.waitFor(t, `"asked"`)
	if _, err := c.lifecycle().Shutdown(callContext(t), &pluginpb.ShutdownRequest{}); err != nil {
		t.Error(err)
	}
	_ = c.client.Close()
	if code := c.exit(t); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

func TestShutdownAnswersWhenStartHasReturned(t *testing.T) {
	t.Parallel()
	c := connect(t, "works")
	c.start(t)
	c.waitFor(t, `"asked"`)
	if _, err := c.lifecycle().Shutdown(callContext(t), &pluginpb.ShutdownRequest{}); err != nil {
		t.Error(err)
	}
	_ = c.cmd.Process.Kill() // what it logs later is never written
	c.exit(t)
	if !strings.Contains(c.stderr.String(), `"stopping"`) {
		t.Error("Shutdown answered before Start had returned")
	}
}

func TestServeLogsAsHclog(t *testing.T) {
	t.Parallel()
	c := connect(t, "works")
	c.start(t)
	c.waitFor(t, `"asked"`)
	lines := strings.Split(strings.TrimSpace(c.stderr.String()), "\n")
	first := decodeLine(t, lines[0])
	for key, want := range map[string]any{
		"@level": "info", "@message": "read", "@module": "weather",
		"value": "[redacted]", "length": 7.0, "error": nil, "attr.time": "tea", "attr.level": 1.0,
	} {
		if got := first[key]; got != want {
			t.Errorf("%s is %v, want %v", key, got, want)
		}
	}
	at, _ := first["@timestamp"].(string)
	if _, err := time.Parse("2006-01-02T15:04:05.000000Z07:00", at); err != nil {
		t.Error(err)
	}
	second := decodeLine(t, lines[1])
	group, _ := second["second"].(map[string]any)
	if second["@level"] != "warn" || group["not_set"] != true || group["time"] != "now" {
		t.Errorf("line %v", second)
	}
}

func decodeLine(t *testing.T, line string) map[string]any {
	t.Helper()
	var decoded map[string]any
	if err := json.Unmarshal([]byte(line), &decoded); err != nil {
		t.Fatalf("%v in %q", err, line)
	}
	return decoded
}

func TestServeEndsWithItsHost(t *testing.T) {
	t.Parallel()
	c := connect(t, "works")
	c.start(t)
	c.waitFor(t, `"asked"`)
	if err := c.stdin.Close(); err != nil {
		t.Fatal(err)
	}
	if code := c.exit(t); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if !strings.Contains(c.stderr.String(), `"stopping"`) {
		t.Error("Start was not asked to stop")
	}
	for _, entry := range c.sockets(t) {
		if entry.Name() != "host.sock" {
			t.Errorf("%s was left behind", entry.Name())
		}
	}
}

func TestServeIgnoresInterrupts(t *testing.T) {
	t.Parallel()
	c := connect(t, "works")
	if err := c.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	c.start(t)
	c.waitFor(t, `"asked"`)
}

func TestServeEndsWhenStartFails(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"fails", "panics at the start"} {
		c := connect(t, mode)
		c.init(t)
		// The process may end before it has answered.
		_, _ = c.starter().Start(callContext(t), &pluginpb.StartRequest{})
		if code := c.exit(t); code != 1 {
			t.Errorf("%s: exit code %d, want 1", mode, code)
		}
		if text := c.stderr.String(); !strings.Contains(text, "no weather today") {
			t.Errorf("%s: logged %q", mode, text)
		}
	}
}

func TestServeSurvivesAPanicInACall(t *testing.T) {
	t.Parallel()
	c := connect(t, "panics")
	_, err := c.declarations().RegisterSecrets(callContext(t), &pluginpb.RegisterSecretsRequest{})
	if status.Code(err) != codes.Internal || strings.Contains(err.Error(), "weather") {
		t.Errorf("got %v", err)
	}
	c.waitFor(t, "panicsOnce") // the stack
	if _, err := c.declarations().RegisterSecrets(callContext(t), &pluginpb.RegisterSecretsRequest{}); err != nil {
		t.Errorf("after the panic: %v", err)
	}
}

func TestServeKeepsTheCauseOfARefusal(t *testing.T) {
	t.Parallel()
	c := connect(t, "refuses")
	_, err := c.declarations().RegisterSecrets(callContext(t), &pluginpb.RegisterSecretsRequest{})
	if status.Code(err) != codes.Internal || strings.Contains(err.Error(), "today") {
		t.Errorf("got %v", err)
	}
	c.waitFor(t, "no secrets today")
}

func TestServeBoundsShutdown(t *testing.T) {
	t.Parallel()
	c := connect(t, "ignores the end")
	c.start(t)
	c.waitFor(t, "for ever")
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := c.lifecycle().Shutdown(ctx, &pluginpb.ShutdownRequest{}); status.Code(err) != codes.DeadlineExceeded {
		t.Errorf("got %v", err)
	}
}

func TestServeBoundsItsMessages(t *testing.T) {
	t.Parallel()
	c := connect(t, "boasts")
	_, err := c.declarations().RegisterSecrets(callContext(t), &pluginpb.RegisterSecretsRequest{})
	if status.Code(err) != codes.ResourceExhausted {
		t.Errorf("got %v", err)
	}
}

func TestServeWithoutStart(t *testing.T) {
	t.Parallel()
	c := connect(t, "declares")
	if slices.Contains(c.init(t).GetServices(), "secrets.plugin.v1.Starter") {
		t.Error("offers a Start that it does not have")
	}
	if _, err := c.starter().Start(callContext(t), &pluginpb.StartRequest{}); status.Code(err) != codes.Unimplemented {
		t.Errorf("got %v", err)
	}
	if _, err := c.lifecycle().Shutdown(callContext(t), &pluginpb.ShutdownRequest{}); err != nil {
		t.Error(err)
	}
}

func TestServeRefusesCallsOutOfOrder(t *testing.T) {
	t.Parallel()
	c := connect(t, "works")
	if _, err := c.starter().Start(callContext(t), &pluginpb.StartRequest{}); status.Code(err) != codes.InvalidArgument {
		t.Errorf("Start before Init: %v", err)
	}
	c.start(t)
	if _, err := c.starter().Start(callContext(t), &pluginpb.StartRequest{}); status.Code(err) != codes.InvalidArgument {
		t.Errorf("a second Start: %v", err)
	}
	if _, err := c.lifecycle().Init(callContext(t), &pluginpb.InitRequest{}); status.Code(err) != codes.InvalidArgument {
		t.Errorf("a second Init: %v", err)
	}
}

func TestServeRefusesStrangers(t *testing.T) {
	t.Parallel()
	c := connect(t, "works")
	stranger, err := pluginwire.NewIdentity()
	if err != nil {
		t.Fatal(err)
	}
	nobody := c.identity.HostTLS()
	nobody.Certificates = nil
	for name, config := range map[string]*tls.Config{"another host": stranger.HostTLS(), "nobody": nobody} {
		conn, err := grpc.NewClient("unix:"+c.address,
			grpc.WithTransportCredentials(credentials.NewTLS(config)), grpc.WithAuthority(pluginwire.Authority))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		_, err = pluginpb.NewLifecycleClient(conn).Init(callContext(t), &pluginpb.InitRequest{HostAddress: "/nowhere"})
		if status.Code(err) != codes.Unavailable {
			t.Errorf("%s: got %v", name, err)
		}
	}
}
