package ui

import (
	"context"
	"net/http"

	secrets "github.com/datasette-secrets/datasette-secrets"
)

// Hooks are what plugins add to the pages. None of these waits for long, and
// what they return is bounded and checked; but its words are a plugin's. A nil
// function is a host without such plugins.
type Hooks struct {
	// Sender says who sent a request that brings neither cookie nor token, nil
	// if no plugin knows. The path is escaped and without base_url.
	Sender func(ctx context.Context, method, path string, header http.Header) secrets.Actor

	// MenuLinks are links for the menu of an actor, nil for nobody, sorted by
	// plugin.
	MenuLinks func(ctx context.Context, actor secrets.Actor) []secrets.MenuLink

	// Actors are those that a plugin knows, by their ids.
	Actors func(ctx context.Context, ids []string) map[string]secrets.Actor

	// Validators are the plugins that can test the value of a secret now.
	Validators func(ctx context.Context, name string) []string

	// TestSecret lets one of them do so. Its errors are those of the vault, and
	// ErrUnavailable with a reason for people.
	TestSecret func(ctx context.Context, caller secrets.Caller, plugin, name string) (secrets.TestResult, error)

	// Page passes a request on to a plugin's own pages, of which prefix is the
	// path in front. It returns the plugin's answer, unchecked. The errors are
	// ErrNotFound, ErrInvalid, ErrUnavailable and http.MaxBytesError.
	Page func(plugin, prefix string, actor secrets.Actor, r *http.Request) (*http.Response, error)
}

// withDefaults makes every hook one that can be called.
func (h Hooks) withDefaults() Hooks {
	if h.Sender == nil {
		h.Sender = func(context.Context, string, string, http.Header) secrets.Actor { return nil }
	}
	if h.MenuLinks == nil {
		h.MenuLinks = func(context.Context, secrets.Actor) []secrets.MenuLink { return nil }
	}
	if h.Actors == nil {
		h.Actors = func(context.Context, []string) map[string]secrets.Actor { return nil }
	}
	if h.Validators == nil {
		h.Validators = func(context.Context, string) []string { return nil }
	}
	if h.TestSecret == nil {
		h.TestSecret = func(context.Context, secrets.Caller, string, string) (secrets.TestResult, error) {
			return secrets.TestResult{}, secrets.ErrNotFound
		}
	}
	if h.Page == nil {
		h.Page = func(string, string, secrets.Actor, *http.Request) (*http.Response, error) {
			return nil, secrets.ErrNotFound
		}
	}
	return h
}
