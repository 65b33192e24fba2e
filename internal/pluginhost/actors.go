package pluginhost

import (
	"context"
	"maps"
	"slices"
	"time"
	"unicode/utf8"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/internal/pluginpb"
	"github.com/datasette-secrets/datasette-secrets/internal/pluginwire"
	"github.com/datasette-secrets/datasette-secrets/internal/vault"
)

// maxPeople is how many different ids of one page are asked about.
const maxPeople = 5 * pluginwire.MaxIDs

// ActorsFromIDs are those actors that a plugin knows, by their ids; the first
// plugin that knows one wins. A plugin that is slow knows nobody. What comes
// out is for people to read: it must decide nothing.
func (h *Host) ActorsFromIDs(ctx context.Context, ids []string) map[string]secrets.Actor {
	ids = askable(ids)
	known := map[string]secrets.Actor{}
	if len(ids) == 0 {
		return known
	}
	answers := askAll(ctx, h, vault.HookActors, h.cfg.Timings.Actors,
		func(ctx context.Context, l *launch) (map[string]secrets.Actor, error) {
			return l.actorsFromIDs(ctx, ids)
		})
	for _, actors := range slices.Backward(answers) {
		maps.Copy(known, actors)
	}
	return known
}

// askable are the ids that a plugin may be asked about, each once. Root is who
// started the host, and has no other name.
func askable(ids []string) []string {
	ids = slices.Compact(slices.Sorted(slices.Values(ids)))
	ids = slices.DeleteFunc(ids, func(id string) bool {
		return id == "" || id == "root" || len(id) > pluginwire.MaxActorID || !utf8.ValidString(id)
	})
	return ids[:min(len(ids), maxPeople)]
}

// actorsFromIDs asks one plugin about those that it was not asked about just
// now. With an error, there is still what is known already.
func (l *launch) actorsFromIDs(ctx context.Context, ids []string) (map[string]secrets.Actor, error) {
	known := map[string]secrets.Actor{}
	var unasked []string
	for _, id := range ids {
		actor, ok := l.hooks.people.get(id, time.Now())
		if !ok {
			unasked = append(unasked, id)
		} else if actor != nil {
			known[id] = actor
		}
	}
	for batch := range slices.Chunk(unasked, pluginwire.MaxIDs) {
		response, err := pluginpb.NewActorsClient(l.conn).ActorsFromIDs(ctx, &pluginpb.ActorsFromIDsRequest{Ids: batch})
		if err != nil {
			return known, err
		}
		for _, id := range batch {
			actor, err := pluginwire.ReadKnown(id, response.GetActors()[id])
			if err == nil {
				known[id] = actor
			}
			l.hooks.people.put(id, actor, time.Now())
		}
	}
	return known, nil
}
