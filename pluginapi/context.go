package pluginapi

import "context"

// handed is what the host hands over with a call.
type handed struct {
	actor Actor
	token string // proves the actor to the host; empty for nobody
}

type handedKey struct{}

type hostKey struct{}

// withActor keeps who is signed in, and the host's proof of it.
func withActor(ctx context.Context, actor Actor, token string) context.Context {
	return context.WithValue(ctx, handedKey{}, handed{actor, token})
}

// withHost keeps the host for the hooks.
func withHost(ctx context.Context, host Host) context.Context {
	return context.WithValue(ctx, hostKey{}, host)
}

// ActorFromContext returns who is signed in: of the request that an
// [HTTPHandler] answers, or who looks at the menu of a [MenuProvider]. It is
// nil for nobody, and in every other context.
func ActorFromContext(ctx context.Context) Actor {
	h, _ := ctx.Value(handedKey{}).(handed)
	return h.actor
}

// HostFromContext returns the host that calls one of the optional interfaces.
// It is nil in every other context; [Starter.Start] has it as an argument.
func HostFromContext(ctx context.Context) Host {
	host, _ := ctx.Value(hostKey{}).(Host)
	return host
}

// onBehalf returns the id and the token to ask the host with: an empty id
// means the actor of the context. The token goes along only when it is about
// that id, for a plugin may use a secret for somebody else too.
func onBehalf(ctx context.Context, actorID string) (id, token string) {
	h, _ := ctx.Value(handedKey{}).(handed)
	if actorID == "" || actorID == h.actor.ID() {
		return h.actor.ID(), h.token
	}
	return actorID, ""
}
