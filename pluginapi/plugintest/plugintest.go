// Package plugintest runs a plugin inside a Go test.
//
//	func TestWeather(t *testing.T) {
//		h := plugintest.New(t, &Weather{}, plugintest.Secrets{"WEATHER_KEY": "k"})
//		if err := h.Wait(); err != nil {
//			t.Fatal(err)
//		}
//		if uses := h.Uses(); len(uses) != 1 {
//			t.Errorf("the key was used %d times", len(uses))
//		}
//	}
//
// The plugin talks to a small host in memory, through the same services,
// messages and errors as to a real one; only the process boundary and its TLS
// are missing. That host keeps the real one's rules: a plugin gets what it
// declared and nothing else, and what is declared may have no value.
//
// A plugin that waits for time to pass is best run inside testing/synctest,
// where a minute takes no time and synctest.Wait returns when the plugin has
// done all it can do for now. New works there.
package plugintest

import (
	"context"
	"fmt"
	"net"
	"slices"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"

	"github.com/datasette-secrets/datasette-secrets/internal/pluginpb"
	"github.com/datasette-secrets/datasette-secrets/internal/pluginwire"
	"github.com/datasette-secrets/datasette-secrets/pluginapi"
)

// PluginName is the name under which the plugin runs.
const PluginName = "plugintest"

// patience is how long a plugin in a test may take for what it is asked.
const patience = 10 * time.Second

// Host is the host of one plugin in a test. Its methods may be called while the
// plugin runs.
type Host struct {
	tb      testing.TB
	fake    *fakeHost
	log     *logBuffer
	session *pluginapi.Session
	conn    *grpc.ClientConn // to the plugin
	offered []string         // full names of the services it offers
	pages   *pages
}

// New starts p as a host does: it asks for the declarations and then calls
// Start, if p has one. The test fails at once when p refuses or declares
// something that a host would not accept. Everything is stopped when the test
// ends.
func New(tb testing.TB, p pluginapi.Plugin, options ...Option) *Host {
	tb.Helper()
	h := &Host{tb: tb, fake: newFakeHost(), log: &logBuffer{}, pages: newPages()}
	for _, option := range options {
		option.apply(h.fake)
	}
	toHost := bufconn.Listen(1 << 20)
	h.serve(h.fake.server(), toHost)
	h.session = pluginapi.Connect(p, func(string) (*grpc.ClientConn, error) { return dial(toHost) }, h.log)
	h.session.ListenWith(h.pages.listen)
	toPlugin := bufconn.Listen(1 << 20)
	h.serve(h.session.Server(), toPlugin)
	conn, err := dial(toPlugin)
	if err != nil {
		tb.Fatalf("plugintest: %v", err)
	}
	h.conn = conn
	tb.Cleanup(func() { _ = conn.Close() })
	tb.Cleanup(h.stop)
	h.launch()
	return h
}

// launch does what a host does with a plugin that has just connected.
func (h *Host) launch() {
	h.tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	lifecycle := pluginpb.NewLifecycleClient(h.conn)
	described, err := lifecycle.Init(ctx, &pluginpb.InitRequest{
		HostVersion:   "plugintest",
		ProtocolMinor: pluginwire.ProtocolMinor,
		PluginName:    PluginName,
		HostAddress:   "bufconn",
	})
	h.must("Init", err)
	declared, err := pluginpb.NewDeclarationsClient(h.conn).RegisterSecrets(ctx, &pluginpb.RegisterSecretsRequest{})
	h.must("RegisterSecrets", err)
	h.must("RegisterSecrets", h.fake.declare(declared.GetSecrets()))
	h.offered = described.GetServices()
	if slices.Contains(h.offered, pluginpb.Starter_ServiceDesc.ServiceName) {
		_, err := pluginpb.NewStarterClient(h.conn).Start(ctx, &pluginpb.StartRequest{})
		h.must("Start", err)
	}
}

func (h *Host) must(call string, err error) {
	h.tb.Helper()
	if err != nil {
		h.tb.Fatalf("plugintest: %s: %v\n%s", call, pluginwire.FromStatus(err), h.Log())
	}
}

// Wait waits until the plugin's Start has returned, and gives its error. It is
// of use for a Start that does return by itself.
func (h *Host) Wait() error {
	h.tb.Helper()
	select {
	case <-h.session.Returned():
	case <-time.After(patience):
		h.tb.Fatalf("plugintest: Start did not return within %v\n%s", patience, h.Log())
	}
	return h.session.Err()
}

// Log is what the plugin logged so far, a line of JSON for each record.
func (h *Host) Log() string { return h.log.String() }

// stop ends the plugin as a host does.
func (h *Host) stop() {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := h.session.Stop(ctx); err != nil {
		h.tb.Errorf("plugintest: the plugin does not stop: %v", err)
	}
}

// serve runs server on listener until the test ends.
func (h *Host) serve(server *grpc.Server, listener *bufconn.Listener) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(listener)
	}()
	h.tb.Cleanup(func() {
		server.Stop()
		<-done
	})
}

func dial(listener *bufconn.Listener) (*grpc.ClientConn, error) {
	conn, err := grpc.NewClient("passthrough:///"+pluginwire.Authority,
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }),
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithNoProxy())
	if err != nil {
		return nil, fmt.Errorf("connecting in memory: %w", err)
	}
	return conn, nil
}
