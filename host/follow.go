package host

import (
	"context"
	"errors"
	"time"

	secrets "github.com/datasette-secrets/datasette-secrets"
)

// followEvery is how long it takes at most until a decision or a sealed key
// counts that another process wrote into the file. That a client is revoked has
// to count within a second.
const followEvery = time.Second / 2

// follow makes decisions about plugins and sealed keys count that come from
// other processes, until ctx ends. While the file cannot be read, the last ones
// that could be count. unseal is called when the root key was replaced.
func (h *Host) follow(ctx context.Context, d decider, unseal func()) {
	ticker := time.NewTicker(followEvery)
	defer ticker.Stop()
	failing, sealed := false, false
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		keys := d.door.RefreshKeys(ctx)
		replaced := errors.Is(keys, secrets.ErrSealed) // of which the door has told
		if replaced {
			keys = nil
		}
		if replaced && !sealed {
			unseal()
		}
		sealed = replaced
		err := errors.Join(d.door.Refresh(ctx), keys)
		h.pulse.noteRead(err)
		if err != nil && !failing && ctx.Err() == nil {
			h.log.Warn("looking for what other processes changed failed and is tried again", "error", err)
		}
		failing = err != nil
		d.obey()
	}
}
