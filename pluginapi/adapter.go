package pluginapi

import (
	"context"

	"google.golang.org/grpc"

	"github.com/datasette-secrets/datasette-secrets/internal/pluginpb"
	"github.com/datasette-secrets/datasette-secrets/internal/pluginwire"
)

// The adapters between the author's Go types and the protocol. Nothing above
// this file's functions sees a protobuf message.

type lifecycleServer struct {
	pluginpb.UnimplementedLifecycleServer
	session *Session
}

func (s lifecycleServer) Init(_ context.Context, r *pluginpb.InitRequest) (*pluginpb.InitResponse, error) {
	if err := s.session.init(r.GetPluginName(), r.GetHostAddress()); err != nil {
		return nil, s.session.refuse("init", err)
	}
	return &pluginpb.InitResponse{Version: buildVersion(), Services: serviceNames(s.session.plugin)}, nil
}

func (s lifecycleServer) Shutdown(ctx context.Context, _ *pluginpb.ShutdownRequest) (*pluginpb.ShutdownResponse, error) {
	if err := s.session.Stop(ctx); err != nil {
		return nil, s.session.refuse("shutdown", err)
	}
	return &pluginpb.ShutdownResponse{}, nil
}

type declarationsServer struct {
	pluginpb.UnimplementedDeclarationsServer
	session *Session
}

func (s declarationsServer) RegisterSecrets(ctx context.Context, _ *pluginpb.RegisterSecretsRequest) (*pluginpb.RegisterSecretsResponse, error) {
	declared, err := s.session.plugin.RegisterSecrets(ctx)
	if err != nil {
		return nil, s.session.refuse("register secrets", err)
	}
	return secretsToProto(declared), nil
}

type starterServer struct {
	pluginpb.UnimplementedStarterServer
	session *Session
	starter Starter
}

func (s starterServer) Start(context.Context, *pluginpb.StartRequest) (*pluginpb.StartResponse, error) {
	if err := s.session.start(s.starter); err != nil {
		return nil, s.session.refuse("start", err)
	}
	return &pluginpb.StartResponse{}, nil
}

// register offers p's services on server. serviceNames names the same ones.
func (s *Session) register(server grpc.ServiceRegistrar) {
	pluginpb.RegisterLifecycleServer(server, lifecycleServer{session: s})
	pluginpb.RegisterDeclarationsServer(server, declarationsServer{session: s})
	if starter, ok := s.plugin.(Starter); ok {
		pluginpb.RegisterStarterServer(server, starterServer{session: s, starter: starter})
	}
	s.registerHooks(server)
}

func serviceNames(p Plugin) []string {
	names := []string{
		pluginpb.Lifecycle_ServiceDesc.ServiceName,
		pluginpb.Declarations_ServiceDesc.ServiceName,
	}
	if _, ok := p.(Starter); ok {
		names = append(names, pluginpb.Starter_ServiceDesc.ServiceName)
	}
	return append(names, hookNames(p)...)
}

// refuse logs why a call of the host failed and returns what the host may know.
func (s *Session) refuse(call string, err error) error {
	s.log().Error("call from the host failed", "call", call, "error", err)
	return pluginwire.ToStatus(err)
}

func secretsToProto(declared []Secret) *pluginpb.RegisterSecretsResponse {
	response := &pluginpb.RegisterSecretsResponse{}
	for _, d := range declared {
		response.Secrets = append(response.Secrets, &pluginpb.Secret{
			Name:        d.Name,
			Description: d.Description,
			ObtainUrl:   d.ObtainURL,
			ObtainLabel: d.ObtainLabel,
			Pattern:     d.Pattern,
			Example:     d.Example,
			Multiline:   d.Multiline,
			Redact:      &pluginpb.Redact{Prefix: uint32(d.Redact.Prefix), Suffix: uint32(d.Redact.Suffix)},
		})
	}
	return response
}

func statusesFromProto(r *pluginpb.ListSecretsResponse) []SecretStatus {
	statuses := make([]SecretStatus, 0, len(r.GetSecrets()))
	for _, s := range r.GetSecrets() {
		statuses = append(statuses, SecretStatus{Name: s.GetName(), Set: s.GetSet(), Source: s.GetSource()})
	}
	return statuses
}
