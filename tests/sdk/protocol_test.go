package sdk_test

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"github.com/datasette-secrets/datasette-secrets/internal/pluginpb"
	"github.com/datasette-secrets/datasette-secrets/internal/pluginwire"
	"github.com/datasette-secrets/datasette-secrets/pluginapi"
	"github.com/datasette-secrets/datasette-secrets/tests/harness"
)

// modes is the program of testdata/modes.py.
func modes(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	harness.AddPythonPlugin(t, dir, "modes", "tests/sdk/testdata/modes.py")
	return filepath.Join(dir, "datasette-secrets-plugin-modes")
}

func connectMode(t *testing.T, mode string) *connected {
	t.Helper()
	return connect(t, modes(t), "MODE="+mode)
}

func TestByHand(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	harness.WritePythonPlugin(t, dir, "hand", "import datasette_secrets_plugin as p\np.serve(None)\n")
	p := launch(t, filepath.Join(dir, "datasette-secrets-plugin-hand"))
	if code := p.exit(t); code != 1 {
		t.Errorf("exit code %d, want 1", code)
	}
	text := p.stderr.String()
	if strings.Count(text, "\n") != 2 || !strings.Contains(text, "--plugins-dir") || !strings.HasPrefix(text, "datasette-secrets-plugin-hand ") {
		t.Errorf("said %q", text)
	}
	if _, err := p.stdout.ReadByte(); err == nil {
		t.Error("wrote to standard output")
	}
}

func TestWithoutABootstrapLine(t *testing.T) {
	t.Parallel()
	program := modes(t)
	for _, input := range []string{
		"", "hunter2\n", `{"version":1,"key":"hunter2"}` + "\n", `{"version":2,"key":"hunter2"}` + "\n", "[1]\n",
		`{"version":1,"cert":"-----BEGIN hunter2","key":"-----BEGIN hunter2","host_cert":"-----BEGIN hunter2"}` + "\n",
		"hunter2" + strings.Repeat("x", pluginwire.MaxBootstrap) + "\n",
	} {
		p := launch(t, program, "MODE=Works", cookie())
		if _, err := p.stdin.Write([]byte(input)); err != nil {
			t.Fatal(err)
		}
		_ = p.stdin.Close()
		if code := p.exit(t); code != 1 {
			t.Errorf("%.40q: exit code %d, want 1", input, code)
		}
		if text := p.stderr.String(); !strings.Contains(text, `"@level":"error"`) || strings.Contains(text, "hunter2") {
			t.Errorf("%.40q: said %q", input, text)
		}
	}
}

func TestFromInitToShutdown(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"Works", "WorksAsync"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			c := connectMode(t, mode)
			described := c.init(t)
			want := []string{"secrets.plugin.v1.Lifecycle", "secrets.plugin.v1.Declarations", "secrets.plugin.v1.Starter"}
			if got := described.GetServices(); !slices.Equal(got, want) || described.GetVersion() != "1.2.3" {
				t.Errorf("described as %v", described)
			}
			declared, err := c.declarations().RegisterSecrets(callContext(t), &pluginpb.RegisterSecretsRequest{})
			if err != nil {
				t.Fatal(err)
			}
			d := declared.GetSecrets()[0]
			if d.GetName() != "KEY" || d.GetDescription() != "d" || d.GetObtainUrl() != "u" || d.GetObtainLabel() != "l" {
				t.Errorf("declared %v", d)
			}
			if d.GetPattern() != "p" || d.GetExample() != "e" || !d.GetMultiline() || d.GetRedact().GetPrefix() != 0 || d.GetRedact().GetSuffix() != 4 {
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
				t.Errorf("exit code %d\n%s", code, c.stderr)
			}
			if !strings.Contains(c.stderr.String(), `"stopping"`) {
				t.Errorf("start was not asked to stop:\n%s", c.stderr)
			}
			c.wantNoSocket(t)
			if strings.Contains(c.stderr.String(), "hunter2") {
				t.Errorf("the value is in the log:\n%s", c.stderr)
			}
		})
	}
}

func TestShutdownAnswersWhenStartHasReturned(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"Works", "WorksAsync"} {
		c := connectMode(t, mode)
		c.start(t)
		c.waitFor(t, `"asked"`)
		if _, err := c.lifecycle().Shutdown(callContext(t), &pluginpb.ShutdownRequest{}); err != nil {
			t.Error(err)
		}
		_ = c.cmd.Process.Kill() // what it logs later is never written
		c.exit(t)
		if !strings.Contains(c.stderr.String(), `"stopping"`) {
			t.Errorf("%s: Shutdown answered before start had returned", mode)
		}
	}
}

func (c *connected) wantNoSocket(t *testing.T) {
	t.Helper()
	entries, err := os.ReadDir(c.dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		if entry.Name() != "host.sock" {
			t.Errorf("%s was left behind", entry.Name())
		}
	}
}

func TestLogsAsHclog(t *testing.T) {
	t.Parallel()
	c := connectMode(t, "Works")
	c.start(t)
	c.waitFor(t, "from a subprocess")
	var lines []map[string]any
	var plain []string
	for line := range strings.Lines(c.stderr.String()) {
		var decoded map[string]any
		if json.Unmarshal([]byte(line), &decoded) != nil {
			plain = append(plain, strings.TrimSpace(line))
			continue
		}
		lines = append(lines, decoded)
	}
	if len(lines) != 2 {
		t.Fatalf("logged\n%s", c.stderr)
	}
	for key, want := range map[string]any{
		"@level": "info", "@message": "read", "@module": "weather", "value": "[redacted]", "length": 7.0, "attr.level": 1.0,
	} {
		if got := lines[0][key]; got != want {
			t.Errorf("%s is %v, want %v", key, got, want)
		}
	}
	at, _ := lines[0]["@timestamp"].(string)
	if _, err := time.Parse("2006-01-02T15:04:05.000000Z07:00", at); err != nil {
		t.Error(err)
	}
	if lines[1]["@level"] != "warn" || lines[1]["not_set"] != true || lines[1]["text"] != `getting secret 'OTHER': secret is not set` {
		t.Errorf("line %v", lines[1])
	}
	want := []string{"to standard output, before the handshake", "to standard output, which belongs to the protocol", "from a subprocess"}
	if !slices.Equal(plain, want) {
		t.Errorf("printed %q", plain)
	}
}

// However its host goes, the plugin stops in order.
func TestEnds(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(c *connected) error{
		"end of input": func(c *connected) error { return c.stdin.Close() },
		"SIGTERM":      func(c *connected) error { return c.cmd.Process.Signal(syscall.SIGTERM) },
		// Signals that came to another thread, or just before the main one
		// began to wait, once left it waiting.
		"SIGTERM of another thread": func(c *connected) error { return c.signalThread(syscall.SIGTERM) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := connectMode(t, "Works")
			c.start(t)
			c.waitFor(t, `"asked"`)
			if err := end(c); err != nil {
				t.Fatal(err)
			}
			if code := c.exit(t); code != 0 {
				t.Errorf("exit code %d", code)
			}
			if !strings.Contains(c.stderr.String(), `"stopping"`) {
				t.Error("start was not asked to stop")
			}
			c.wantNoSocket(t)
		})
	}
}

func TestIgnoresInterrupts(t *testing.T) {
	t.Parallel()
	c := connectMode(t, "Works")
	if err := c.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	c.start(t)
	c.waitFor(t, `"asked"`)
}

func TestEndsWhenStartFails(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"Fails", "FailsAsync", "Exits"} {
		c := connectMode(t, mode)
		c.init(t)
		// The process may end before it has answered.
		_, _ = c.starter().Start(callContext(t), &pluginpb.StartRequest{})
		if code := c.exit(t); code != 1 {
			t.Errorf("%s: exit code %d, want 1", mode, code)
		}
		text := c.stderr.String()
		if !strings.Contains(text, "no weather today") || !strings.Contains(text, "datasette-secrets-plugin-modes:") || strings.Contains(text, "hunter2") {
			t.Errorf("%s: logged %q", mode, text)
		}
	}
}

func TestSurvivesAnExceptionInACall(t *testing.T) {
	t.Parallel()
	c := connectMode(t, "Refuses")
	_, err := c.declarations().RegisterSecrets(callContext(t), &pluginpb.RegisterSecretsRequest{})
	if status.Code(err) != codes.Internal || strings.Contains(err.Error(), "today") {
		t.Errorf("got %v", err)
	}
	c.waitFor(t, "no secrets today")
	if _, err := c.declarations().RegisterSecrets(callContext(t), &pluginpb.RegisterSecretsRequest{}); err != nil {
		t.Errorf("after the exception: %v", err)
	}
}

// Of an exception only its class crosses.
func TestRefusals(t *testing.T) {
	t.Parallel()
	for mode, want := range map[string]codes.Code{
		"RefusesAs": codes.NotFound, "Confused": codes.Internal, "Boasts": codes.ResourceExhausted,
	} {
		c := connectMode(t, mode)
		_, err := c.declarations().RegisterSecrets(callContext(t), &pluginpb.RegisterSecretsRequest{})
		if status.Code(err) != want || strings.Contains(err.Error(), "today") {
			t.Errorf("%s: got %v", mode, err)
		}
		if mode == "RefusesAs" && pluginwire.FromStatus(err) != pluginapi.ErrNotSet {
			t.Errorf("got %v", pluginwire.FromStatus(err))
		}
	}
}

func TestBoundsShutdown(t *testing.T) {
	t.Parallel()
	c := connectMode(t, "IgnoresTheEnd")
	c.start(t)
	c.waitFor(t, "for ever")
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := c.lifecycle().Shutdown(ctx, &pluginpb.ShutdownRequest{}); status.Code(err) != codes.DeadlineExceeded {
		t.Errorf("got %v", err)
	}
	_ = c.stdin.Close()
	if code := c.exit(t); code != 1 {
		t.Errorf("exit code %d, want 1", code)
	}
}

// A thread that never ends does not keep the process.
func TestEndsInSpiteOfThreads(t *testing.T) {
	t.Parallel()
	c := connectMode(t, "Lingers")
	c.start(t)
	c.waitFor(t, `"asked"`)
	_ = c.stdin.Close()
	if code := c.exit(t); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

func TestWithoutStart(t *testing.T) {
	t.Parallel()
	c := connectMode(t, "Declares")
	if slices.Contains(c.init(t).GetServices(), "secrets.plugin.v1.Starter") {
		t.Error("offers a Start that it does not have")
	}
	if _, err := c.starter().Start(callContext(t), &pluginpb.StartRequest{}); status.Code(err) != codes.Unimplemented {
		t.Errorf("got %v", err)
	}
	health := grpc_health_v1.NewHealthClient(c.conn)
	if r, err := health.Check(callContext(t), &grpc_health_v1.HealthCheckRequest{Service: "plugin"}); err != nil || r.GetStatus() != grpc_health_v1.HealthCheckResponse_SERVING {
		t.Errorf("health: %v, %v", r, err)
	}
	if _, err := health.Check(callContext(t), &grpc_health_v1.HealthCheckRequest{Service: "other"}); status.Code(err) != codes.NotFound {
		t.Errorf("health of another service: %v", err)
	}
	if _, err := c.lifecycle().Shutdown(callContext(t), &pluginpb.ShutdownRequest{}); err != nil {
		t.Error(err)
	}
}

func TestRefusesCallsOutOfOrder(t *testing.T) {
	t.Parallel()
	c := connectMode(t, "Works")
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

func TestRefusesStrangers(t *testing.T) {
	t.Parallel()
	c := connectMode(t, "Works")
	info, err := os.Stat(c.address)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the socket: %v, %v", info, err)
	}
	stranger, err := pluginwire.NewIdentity()
	if err != nil {
		t.Fatal(err)
	}
	nobody, anybody := c.identity.HostTLS(), stranger.HostTLS()
	nobody.Certificates = nil
	anybody.RootCAs = c.identity.HostTLS().RootCAs
	for name, config := range map[string]*tls.Config{"another host": anybody, "nobody": nobody} {
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
