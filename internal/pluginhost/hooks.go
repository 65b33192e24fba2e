package pluginhost

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"google.golang.org/grpc/codes"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/internal/pluginpb"
	"github.com/datasette-secrets/datasette-secrets/internal/vault"
)

// actorLife is how long a plugin may prove an actor that it was handed.
const actorLife = 5 * time.Minute

// hookOf is the hook of each optional service, by the service's full name.
func hookOf() map[string]string {
	return map[string]string{
		pluginpb.Validator_ServiceDesc.ServiceName:     vault.HookValidator,
		pluginpb.Menu_ServiceDesc.ServiceName:          vault.HookMenu,
		pluginpb.Actors_ServiceDesc.ServiceName:        vault.HookActors,
		pluginpb.Authenticator_ServiceDesc.ServiceName: vault.HookAuthenticator,
		pluginpb.Http_ServiceDesc.ServiceName:          vault.HookHTTP,
	}
}

// hooks is what one launch of a plugin offers besides secrets, and what the
// host remembers of it.
type hooks struct {
	offered  []string            // sorted
	circuits map[string]*circuit // by hook
	menu     *kept[[]secrets.MenuLink]
	people   *kept[secrets.Actor] // nil for who is not known
	pages    *pages
}

// newHooks keeps those of the services that are hooks.
func newHooks(services []string) *hooks {
	h := &hooks{
		circuits: map[string]*circuit{},
		menu:     newKept[[]secrets.MenuLink](),
		people:   newKept[secrets.Actor](),
		pages:    newPages(),
	}
	for service, hook := range hookOf() {
		if slices.Contains(services, service) {
			h.offered = append(h.offered, hook)
			h.circuits[hook] = &circuit{}
		}
	}
	slices.Sort(h.offered)
	return h
}

// offering borrows the launch of a plugin that is ready, offers a hook and is
// approved for it; else it is nil. Nothing else is ever called.
func (s *supervised) offering(hook string) (l *launch, giveBack func()) {
	if !s.host.cfg.Vault.MayServe(s.name, hook) {
		return nil, nil
	}
	l, giveBack = s.borrow()
	if l != nil && !slices.Contains(l.hooks.offered, hook) {
		giveBack()
		return nil, nil
	}
	return l, giveBack
}

// askAll puts a question to every plugin that offers a hook, side by side, and
// returns the answers in the order of the plugins' names. One that fails, or
// takes longer than limit, leaves the zero value, or what it had. A plugin that
// was late several times in a row is not asked for a while.
func askAll[T any](ctx context.Context, h *Host, hook string, limit time.Duration, question func(context.Context, *launch) (T, error)) []T {
	answers := make([]T, len(h.plugins))
	var asked sync.WaitGroup
	for i, s := range h.plugins {
		l, giveBack := s.offering(hook)
		if l == nil {
			continue
		}
		if !l.hooks.circuits[hook].allows(time.Now()) {
			giveBack()
			continue
		}
		asked.Go(func() {
			defer giveBack()
			ctx, cancel := context.WithTimeout(ctx, limit)
			defer cancel()
			var err error
			answers[i], err = question(ctx, l)
			if l.hooks.circuits[hook].note(code(err) == codes.DeadlineExceeded, time.Now()) {
				l.log.Warn("the plugin is too slow and is not asked for a while", "hook", hook, "limit", limit, "pause", circuitPause)
			}
			if err != nil {
				// Its own words are left out: it may know secrets.
				l.log.Debug("the plugin did not answer", "hook", hook, "code", code(err))
			}
		})
	}
	asked.Wait()
	return answers
}

// handed is an actor as a plugin is told of it, with a token to prove it by.
func (h *Host) handed(plugin string, actor secrets.Actor) (*pluginpb.Actor, error) {
	if len(actor) == 0 {
		return &pluginpb.Actor{}, nil
	}
	data, err := json.Marshal(actor)
	if err != nil {
		return nil, fmt.Errorf("encoding an actor: %w", err)
	}
	token, err := h.cfg.Signer.SignActorToken(actor, plugin, actorExpiry(actor, time.Now()))
	if err != nil {
		return nil, err
	}
	return &pluginpb.Actor{Json: data, Token: token}, nil
}

// actorExpiry is when the proof of an actor ends: soon, and no later than the
// API token that the actor came with.
func actorExpiry(actor secrets.Actor, now time.Time) time.Time {
	soon := now.Add(actorLife)
	seconds, err := strconv.ParseInt(fmt.Sprint(actor["token_expires"]), 10, 64)
	if err == nil && seconds < soon.Unix() {
		return time.Unix(seconds, 0)
	}
	return soon
}
