package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/internal/vault"
)

const (
	lookEvery  = 500 * time.Millisecond // whether the token still counts
	beatEvery  = 15 * time.Second       // a sign of life
	writeLimit = 10 * time.Second       // for one event
)

// changeJSON is what an event tells of a secret.
type changeJSON struct {
	Name    string `json:"name"`
	Version *int64 `json:"version"`
}

// events tells of changes until the client goes, or its token does.
func (s *site) events(w http.ResponseWriter, r *request) error {
	watcher, err := s.watch(r)
	if err != nil {
		return err
	}
	defer watcher.Close()
	stream := stream{w, http.NewResponseController(w)}
	// Without that, the server's limit for the request as a whole ends it.
	_ = stream.SetReadDeadline(time.Time{})
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("X-Accel-Buffering", "no") // a proxy should pass events on at once
	w.WriteHeader(http.StatusOK)
	beat := s.Now()
	for {
		change, err := next(r.Context(), watcher)
		if client, gone := s.Vault.ClientOf(r.token); gone != nil || client != r.caller.Client {
			return nil
		}
		switch {
		case err == nil:
			err = stream.tell(change)
		case !errors.Is(err, context.DeadlineExceeded) || r.Context().Err() != nil:
			return nil // the client is gone, or too slow; it may come back with its last id
		case s.Now().Sub(beat) >= beatEvery:
			beat, err = s.Now(), stream.send(": still here\n\n")
		default:
			err = nil
		}
		if err != nil {
			return nil
		}
	}
}

// watch begins to look for changes of what the request names.
func (s *site) watch(r *request) (*vault.Watcher, error) {
	names, err := r.query("name")
	if err != nil {
		return nil, err
	}
	if len(names) > vault.MaxBatch {
		return nil, fmt.Errorf("%w: %d names are given, at most %d are allowed", secrets.ErrInvalid, len(names), vault.MaxBatch)
	}
	if err := vault.CheckNames(names); err != nil {
		return nil, err
	}
	watcher, err := s.Vault.Watch(r.Context(), r.caller, names, r.Header.Get("Last-Event-Id"))
	if errors.Is(err, secrets.ErrDenied) {
		return nil, s.Vault.NoteRefused(r.Context(), r.caller, vault.ActionRequest, strings.Join(names, " "), err)
	}
	return watcher, err
}

// next waits for a change, but not for long.
func next(ctx context.Context, watcher *vault.Watcher) (vault.Change, error) {
	ctx, cancel := context.WithTimeout(ctx, lookEvery)
	defer cancel()
	return watcher.Next(ctx)
}

// stream is a response that goes on.
type stream struct {
	w http.ResponseWriter
	*http.ResponseController
}

func (s stream) tell(c vault.Change) error {
	data := "{}\n"
	if c.Name != "" {
		data = string(encode(changeJSON{c.Name, versionOrNull(c.Version)}))
	}
	return s.send(fmt.Sprintf("id: %s\nevent: %s\ndata: %s\n", c.Cursor, c.Kind, data))
}

func (s stream) send(text string) error {
	if err := s.SetWriteDeadline(time.Now().Add(writeLimit)); err != nil {
		return err
	}
	if _, err := s.w.Write([]byte(text)); err != nil {
		return err
	}
	return s.Flush()
}
