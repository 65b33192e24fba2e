package plugincheck

import (
	"context"
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/internal/pluginpb"
	"github.com/datasette-secrets/datasette-secrets/internal/pluginwire"
	"github.com/datasette-secrets/datasette-secrets/internal/vault"
)

const (
	maxNames   = 100      // that one GetSecrets may ask for
	maxStreams = 128      // calls at once on one connection
	maxHeaders = 16 << 10 // bytes of the headers of one call
)

// fakeHost serves made-up values to one launch, and notes what it asks for.
type fakeHost struct {
	pluginpb.UnimplementedSecretsServer
	pluginpb.UnimplementedConfigurationServer

	address  string
	server   *grpc.Server
	settings string
	canaries *canaries

	mu       sync.Mutex
	versions map[string]uint64 // by the name of a declared secret
	read     map[string]uint64 // the version that was last read
	changes  uint64
	watchers map[chan *pluginpb.Change][]string // with the names that they want; none for all
	noticed  chan struct{}                      // closed and replaced when a secret is read or watched
}

// hostServices are the full names of what the fake host serves.
func hostServices() []string {
	return []string{pluginpb.Secrets_ServiceDesc.ServiceName, pluginpb.Configuration_ServiceDesc.ServiceName}
}

// newFakeHost opens the socket of a launch, with the certificates that its
// program was given.
func newFakeHost(l *launch) (*fakeHost, error) {
	h := &fakeHost{
		address: filepath.Join(l.dir, "host.sock"), settings: l.kit.cfg.Settings, canaries: l.kit.canaries,
		versions: map[string]uint64{}, read: map[string]uint64{},
		watchers: map[chan *pluginpb.Change][]string{}, noticed: make(chan struct{}),
	}
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Net: "unix", Name: h.address})
	if err != nil {
		return nil, fmt.Errorf("opening the host's socket: %w", err)
	}
	if err := os.Chmod(h.address, 0o600); err != nil {
		_ = listener.Close()
		return nil, fmt.Errorf("opening the host's socket: %w", err)
	}
	h.server = grpc.NewServer(
		grpc.Creds(credentials.NewTLS(l.identity.HostTLS())),
		grpc.MaxConcurrentStreams(maxStreams),
		grpc.MaxHeaderListSize(maxHeaders),
		grpc.MaxRecvMsgSize(pluginwire.HostMaxReceive),
		grpc.UnaryInterceptor(crossing))
	pluginpb.RegisterSecretsServer(h.server, h)
	pluginpb.RegisterConfigurationServer(h.server, h)
	go func() { _ = h.server.Serve(listener) }() // ends with stop
	return h, nil
}

// stop ends the server, its connections and its socket.
func (h *fakeHost) stop() { h.server.Stop() }

// crossing sends errors as a host does.
func crossing(ctx context.Context, request any, _ *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
	response, err := handle(ctx, request)
	return response, pluginwire.ToStatus(err)
}

// declare gives each declared secret a value.
func (h *fakeHost) declare(declared []*pluginpb.Secret) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, d := range declared[:min(len(declared), vault.MaxDeclarations)] {
		if h.versions[d.GetName()] == 0 {
			h.versions[d.GetName()] = 1
		}
	}
}

// declared are the names of the declared secrets, sorted.
func (h *fakeHost) declared() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Sorted(maps.Keys(h.versions))
}

// GetSecret implements pluginpb.SecretsServer.
func (h *fakeHost) GetSecret(_ context.Context, r *pluginpb.GetSecretRequest) (*pluginpb.GetSecretResponse, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.get(r.GetName())
}

// get must be called with the lock.
func (h *fakeHost) get(name string) (*pluginpb.GetSecretResponse, error) {
	version := h.versions[name]
	if version == 0 {
		return nil, secrets.ErrNotDeclared
	}
	h.read[name] = version
	h.notice()
	h.canaries.gave()
	return &pluginpb.GetSecretResponse{Value: []byte(h.canaries.value(name, version)), Source: "database", Version: version}, nil
}

// notice wakes whoever waits for the program. It must be called with the lock.
func (h *fakeHost) notice() {
	close(h.noticed)
	h.noticed = make(chan struct{})
}

// GetSecrets implements pluginpb.SecretsServer.
func (h *fakeHost) GetSecrets(_ context.Context, r *pluginpb.GetSecretsRequest) (*pluginpb.GetSecretsResponse, error) {
	if len(r.GetNames()) > maxNames {
		return nil, fmt.Errorf("%w: at most %d names are allowed", secrets.ErrInvalid, maxNames)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	response := &pluginpb.GetSecretsResponse{}
	for _, name := range r.GetNames() {
		result := &pluginpb.SecretResult{Name: name}
		if found, err := h.get(name); err == nil {
			result.Found = found
		} else {
			result.Error = "SECRET_NOT_DECLARED"
		}
		response.Results = append(response.Results, result)
	}
	return response, nil
}

// CanAccessSecret implements pluginpb.SecretsServer.
func (h *fakeHost) CanAccessSecret(_ context.Context, r *pluginpb.CanAccessSecretRequest) (*pluginpb.CanAccessSecretResponse, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return &pluginpb.CanAccessSecretResponse{Allowed: h.versions[r.GetName()] > 0}, nil
}

// ListSecrets implements pluginpb.SecretsServer.
func (h *fakeHost) ListSecrets(context.Context, *pluginpb.ListSecretsRequest) (*pluginpb.ListSecretsResponse, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	response := &pluginpb.ListSecretsResponse{}
	for _, name := range slices.Sorted(maps.Keys(h.versions)) {
		response.Secrets = append(response.Secrets, &pluginpb.SecretStatus{Name: name, Set: true, Source: "database"})
	}
	return response, nil
}

// GetConfig implements pluginpb.ConfigurationServer.
func (h *fakeHost) GetConfig(context.Context, *pluginpb.GetConfigRequest) (*pluginpb.GetConfigResponse, error) {
	if h.settings == "" {
		return &pluginpb.GetConfigResponse{Json: []byte("null")}, nil
	}
	return &pluginpb.GetConfigResponse{Json: []byte(h.settings)}, nil
}

// Watch implements pluginpb.SecretsServer.
func (h *fakeHost) Watch(r *pluginpb.WatchRequest, stream grpc.ServerStreamingServer[pluginpb.Change]) error {
	changes := make(chan *pluginpb.Change, 16)
	h.mu.Lock()
	h.watchers[changes] = r.GetNames()
	changes <- &pluginpb.Change{Kind: pluginpb.Change_OPENED, Cursor: fmt.Sprint(h.changes)}
	h.notice()
	h.mu.Unlock()
	defer func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		delete(h.watchers, changes)
	}()
	for {
		select {
		case change := <-changes:
			if err := stream.Send(change); err != nil {
				return err
			}
		case <-stream.Context().Done():
			return stream.Context().Err()
		}
	}
}

// change gives a secret a new value and tells those who watch it.
func (h *fakeHost) change(name string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.versions[name]++
	h.changes++
	change := &pluginpb.Change{Kind: pluginpb.Change_UPDATED, Name: name, Version: h.versions[name], Cursor: fmt.Sprint(h.changes)}
	for watcher, names := range h.watchers {
		if wanted(names, name) {
			watcher <- change // there is room for the few that are ever sent
		}
	}
}

// wanted tells whether somebody who watches names wants to know of name.
func wanted(names []string, name string) bool { return len(names) == 0 || slices.Contains(names, name) }

// await waits until done holds, which looks at the host under its lock. It
// tells whether it does before ctx ends.
func (h *fakeHost) await(ctx context.Context, done func() bool) bool {
	for {
		h.mu.Lock()
		reached, noticed := done(), h.noticed
		h.mu.Unlock()
		if reached {
			return true
		}
		select {
		case <-noticed:
		case <-ctx.Done():
			return false
		}
	}
}
