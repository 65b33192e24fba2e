package pluginhost

import (
	"context"
	"errors"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/internal/pluginpb"
	"github.com/datasette-secrets/datasette-secrets/internal/vault"
)

// Opening a watch makes the host read where all of a plugin's secrets stand.
const (
	watchRate  = 10 // watches opened a second
	watchBurst = 40 // watches opened at once
)

// Watch implements pluginpb.SecretsServer. It ends when the plugin hangs up,
// does not keep up, or when the host stops.
func (s *service) Watch(r *pluginpb.WatchRequest, stream grpc.ServerStreamingServer[pluginpb.Change]) error {
	if !s.watches.Allow() {
		return status.Error(codes.ResourceExhausted, "too many watches are opened; try again in a second")
	}
	ctx := stream.Context()
	watcher, err := s.vault.Watch(ctx, secrets.Caller{Plugin: s.plugin}, r.GetNames(), r.GetCursor())
	if err != nil {
		return watchError(err)
	}
	defer watcher.Close()
	for {
		change, err := watcher.Next(ctx)
		if err == nil {
			err = deliver(stream, watcher, change)
		}
		if err != nil {
			return watchError(err)
		}
	}
}

// deliver sends one change. A plugin that does not read makes Send wait: then
// the watcher's end comes first, and what waits ends with the call.
func deliver(stream grpc.ServerStreamingServer[pluginpb.Change], watcher *vault.Watcher, change vault.Change) error {
	sent := make(chan error, 1)
	go func() {
		sent <- recovered(func() error {
			return stream.Send(&pluginpb.Change{
				Kind: changeKind(change.Kind), Name: change.Name,
				Version: uint64(change.Version), Cursor: change.Cursor,
			})
		})
	}()
	select {
	case err := <-sent:
		if err != nil {
			return context.Canceled // the plugin is gone
		}
		return nil
	case <-watcher.Cut():
		return vault.ErrTooSlow
	}
}

func changeKind(kind vault.ChangeKind) pluginpb.Change_Kind {
	switch kind {
	case vault.ChangeOpened:
		return pluginpb.Change_OPENED
	case vault.ChangeUpdated:
		return pluginpb.Change_UPDATED
	case vault.ChangeRevoked:
		return pluginpb.Change_REVOKED
	case vault.ChangeResync:
		return pluginpb.Change_RESYNC
	}
	return pluginpb.Change_KIND_UNSPECIFIED
}

// watchError gives what the plugin itself is to blame for its own code.
func watchError(err error) error {
	if errors.Is(err, vault.ErrTooSlow) || errors.Is(err, vault.ErrTooManyWatchers) {
		return status.Error(codes.ResourceExhausted, err.Error())
	}
	return err
}
