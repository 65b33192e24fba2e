package host

import (
	"context"
	"errors"
	"fmt"
	"slices"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/internal/pluginhost"
	"github.com/datasette-secrets/datasette-secrets/internal/vault"
)

// maxLogLines is how many lines of a plugin's log one answer holds.
const maxLogLines = 200

// decider takes the decisions of administrators about plugins: it has the
// vault record them, and the running plugins follow.
type decider struct {
	door    *vault.Vault
	running *pluginhost.Host // nil when no plugins run here
}

// Request is something that a plugin asks for: the kind "secret" or "hook",
// and its name.
type Request struct {
	Kind string `json:"kind"`
	Name string `json:"name"`
}

// pluginOrder is what a command wants done with a plugin.
type pluginOrder struct {
	Plugin   string    `json:"plugin"`
	Requests []Request `json:"requests,omitempty"`
	After    int64     `json:"after,omitempty"` // of log lines
}

func (d decider) approve(ctx context.Context, caller secrets.Caller, order pluginOrder) ([]Request, error) {
	approved, err := d.door.Approve(ctx, caller, order.Plugin, order.requests()...)
	return told(approved), err
}

func (d decider) refuse(ctx context.Context, caller secrets.Caller, order pluginOrder) ([]Request, error) {
	refused, err := d.door.Refuse(ctx, caller, order.Plugin, order.requests()...)
	return told(refused), err
}

func (o pluginOrder) requests() []vault.Request {
	var requests []vault.Request
	for _, r := range o.Requests {
		requests = append(requests, vault.Request{Kind: vault.RequestKind(r.Kind), Name: r.Name})
	}
	return requests
}

func told(requests []vault.Request) []Request {
	all := []Request{}
	for _, r := range requests {
		all = append(all, Request{string(r.Kind), r.Name})
	}
	return all
}

// disable turns a plugin off, for good and at once.
func (d decider) disable(ctx context.Context, caller secrets.Caller, order pluginOrder) error {
	if err := d.find(ctx, caller, order.Plugin); err != nil {
		return err
	}
	if err := d.door.DisablePlugin(ctx, caller, order.Plugin); err != nil || d.running == nil {
		return err
	}
	return ignoreAbsent(d.running.Disable(order.Plugin))
}

// enable takes disable back, and has a plugin tried again that crashed too
// often.
func (d decider) enable(ctx context.Context, caller secrets.Caller, order pluginOrder) error {
	if err := d.find(ctx, caller, order.Plugin); err != nil {
		return err
	}
	if err := d.door.EnablePlugin(ctx, caller, order.Plugin); err != nil || d.running == nil {
		return err
	}
	return ignoreAbsent(d.running.Enable(order.Plugin))
}

// restart starts a running plugin anew. It asks the vault as well, because
// that is who knows what the caller may do.
func (d decider) restart(ctx context.Context, caller secrets.Caller, order pluginOrder) error {
	if err := d.find(ctx, caller, order.Plugin); err != nil {
		return err
	}
	if d.running == nil {
		return errNoHost()
	}
	return d.running.Restart(order.Plugin)
}

// log returns lines of a plugin's log, oldest first.
func (d decider) log(ctx context.Context, caller secrets.Caller, order pluginOrder) ([]secrets.LogLine, error) {
	if err := d.find(ctx, caller, order.Plugin); err != nil {
		return nil, err
	}
	if d.running == nil {
		return nil, errNoHost()
	}
	lines := d.running.Log(order.Plugin, order.After)
	return lines[:min(len(lines), maxLogLines)], nil
}

// find is an error unless the caller may know that there is such a plugin, and
// there is.
func (d decider) find(ctx context.Context, caller secrets.Caller, plugin string) error {
	all, err := d.reports(ctx, caller)
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(all, func(p PluginReport) bool { return p.Name == plugin }) {
		return fmt.Errorf("%w: there is no plugin called %q", secrets.ErrNotFound, plugin)
	}
	return nil
}

func errNoHost() error {
	return fmt.Errorf("%w: no host runs plugins on this database; start it with serve", secrets.ErrUnavailable)
}

// ignoreAbsent is for plugins whose file is gone: there is nothing to stop or
// start.
func ignoreAbsent(err error) error {
	if errors.Is(err, secrets.ErrNotFound) {
		return nil
	}
	return err
}

// obey makes the running plugins follow decisions that another process
// recorded.
func (d decider) obey() {
	if d.running == nil {
		return
	}
	for _, status := range d.running.Status() {
		disabled := d.door.PluginDisabled(status.Name)
		switch {
		case disabled && status.State != secrets.PluginDisabled:
			_ = d.running.Disable(status.Name) // it is there
		case !disabled && status.State == secrets.PluginDisabled:
			_ = d.running.Enable(status.Name) // fails for one that the configuration turns off
		}
	}
}
