package plugintest

import (
	"context"
	"crypto/rand"
	"fmt"
	"regexp"
	"sync"
	"time"

	"google.golang.org/grpc"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/internal/pluginpb"
	"github.com/datasette-secrets/datasette-secrets/internal/pluginwire"
	"github.com/datasette-secrets/datasette-secrets/pluginapi"
)

// maxNames is how many secrets one call of GetSecrets may ask for.
const maxNames = 100

// fakeHost serves secrets.host.v1 from a map.
type fakeHost struct {
	pluginpb.UnimplementedSecretsServer
	pluginpb.UnimplementedConfigurationServer

	mu       sync.Mutex
	declared []pluginapi.Secret
	values   map[string]string
	versions map[string]uint64 // of values and of their absence, by secret
	denied   map[Use]bool
	uses     []Use
	config   []byte
	failure  error
	tokens   map[string]string // actor's id by the token that proves it
	maxAge   time.Duration     // how long values may be kept
	changes  []*pluginpb.Change
	changed  chan struct{} // closed, and replaced, with every change
	broken   chan struct{} // closed, and replaced, with every failure
}

func newFakeHost() *fakeHost {
	return &fakeHost{
		values: map[string]string{}, versions: map[string]uint64{}, denied: map[Use]bool{},
		config: []byte("null"), tokens: map[string]string{}, changed: make(chan struct{}), broken: make(chan struct{}),
	}
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
	if err := f.checkProof(r.GetActorId(), r.GetActorToken()); err != nil {
		return nil, err
	}
	return f.use(Use{Name: r.GetName(), ActorID: r.GetActorId()})
}

// GetSecrets implements pluginpb.SecretsServer.
func (f *fakeHost) GetSecrets(_ context.Context, r *pluginpb.GetSecretsRequest) (*pluginpb.GetSecretsResponse, error) {
	if len(r.GetNames()) > maxNames {
		return nil, fmt.Errorf("%w: %d names are asked for at once, at most %d are allowed", secrets.ErrInvalid, len(r.GetNames()), maxNames)
	}
	if err := f.checkProof(r.GetActorId(), r.GetActorToken()); err != nil {
		return nil, err
	}
	response := &pluginpb.GetSecretsResponse{}
	for _, name := range r.GetNames() {
		found, err := f.use(Use{Name: name, ActorID: r.GetActorId()})
		response.Results = append(response.Results, &pluginpb.SecretResult{Name: name, Found: found, Error: pluginwire.Reason(err)})
	}
	return response, nil
}

func (f *fakeHost) checkProof(actorID, token string) error {
	if id, known := f.tokens[token]; token != "" && (!known || id != actorID) {
		return fmt.Errorf("%w: the actor's token does not prove this actor", secrets.ErrDenied)
	}
	return nil
}

// use gives a value, and remembers that.
func (f *fakeHost) use(use Use) (*pluginpb.GetSecretResponse, error) {
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
	return &pluginpb.GetSecretResponse{
		Value: []byte(value), Source: "database", Version: f.versions[use.Name],
		MaxAgeSeconds: uint32(f.maxAge / time.Second),
	}, nil
}

// CanAccessSecret implements pluginpb.SecretsServer.
func (f *fakeHost) CanAccessSecret(_ context.Context, r *pluginpb.CanAccessSecretRequest) (*pluginpb.CanAccessSecretResponse, error) {
	if err := f.checkProof(r.GetActorId(), r.GetActorToken()); err != nil {
		return nil, err
	}
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
		declared := secrets.Declaration{
			Name:        d.GetName(),
			Description: d.GetDescription(),
			ObtainURL:   d.GetObtainUrl(),
			ObtainLabel: d.GetObtainLabel(),
			Pattern:     d.GetPattern(),
			Example:     d.GetExample(),
			Multiline:   d.GetMultiline(),
			Redact:      secrets.Redact{Prefix: int(d.GetRedact().GetPrefix()), Suffix: int(d.GetRedact().GetSuffix())},
		}
		if err := declared.CheckForm(); err != nil {
			return fmt.Errorf("%w: declared secret %s: %w", secrets.ErrInvalid, declared.Name, err)
		}
		if !f.isDeclared(declared.Name) { // the first declaration wins
			f.declared = append(f.declared, pluginapi.Secret(declared))
		}
	}
	return nil
}
