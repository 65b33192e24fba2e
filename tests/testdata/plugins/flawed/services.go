package main

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"github.com/datasette-secrets/datasette-secrets/internal/pluginpb"
)

const keyName = "FLAWED_KEY"

// flawed serves every service.
type flawed struct {
	pluginpb.UnimplementedLifecycleServer
	pluginpb.UnimplementedDeclarationsServer
	pluginpb.UnimplementedStarterServer
	pluginpb.UnimplementedValidatorServer
	pluginpb.UnimplementedMenuServer
	pluginpb.UnimplementedActorsServer
	pluginpb.UnimplementedAuthenticatorServer
	pluginpb.UnimplementedHttpServer

	flaw    string
	tls     *tls.Config
	server  *grpc.Server
	address string // of the host
	host    *grpc.ClientConn
	ballast []byte
	open    []*os.File

	door  sync.Mutex
	calls atomic.Int64 // under way
}

func (p *flawed) register(server *grpc.Server) {
	pluginpb.RegisterLifecycleServer(server, p)
	pluginpb.RegisterDeclarationsServer(server, p)
	pluginpb.RegisterStarterServer(server, p)
	pluginpb.RegisterValidatorServer(server, p)
	pluginpb.RegisterMenuServer(server, p)
	pluginpb.RegisterActorsServer(server, p)
	pluginpb.RegisterAuthenticatorServer(server, p)
	pluginpb.RegisterHttpServer(server, p)
}

func (p *flawed) options() []grpc.ServerOption {
	options := []grpc.ServerOption{grpc.ChainUnaryInterceptor(p.intercept)}
	if p.flaw == "unknown" {
		options = append(options, grpc.UnknownServiceHandler(func(any, grpc.ServerStream) error {
			return status.Error(codes.Internal, "what?")
		}))
	}
	return options
}

func (p *flawed) intercept(ctx context.Context, request any, info *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
	switch p.flaw {
	case "health":
		if info.FullMethod == grpc_health_v1.Health_Check_FullMethodName {
			return &grpc_health_v1.HealthCheckResponse{Status: grpc_health_v1.HealthCheckResponse_NOT_SERVING}, nil
		}
	case "unhealthy":
		if info.FullMethod == grpc_health_v1.Health_Check_FullMethodName {
			return nil, status.Error(codes.Unimplemented, "no")
		}
	case "deadlines":
		p.door.Lock()
		defer p.door.Unlock()
		select {
		case <-ctx.Done():
			forever() // and nobody else gets through the door
		case <-time.After(5 * time.Millisecond):
		}
	case "concurrency":
		defer p.calls.Add(-1)
		if p.calls.Add(1) > 8 {
			return nil, status.Error(codes.ResourceExhausted, "too busy")
		}
		time.Sleep(50 * time.Millisecond)
	}
	return handle(ctx, request)
}

// Init implements pluginpb.LifecycleServer.
func (p *flawed) Init(_ context.Context, r *pluginpb.InitRequest) (*pluginpb.InitResponse, error) {
	if p.flaw == "init" {
		return nil, status.Error(codes.Internal, "not today")
	}
	p.address = r.GetHostAddress()
	var err error
	p.host, err = grpc.NewClient("passthrough:///localhost",
		grpc.WithTransportCredentials(credentials.NewTLS(p.tls)),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", p.address)
		}))
	services := []string{}
	for name := range p.server.GetServiceInfo() {
		services = append(services, name)
	}
	return &pluginpb.InitResponse{Version: "1.0", Services: services}, err
}

// hostLives tells whether anybody answers at the host's socket.
func (p *flawed) hostLives() bool {
	conn, err := net.Dial("unix", p.address)
	if err != nil {
		return false
	}
	conn.Close()
	return true
}

// RegisterSecrets implements pluginpb.DeclarationsServer.
func (p *flawed) RegisterSecrets(context.Context, *pluginpb.RegisterSecretsRequest) (*pluginpb.RegisterSecretsResponse, error) {
	declared := []*pluginpb.Secret{{Name: keyName, Description: "A key", ObtainUrl: "https://example.com/", ObtainLabel: "Get one"}}
	switch p.flaw {
	case "declarations":
		declared[0].Description = fmt.Sprintf("A key of %d", time.Now().UnixNano())
	case "badname":
		declared[0].Name = "no good\nname"
	case "badurl":
		declared[0].ObtainUrl = "javascript:alert(1)"
	case "twice":
		declared = append(declared, &pluginpb.Secret{Name: keyName})
	case "hung":
		forever()
	case "dies":
		os.Exit(4)
	}
	return &pluginpb.RegisterSecretsResponse{Secrets: declared}, nil
}

// Start implements pluginpb.StarterServer.
func (p *flawed) Start(context.Context, *pluginpb.StartRequest) (*pluginpb.StartResponse, error) {
	switch p.flaw {
	case "sandbox":
		if f, err := os.OpenFile("/etc/passwd", os.O_RDONLY, 0); err != nil {
			complain(err)
		} else {
			f.Close()
		}
	case "memory":
		p.ballast = make([]byte, 200<<20)
		for i := range p.ballast {
			p.ballast[i] = 1
		}
	case "files":
		for i := range 300 {
			f, err := os.Open("/dev/null")
			if err != nil {
				complain(fmt.Errorf("file %d: %w", i, err))
			}
			p.open = append(p.open, f)
		}
	case "leaves":
		child := exec.Command("/proc/self/exe", "child")
		child.Stderr = rawStderr
		if err := child.Start(); err != nil {
			complain(err)
		}
	}
	go p.work()
	return &pluginpb.StartResponse{}, nil
}

// work is the life of a good plugin: it reads its secret, and reads it again
// when it has changed.
func (p *flawed) work() {
	ctx := context.Background()
	client := pluginpb.NewSecretsClient(p.host)
	value := p.read(ctx, client)
	switch p.flaw {
	case "secrecy":
		fmt.Fprintf(rawStderr, "using %s\n", value)
	case "secrecy-base64":
		fmt.Fprintln(rawStderr, "Authorization: Basic "+base64.StdEncoding.EncodeToString([]byte("user:"+value)))
	case "secrecy-hex":
		fmt.Fprintln(rawStderr, hex.EncodeToString([]byte(value)))
	case "secrecy-printed":
		fmt.Println("using " + value) // by go-plugin's stream of output
	case "secrecy-split":
		for _, letter := range []byte("value " + value + "\n") {
			rawStderr.Write([]byte{letter})
		}
	}
	if p.flaw == "watchless" {
		return
	}
	changes, err := client.Watch(ctx, &pluginpb.WatchRequest{})
	for err == nil {
		var change *pluginpb.Change
		change, err = changes.Recv()
		if change.GetKind() == pluginpb.Change_UPDATED && p.flaw != "watch" {
			p.read(ctx, client)
		}
	}
}

func (p *flawed) read(ctx context.Context, client pluginpb.SecretsClient) string {
	found, err := client.GetSecret(ctx, &pluginpb.GetSecretRequest{Name: keyName})
	if err != nil {
		fmt.Fprintln(rawStderr, "reading the key:", status.Code(err))
	}
	return string(found.GetValue())
}

// Shutdown implements pluginpb.LifecycleServer.
func (p *flawed) Shutdown(context.Context, *pluginpb.ShutdownRequest) (*pluginpb.ShutdownResponse, error) {
	switch p.flaw {
	case "shutdown":
		forever()
	case "shutdown-error":
		return nil, errors.New("no, thank you")
	case "shutdown-exits":
		os.Remove(p.socket())
		os.Exit(0)
	}
	return &pluginpb.ShutdownResponse{}, nil
}
