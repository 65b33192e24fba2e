package pluginhost

import (
	"context"

	"github.com/datasette-secrets/datasette-secrets/internal/pluginwire"
)

// brokerID is what the plugin is told, 0 if nothing was offered.
func (l *launch) brokerID() uint32 {
	if l.bare {
		return pluginwire.OfferedID
	}
	return 0
}

// offerHost tells a plugin with a certificate of its own where its host is.
func (l *launch) offerHost() error {
	return pluginwire.OfferHost(context.Background(), l.conn, l.callback.address)
}
