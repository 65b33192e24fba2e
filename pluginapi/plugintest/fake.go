package plugintest

import (
	"context"
	"crypto/rand"
	"fmt"
	"regexp"
	"sync"

	"google.golang.org/grpc"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/internal/pluginpb"
	"github.com/datasette-secrets/datasette-secrets/internal/pluginwire"
	"github.com/datasette-secrets/datasette-secrets/pluginapi"
)

// fakeHost serves secrets.host.v1 from a map.
type fakeHost struct {
	pluginpb.UnimplementedSecretsServer
	pluginpb.UnimplementedConfigurationServer

	mu       sync.Mutex
	declared []pluginapi.Secret
	values   map[string]string
	denied   map[Use]bool
	uses     []Use
	config   []byte
	failure  error
	tokens   map[string]string // actor's id by the token that proves it
}

func newFakeHost() *fakeHost {
	return &fakeHost{values: map[string]string{}, denied: map[Use]bool{}, config: []byte("null"), tokens: map[string]string{}}
}

// token makes a token that proves an actor.
func (f *fakeHost) token(id string) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	token := "actor-token-" + rand.Text()
	f.tokens[token] = id
	return token
}

func (f *fakeHost) server() *grpc.Server {
	server := grpc.NewServer(grpc.UnaryInterceptor(f.intercept))
	pluginpb.RegisterSecretsServer(server, f)
	pluginpb.RegisterConfigurationServer(server, f)
	return server
}

// intercept takes the lock for every call and sends errors as the host does.
func (f *fakeHost) intercept(ctx context.Context, request any, _ *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.failure != nil {
		return nil, pluginwire.ToStatus(f.failure)
	}
	response, err := handle(ctx, request)
	return response, pluginwire.ToStatus(err)
}

// GetSecret implements pluginpb.SecretsServer.
func (f *fakeHost) GetSecret(_ context.Context, r *pluginpb.GetSecretRequest) (*pluginpb.GetSecretResponse, error) {
	use := Use{Name: r.GetName(), ActorID: r.GetActorId()}
	if id, known := f.tokens[r.GetActorToken()]; r.GetActorToken() != "" && (!known || id != use.ActorID) {
		return nil, fmt.Errorf("%w: the actor's token does not prove this actor", secrets.ErrDenied)
	}
	if !f.isDeclared(use.Name) {
		return nil, secrets.ErrNotDeclared
	}
	if f.denied[use] {
		return nil, secrets.ErrDenied
	}
	value, ok := f.values[use.Name]
	if !ok {
		return nil, secrets.ErrNotSet
	}
	f.uses = append(f.uses, use)
	return &pluginpb.GetSecretResponse{Value: []byte(value), Source: "database"}, nil
}

// CanAccessSecret implements pluginpb.SecretsServer.
func (f *fakeHost) CanAccessSecret(_ context.Context, r *pluginpb.CanAccessSecretRequest) (*pluginpb.CanAccessSecretResponse, error) {
	allowed := f.isDeclared(r.GetName()) && !f.denied[Use{r.GetName(), r.GetActorId()}]
	return &pluginpb.CanAccessSecretResponse{Allowed: allowed}, nil
}

// ListSecrets implements pluginpb.SecretsServer.
func (f *fakeHost) ListSecrets(context.Context, *pluginpb.ListSecretsRequest) (*pluginpb.ListSecretsResponse, error) {
	response := &pluginpb.ListSecretsResponse{}
	for _, d := range f.declared {
		status := &pluginpb.SecretStatus{Name: d.Name}
		if _, status.Set = f.values[d.Name]; status.Set {
			status.Source = "database"
		}
		response.Secrets = append(response.Secrets, status)
	}
	return response, nil
}

// GetConfig implements pluginpb.ConfigurationServer.
func (f *fakeHost) GetConfig(context.Context, *pluginpb.GetConfigRequest) (*pluginpb.GetConfigResponse, error) {
	return &pluginpb.GetConfigResponse{Json: f.config}, nil
}

func (f *fakeHost) isDeclared(name string) bool {
	for _, d := range f.declared {
		if d.Name == name {
			return true
		}
	}
	return false
}

var validName = regexp.MustCompile(`^[A-Za-z0-9_.-]{1,255}$`)

// declare takes the plugin's declarations, unless a host would refuse them.
func (f *fakeHost) declare(declared []*pluginpb.Secret) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, d := range declared {
		if !validName.MatchString(d.GetName()) {
			return fmt.Errorf("%w: a secret cannot be named %q", secrets.ErrInvalid, d.GetName())
		}
		if f.isDeclared(d.GetName()) {
			continue // the first declaration wins
		}
		f.declared = append(f.declared, pluginapi.Secret{
			Name:        d.GetName(),
			Description: d.GetDescription(),
			ObtainURL:   d.GetObtainUrl(),
			ObtainLabel: d.GetObtainLabel(),
			Pattern:     d.GetPattern(),
			Example:     d.GetExample(),
			Multiline:   d.GetMultiline(),
			Redact:      pluginapi.Redact{Prefix: int(d.GetRedact().GetPrefix()), Suffix: int(d.GetRedact().GetSuffix())},
		})
	}
	return nil
}
