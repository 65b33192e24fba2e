package host

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"time"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/internal/config"
	"github.com/datasette-secrets/datasette-secrets/internal/vault"
)

// The newest head of the log is signed when it is this old and there is
// something new, or when there is this much of it, whatever comes first.
const (
	headEvery   = time.Minute
	headEntries = 1000
	headLook    = 2 * time.Second // between two looks at how much there is
)

// pruneEvery is the pause between two looks for entries that need not be kept.
const pruneEvery = 10 * time.Minute

// headTimeout bounds keeping a head in one place.
const headTimeout = 5 * time.Second

// keepLog signs heads of the log and prunes it, until ctx ends.
func (h *Host) keepLog(ctx context.Context, cfg config.LogConfig) {
	keep := vault.Keep{Entries: cfg.Entries, Age: cfg.Age}
	ticker := time.NewTicker(headLook)
	defer ticker.Stop()
	var signed, pruned time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		n, err := h.door.UnsignedEntries(ctx)
		if err == nil && (n >= headEntries || n > 0 && time.Since(signed) >= headEvery) {
			h.signHead(ctx, cfg.Heads)
			signed = time.Now()
		}
		if time.Since(pruned) >= pruneEvery {
			if _, err := h.door.PruneLog(ctx, keep); err != nil && ctx.Err() == nil {
				h.log.Warn("pruning the log failed and is tried again", "error", err)
			}
			pruned = time.Now()
		}
	}
}

// signHead signs what the log is now, and keeps that in other places too:
// whoever puts an older database back does not reach them there.
func (h *Host) signHead(ctx context.Context, places []string) {
	signed, err := h.door.SignHead(ctx)
	if errors.Is(err, secrets.ErrNotConfigured) || errors.Is(err, secrets.ErrSealed) {
		return // there is nothing to sign with
	}
	if err != nil && ctx.Err() == nil {
		h.log.Warn("signing the head of the log failed and is tried again", "error", err)
	}
	if signed == "" {
		return
	}
	for _, place := range places {
		if err := keepHead(ctx, place, signed); err != nil {
			h.log.Warn("a signed head of the log could not be kept elsewhere too", "error", err)
		}
	}
}

// keepHead adds a signed head to a file, or sends it to an address.
func keepHead(ctx context.Context, place, signed string) error {
	if filepath.IsAbs(place) {
		return appendHead(place, signed)
	}
	return postHead(ctx, place, signed)
}

// appendHead adds a head to a file, with an empty line after it.
func appendHead(path, signed string) (err error) {
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("keeping a head of the log: %w", err)
	}
	_, err = f.WriteString(signed + "\n")
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("keeping a head of the log: %w", err)
	}
	return nil
}

// postHead sends a head to an address. The address is not repeated in errors:
// it may hold a token.
func postHead(ctx context.Context, address, signed string) error {
	ctx, cancel := context.WithTimeout(ctx, headTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader([]byte(signed)))
	if err != nil {
		return errors.New("sending a head of the log: the address is malformed")
	}
	request.Header.Set("Content-Type", "text/plain; charset=utf-8")
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	answer, err := client.Do(request)
	if err != nil {
		return fmt.Errorf("sending a head of the log to %s: %w", request.URL.Host, errors.Unwrap(err))
	}
	defer answer.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(answer.Body, 4<<10))
	if answer.StatusCode/100 != 2 {
		return fmt.Errorf("sending a head of the log to %s: it answered with the status %d", request.URL.Host, answer.StatusCode)
	}
	return nil
}
