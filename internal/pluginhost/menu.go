package pluginhost

import (
	"context"
	"slices"
	"time"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/internal/pluginpb"
	"github.com/datasette-secrets/datasette-secrets/internal/pluginwire"
	"github.com/datasette-secrets/datasette-secrets/internal/vault"
)

// MenuLinks are the links that plugins want in the menu of a page for an
// actor, nil for nobody, in the order of the plugins' names. A plugin that is
// slow has none.
func (h *Host) MenuLinks(ctx context.Context, actor secrets.Actor) []secrets.MenuLink {
	return slices.Concat(askAll(ctx, h, vault.HookMenu, h.cfg.Timings.Menu,
		func(ctx context.Context, l *launch) ([]secrets.MenuLink, error) { return h.menuLinks(ctx, l, actor) })...)
}

func (h *Host) menuLinks(ctx context.Context, l *launch, actor secrets.Actor) ([]secrets.MenuLink, error) {
	handed, err := h.handed(l.name, actor)
	if err != nil {
		return nil, err
	}
	asked := string(handed.GetJson())
	if links, ok := l.hooks.menu.get(asked, time.Now()); ok {
		return links, nil
	}
	response, err := pluginpb.NewMenuClient(l.conn).MenuLinks(ctx, &pluginpb.MenuLinksRequest{Actor: handed})
	if err != nil {
		return nil, err
	}
	links := checkLinks(l.name, response.GetLinks())
	l.hooks.menu.put(asked, links, time.Now())
	return links, nil
}

// checkLinks leaves out what may not stand in a menu.
func checkLinks(plugin string, offered []*pluginpb.MenuLink) []secrets.MenuLink {
	var links []secrets.MenuLink
	for _, link := range offered {
		if len(links) == pluginwire.MaxLinks {
			break
		}
		if pluginwire.CheckLink(link.GetHref(), link.GetLabel()) == nil {
			links = append(links, secrets.MenuLink{Plugin: plugin, URL: link.GetHref(), Label: link.GetLabel()})
		}
	}
	return links
}
