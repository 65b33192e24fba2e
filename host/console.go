package host

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"time"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/internal/access"
	"github.com/datasette-secrets/datasette-secrets/internal/control"
	"github.com/datasette-secrets/datasette-secrets/internal/db"
	"github.com/datasette-secrets/datasette-secrets/internal/source"
	"github.com/datasette-secrets/datasette-secrets/internal/vault"
)

// The acts that a console can ask of a host.
const (
	actList    = "plugin/list"
	actApprove = "plugin/approve"
	actRefuse  = "plugin/refuse"
	actEnable  = "plugin/enable"
	actDisable = "plugin/disable"
	actRestart = "plugin/restart"
	actLog     = "plugin/log"
)

// acts are what commands can ask for, here or through the control socket.
func (d decider) acts() map[string]control.Act {
	acts := map[string]control.Act{
		actList: func(ctx context.Context, caller secrets.Caller, _ json.RawMessage) (any, error) {
			return d.reports(ctx, caller)
		},
		actApprove: with(d.approve),
		actRefuse:  with(d.refuse),
		actLog:     with(d.log),
		actEnable:  with(silent(d.enable)),
		actDisable: with(silent(d.disable)),
		actRestart: with(silent(d.restart)),
	}
	maps.Copy(acts, d.permissionActs())
	return acts
}

// with decodes the request of an act.
func with[R, A any](act func(context.Context, secrets.Caller, R) (A, error)) control.Act {
	return func(ctx context.Context, caller secrets.Caller, request json.RawMessage) (any, error) {
		var r R
		if err := json.Unmarshal(request, &r); err != nil {
			return nil, fmt.Errorf("%w: the command is not what this host expects; is it of another version?", secrets.ErrInvalid)
		}
		return act(ctx, caller, r)
	}
}

// silent is an act without a result.
func silent[R any](act func(context.Context, secrets.Caller, R) error) func(context.Context, secrets.Caller, R) (any, error) {
	return func(ctx context.Context, caller secrets.Caller, r R) (any, error) { return nil, act(ctx, caller, r) }
}

// Console is an operator's way to a database of secrets: through the host that
// has it open, or on the file itself when no host runs. What it does counts as
// done by the user of this machine who runs the command.
type Console struct {
	client *control.Client // nil without a host
	acts   map[string]control.Act
	db     *db.DB
}

// OpenConsole opens the database that Open would, of which it must be said
// which one that is; it must exist.
func OpenConsole(ctx context.Context, cfg Config) (*Console, error) {
	path, policy, err := locate(ctx, cfg)
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: the database %s does not exist", secrets.ErrInvalid, path)
	}
	client, err := control.Dial(ctx, path)
	if err == nil {
		return &Console{client: client}, nil
	}
	if !errors.Is(err, control.ErrNoHost) {
		return nil, err
	}
	opened, _, err := db.Open(ctx, path, time.Now)
	if err != nil {
		return nil, err
	}
	nothing := source.Environment{Lookup: func(string) (string, bool) { return "", false }}
	door := vault.New(vault.Config{DB: opened, Policy: policy, Environment: nothing, Now: time.Now})
	if err := door.Refresh(ctx); err != nil {
		return nil, errors.Join(err, opened.Close())
	}
	door.RecallAll()
	acts := decider{door: door}.acts()
	maps.Copy(acts, clientActs(door))
	return &Console{acts: acts, db: opened}, nil
}

// locate finds the file that holds the secrets, as Open does, and the
// permissions of its configuration.
func locate(ctx context.Context, cfg Config) (path string, policy *access.Policy, err error) {
	if cfg.LookupEnv == nil {
		cfg.LookupEnv = func(string) (string, bool) { return "", false }
	}
	files, loaded, own, err := load(ctx, cfg)
	if err != nil {
		return "", nil, err
	}
	if policy, err = newPolicy(cfg, loaded, own); err != nil {
		return "", nil, err
	}
	if own.Database != "" {
		file, err := attached(own.Database, files)
		return file.path, policy, err
	}
	if cfg.Internal == "" {
		return "", nil, fmt.Errorf("%w: say which database holds the secrets, with --internal FILE", secrets.ErrInvalid)
	}
	return cfg.Internal, policy, nil
}

// Close ends what the console opened.
func (c *Console) Close() error {
	if c.client != nil {
		c.client.Close()
		return nil
	}
	return c.db.Close()
}

// Running reports whether a host performs the commands.
func (c *Console) Running() bool { return c.client != nil }

// Plugins tells of every plugin that the database knows or the host has.
func (c *Console) Plugins(ctx context.Context) (reports []PluginReport, err error) {
	err = c.call(ctx, actList, nil, &reports)
	return reports, err
}

// Approve grants what a plugin asks for and returns what it granted. Without
// any requests, everything pending is meant that is not delicate.
func (c *Console) Approve(ctx context.Context, plugin string, requests ...Request) (approved []Request, err error) {
	err = c.call(ctx, actApprove, pluginOrder{Plugin: plugin, Requests: requests}, &approved)
	return approved, err
}

// Refuse refuses what a plugin asks for, or takes away what it was granted,
// and returns what it refused. Without any requests, everything pending is
// meant.
func (c *Console) Refuse(ctx context.Context, plugin string, requests ...Request) (refused []Request, err error) {
	err = c.call(ctx, actRefuse, pluginOrder{Plugin: plugin, Requests: requests}, &refused)
	return refused, err
}

// Enable lets a plugin run that was disabled or crashed too often.
func (c *Console) Enable(ctx context.Context, plugin string) error {
	return c.call(ctx, actEnable, pluginOrder{Plugin: plugin}, nil)
}

// Disable stops a plugin until it is enabled.
func (c *Console) Disable(ctx context.Context, plugin string) error {
	return c.call(ctx, actDisable, pluginOrder{Plugin: plugin}, nil)
}

// Restart stops a plugin and starts it again. It needs a running host.
func (c *Console) Restart(ctx context.Context, plugin string) error {
	return c.call(ctx, actRestart, pluginOrder{Plugin: plugin}, nil)
}

// Log returns what is kept of a plugin's log after a line, oldest first, but
// not more than a few hundred lines at once. It needs a running host.
func (c *Console) Log(ctx context.Context, plugin string, after int64) (lines []secrets.LogLine, err error) {
	err = c.call(ctx, actLog, pluginOrder{Plugin: plugin, After: after}, &lines)
	return lines, err
}

// call has the host perform an act, or performs it on the file.
func (c *Console) call(ctx context.Context, act string, request, result any) error {
	if c.client != nil {
		return c.client.Call(ctx, act, request, result)
	}
	encoded, err := json.Marshal(request)
	if err != nil {
		return fmt.Errorf("encoding the command: %w", err)
	}
	answer, err := c.acts[act](ctx, Operator(), encoded)
	if err != nil || result == nil {
		return err
	}
	if encoded, err = json.Marshal(answer); err != nil {
		return fmt.Errorf("encoding the answer: %w", err)
	}
	if err := json.Unmarshal(encoded, result); err != nil {
		return fmt.Errorf("decoding the answer: %w", err)
	}
	return nil
}
