package pluginapi

import (
	"context"
	"sync"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/datasette-secrets/datasette-secrets/internal/pluginpb"
	"github.com/datasette-secrets/datasette-secrets/internal/pluginwire"
)

// maxRequests is how many requests for values are under way before further
// calls share the next one.
const maxRequests = 2

// sharing lets calls of GetSecret at once share requests to the host, which
// costs both sides much less than a request for each: calls that find
// maxRequests under way wait until one of them has ended, and go together then.
// Who calls alone never waits. The host decides and records each as if it were
// by itself.
//
// There is no goroutine while nothing waits.
type sharing struct {
	mu       sync.Mutex
	requests int // under way
	waiting  []*call
}

// call is a call of GetSecret that waits for a request to share.
type call struct {
	name  string
	on    behalf
	ended chan outcome // holds one
}

// outcome is what a shared request came to for one call.
type outcome struct {
	found *pluginpb.GetSecretResponse
	err   error
	retry bool // the request failed as a whole, perhaps because of another call
}

// fetch asks the host for one value, alone or together with other calls.
func (h *hostClient) fetch(ctx context.Context, name string, on behalf) (*pluginpb.GetSecretResponse, error) {
	c := h.sharing.join(name, on)
	if c == nil {
		defer h.next()
		return h.fetchAlone(ctx, name, on)
	}
	select {
	case o := <-c.ended:
		if o.retry {
			return h.fetchAlone(ctx, name, on)
		}
		return o.found, o.err
	case <-ctx.Done():
		h.sharing.leave(c)
		return nil, status.FromContextError(ctx.Err()).Err()
	}
}

func (h *hostClient) fetchAlone(ctx context.Context, name string, on behalf) (*pluginpb.GetSecretResponse, error) {
	return h.secrets.GetSecret(ctx, &pluginpb.GetSecretRequest{Name: name, ActorId: on.id, ActorToken: on.token})
}

// next ends a request. What waits goes with another one.
func (h *hostClient) next() {
	if calls := h.sharing.take(); calls != nil {
		go h.fetchTogether(calls)
	}
}

// fetchTogether makes requests for calls that are on behalf of the same, until
// nothing waits any more.
func (h *hostClient) fetchTogether(calls []*call) {
	for ; calls != nil; calls = h.sharing.take() {
		request := &pluginpb.GetSecretsRequest{ActorId: calls[0].on.id, ActorToken: calls[0].on.token}
		for _, c := range calls {
			request.Names = append(request.Names, c.name)
		}
		ctx, cancel := context.WithTimeout(h.lifetime, pluginwire.HostCallTimeout)
		response, err := h.secrets.GetSecrets(ctx, request)
		cancel()
		results := response.GetResults()
		if err == nil && len(results) != len(calls) {
			err = status.Error(codes.Internal, "the host answered another question")
		}
		for i, c := range calls {
			if err != nil {
				c.ended <- outcome{err: err, retry: !unreachable(err)}
				continue
			}
			c.ended <- outcomeOf(results[i])
		}
	}
}

// unreachable tells of a failure that every other request would meet too.
func unreachable(err error) bool {
	code := status.Code(err)
	return code == codes.Unavailable || code == codes.DeadlineExceeded || code == codes.Canceled
}

func outcomeOf(r *pluginpb.SecretResult) outcome {
	if r.GetFound() == nil {
		return outcome{err: pluginwire.FromReason(r.GetError())}
	}
	return outcome{found: r.GetFound()}
}

// join returns nil for a call that is to go by itself, at once, and ends its
// request with take; otherwise what it has to wait with.
func (s *sharing) join(name string, on behalf) *call {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.requests < maxRequests {
		s.requests++
		return nil
	}
	c := &call{name: name, on: on, ended: make(chan outcome, 1)}
	s.waiting = append(s.waiting, c)
	return c
}

// take ends a request, and returns the calls that go together with another one
// in its place: those that waited longest. Without any it returns nil.
func (s *sharing) take() []*call {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.waiting) == 0 {
		s.requests--
		return nil
	}
	on := s.waiting[0].on
	var calls, rest []*call
	for _, c := range s.waiting {
		if c.on == on && len(calls) < maxNames {
			calls = append(calls, c)
			continue
		}
		rest = append(rest, c)
	}
	s.waiting = rest
	return calls
}

// leave takes back a call that nobody waits for any more, unless its request is
// under way.
func (s *sharing) leave(c *call) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, other := range s.waiting {
		if other == c {
			s.waiting = append(s.waiting[:i:i], s.waiting[i+1:]...)
			return
		}
	}
}
