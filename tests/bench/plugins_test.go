//go:build bench

package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/datasette-secrets/datasette-secrets/internal/pluginpb"
	"github.com/datasette-secrets/datasette-secrets/internal/pluginwire"
	"github.com/datasette-secrets/datasette-secrets/tests/harness"
	"github.com/datasette-secrets/datasette-secrets/tests/testdata/pace"
)

// startOfPlugin is what a plugin in its sandbox adds to the start of the host.
func startOfPlugin(t *testing.T) []row {
	file := filepath.Join(t.TempDir(), "internal.db")
	start := func(args ...string) time.Duration {
		began := time.Now()
		p := harness.Start(t, harness.Options{Args: append(args, "--internal", file)})
		took := time.Since(began)
		p.Stop(t)
		return took
	}
	plugins := harness.PluginDir(t, "demo", "plugins/demo")
	start()
	added := median(15, func() time.Duration { return start("--plugins-dir", plugins) - start() })
	return []row{{"start of a plugin in Go, in its sandbox", ms(added), "", "", "≤ 100 ms"}}
}

// callOfPlugin is a call of a plugin to its host that touches no database,
// beside the same call between two programs that do nothing else.
func callOfPlugin(t *testing.T) []row {
	const calls = 3000
	probe := harness.NewProbe(t, "KEY")
	p := harness.Start(t, harness.Options{Args: append(probe.Args, "--internal", filepath.Join(t.TempDir(), "internal.db"))})
	defer p.Stop(t)
	bare := startEcho(t)
	var ratios []float64
	var here, there time.Duration
	for i := range 9 { // side by side, for the machine changes its pace
		there = each(bare(1, calls))
		here = each(probe.Pace(t, "can", "KEY", 1, calls))
		if i > 0 { // the first one warms up
			ratios = append(ratios, float64(here)/float64(there))
		}
	}
	return []row{{"`CanAccessSecret`, and a bare echo over gRPC with TLS", us(here), us(there), fmt.Sprintf("%.2f", middle(ratios)), "≤ 1.1"}}
}

// startEcho serves the bare echo and returns what times calls of it.
func startEcho(t *testing.T) func(callers, calls int) pace.Figures {
	t.Helper()
	dir, err := os.MkdirTemp("", "echo")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	identity, err := pluginwire.NewIdentity()
	if err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(dir, "s")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer(grpc.Creds(credentials.NewTLS(identity.HostTLS())))
	pluginpb.RegisterSecretsServer(server, echo{})
	go server.Serve(listener)
	t.Cleanup(server.Stop)
	program := harness.Build(t, "tests/testdata/echo")
	return func(callers, calls int) (figures pace.Figures) {
		cmd := exec.Command(program, socket, strconv.Itoa(calls), strconv.Itoa(callers))
		stdin, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		go pluginwire.WriteBootstrap(stdin, identity.Bootstrap())
		out, err := cmd.Output()
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(out, &figures); err != nil {
			t.Fatal(err)
		}
		return figures
	}
}

type echo struct {
	pluginpb.UnimplementedSecretsServer
}

func (echo) CanAccessSecret(context.Context, *pluginpb.CanAccessSecretRequest) (*pluginpb.CanAccessSecretResponse, error) {
	return &pluginpb.CanAccessSecretResponse{Allowed: true}, nil
}
