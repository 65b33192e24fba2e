package pluginapi_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/internal/pluginpb"
	"github.com/datasette-secrets/datasette-secrets/internal/pluginwire"
	"github.com/datasette-secrets/datasette-secrets/pluginapi"
)

// slowHost answers every request after a while, and notes what it was asked. A
// value is the secret's name and the actor.
type slowHost struct {
	pluginpb.UnimplementedSecretsServer

	refuseMany error // what it answers to GetSecrets, if not nil
	hang       bool  // it never answers GetSecrets

	mu     sync.Mutex
	alone  int        // requests for one
	shared [][]string // names of each request for several
	actors []string   // of those
}

const slowness = time.Second

func (h *slowHost) GetSecret(_ context.Context, r *pluginpb.GetSecretRequest) (*pluginpb.GetSecretResponse, error) {
	h.mu.Lock()
	h.alone++
	h.mu.Unlock()
	time.Sleep(slowness)
	if r.GetName() == "UNSET" {
		return nil, pluginwire.ToStatus(secrets.ErrNotSet)
	}
	return answerOf(r.GetName(), r.GetActorId()), nil
}

func (h *slowHost) GetSecrets(ctx context.Context, r *pluginpb.GetSecretsRequest) (*pluginpb.GetSecretsResponse, error) {
	h.mu.Lock()
	h.shared, h.actors = append(h.shared, r.GetNames()), append(h.actors, r.GetActorId())
	h.mu.Unlock()
	if h.hang {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	time.Sleep(slowness)
	if h.refuseMany != nil {
		return nil, h.refuseMany
	}
	response := &pluginpb.GetSecretsResponse{}
	for _, name := range r.GetNames() {
		result := &pluginpb.SecretResult{Name: name, Found: answerOf(name, r.GetActorId())}
		if name == "UNSET" {
			result = &pluginpb.SecretResult{Name: name, Error: pluginwire.Reason(secrets.ErrNotSet)}
		}
		response.Results = append(response.Results, result)
	}
	return response, nil
}

func answerOf(name, actor string) *pluginpb.GetSecretResponse {
	return &pluginpb.GetSecretResponse{Value: []byte(name + " for " + actor), Source: "database"}
}

// askAtOnce lets this many callers ask a slow host at the same time, the first
// ones a little earlier, so that their requests are under way. The names and
// actors alternate.
func askAtOnce(t *testing.T, h *slowHost, callers int, ask func(ctx context.Context, host pluginapi.Host, i int)) {
	t.Helper()
	listener := bufconn.Listen(1 << 20)
	server := grpc.NewServer()
	pluginpb.RegisterSecretsServer(server, h)
	go func() { _ = server.Serve(listener) }()
	defer server.Stop()
	call(t, listener, func(ctx context.Context, host pluginapi.Host) error {
		var all sync.WaitGroup
		for i := range callers {
			all.Go(func() { ask(ctx, host, i) })
			if i == 1 {
				time.Sleep(slowness / 2)
			}
		}
		all.Wait()
		return nil
	})
}

// expect asks for one of three secrets, for one of two actors.
func expect(t *testing.T) func(ctx context.Context, host pluginapi.Host, i int) {
	return func(ctx context.Context, host pluginapi.Host, i int) {
		name, actor := []string{"A", "B", "UNSET"}[i%3], []string{"root", "alice"}[i%2]
		value, err := host.GetSecret(ctx, name, actor)
		if name == "UNSET" {
			if !errors.Is(err, pluginapi.ErrNotSet) || !strings.Contains(err.Error(), `"UNSET"`) {
				t.Errorf("%s: %v", name, err)
			}
			return
		}
		if want := name + " for " + actor; err != nil || value.Reveal() != want {
			t.Errorf("got %q, %v; want %q", value.Reveal(), err, want)
		}
	}
}

func TestCallsAtOnceShareRequests(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := &slowHost{}
		began := time.Now()
		askAtOnce(t, h, 302, expect(t))
		if took := time.Since(began); took != 3*slowness {
			t.Errorf("took %v", took)
		}
		if h.alone != 2 || len(h.shared) != 4 {
			t.Fatalf("%d requests for one, %d for several", h.alone, len(h.shared))
		}
		for i, names := range h.shared {
			if len(names) > 100 {
				t.Errorf("request %d for %s: %d names", i, h.actors[i], len(names))
			}
		}
	})
}

// Another call's trouble with a shared request is no trouble of one's own.
func TestACallIsRepeatedAlone(t *testing.T) {
	t.Parallel()
	for _, code := range []codes.Code{codes.InvalidArgument, codes.Internal, codes.Unimplemented} {
		t.Run(code.String(), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				h := &slowHost{refuseMany: status.Error(code, "together they are too large")}
				askAtOnce(t, h, 20, expect(t))
				if h.alone != 20 {
					t.Errorf("%d requests for one", h.alone)
				}
			})
		})
	}
}

func TestAHostThatIsGoneIsNotAskedTwice(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := &slowHost{refuseMany: status.Error(codes.Unavailable, "gone")}
		askAtOnce(t, h, 20, func(ctx context.Context, host pluginapi.Host, i int) {
			if _, err := host.GetSecret(ctx, "A", "root"); i > 1 && !errors.Is(err, pluginapi.ErrUnavailable) {
				t.Errorf("%d: %v", i, err)
			}
		})
		if h.alone != 2 {
			t.Errorf("%d requests for one", h.alone)
		}
	})
}

// Who gives up gets its answer at once, whether its request waits or is under
// way, and the others get theirs.
func TestAWaitingCallCanBeGivenUp(t *testing.T) {
	t.Parallel()
	for _, patience := range []time.Duration{slowness / 8, slowness} { // before its request leaves, and after
		t.Run(fmt.Sprint(patience), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				askAtOnce(t, &slowHost{}, 10, func(ctx context.Context, host pluginapi.Host, i int) {
					began := time.Now()
					if i == 5 {
						var cancel context.CancelFunc
						ctx, cancel = context.WithTimeout(ctx, patience)
						defer cancel()
					}
					_, err := host.GetSecret(ctx, "A", "root")
					if i != 5 && err != nil || i == 5 && (!errors.Is(err, context.DeadlineExceeded) || time.Since(began) != patience) {
						t.Errorf("%d: %v after %v", i, err, time.Since(began))
					}
				})
			})
		})
	}
}

// A host that never answers holds nobody longer than a call by itself.
func TestASharedRequestEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		askAtOnce(t, &slowHost{hang: true}, 10, func(ctx context.Context, host pluginapi.Host, i int) {
			if _, err := host.GetSecret(ctx, "A", "root"); i > 1 && !errors.Is(err, pluginapi.ErrUnavailable) {
				t.Errorf("%d: %v", i, err)
			}
		})
		if took := time.Since(began); took > pluginwire.HostCallTimeout+slowness {
			t.Errorf("took %v", took)
		}
	})
}
