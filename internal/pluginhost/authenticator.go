package pluginhost

import (
	"context"
	"net/http"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/internal/pluginpb"
	"github.com/datasette-secrets/datasette-secrets/internal/pluginwire"
	"github.com/datasette-secrets/datasette-secrets/internal/vault"
)

// ActorFromRequest asks the plugins that sign people in who sent a request,
// with the escaped path as the host's pages know it. The first plugin, by
// name, that knows decides; one that fails or is slow does not know. The answer
// is nil for nobody.
//
// pluginwire.ReadSender says what even an approved plugin may not claim.
func (h *Host) ActorFromRequest(ctx context.Context, method, path string, header http.Header) secrets.Actor {
	answers := askAll(ctx, h, vault.HookAuthenticator, h.cfg.Timings.Authenticate,
		func(ctx context.Context, l *launch) (secrets.Actor, error) {
			response, err := pluginpb.NewAuthenticatorClient(l.conn).ActorFromRequest(ctx, &pluginpb.ActorFromRequestRequest{
				Method: method, Path: path, Headers: granted(header, h.cfg.Grants[l.name].Headers),
			})
			if err != nil {
				return nil, err
			}
			actor, err := pluginwire.ReadSender(response.GetActorJson())
			if err != nil {
				l.log.Warn("who the plugin says sent a request is not taken", "reason", err)
			}
			return actor, err
		})
	for _, actor := range answers {
		if actor != nil {
			return actor
		}
	}
	return nil
}
