package host

import (
	"context"
	"fmt"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/internal/config"
	"github.com/datasette-secrets/datasette-secrets/internal/pluginhost"
	"github.com/datasette-secrets/datasette-secrets/internal/sandbox"
	"github.com/datasette-secrets/datasette-secrets/internal/ui"
	"github.com/datasette-secrets/datasette-secrets/internal/vault"
)

func (h *Host) startPlugins(ctx context.Context, cfg Config, loaded *config.Config, own config.SecretsConfig, door *vault.Vault) (err error) {
	folder := cfg.PluginsDir
	if folder == "" {
		folder = own.PluginsDir
	}
	programs, err := cfg.Development.programs()
	if err != nil || folder == "" && len(programs) == 0 {
		return err
	}
	granted := grants(own.Grants)
	grantOwn(granted, programs)
	h.plugins, err = pluginhost.Start(ctx, pluginhost.Config{
		Dir: folder, Programs: programs, Vault: door, Signer: h.signer, Settings: pluginSettings(loaded),
		Log: h.log, Metrics: h.metrics, HostVersion: Version, LookupEnv: cfg.LookupEnv,
		Entry: cfg.Entry, Sandbox: sandbox.Mode(own.Sandbox), Grants: granted, Timings: cfg.Development.timings(),
	})
	return err
}

// grants are the administrator's decisions in pluginhost's words.
func grants(configured map[string]config.PluginGrant) map[string]pluginhost.Grant {
	all := map[string]pluginhost.Grant{}
	for name, g := range configured {
		all[name] = pluginhost.Grant{
			Disabled: !g.Enabled,
			Network:  len(g.Network) > 0,
			Ports:    g.Ports,
			Read:     g.Read,
			Memory:   g.Memory,
			Args:     g.Args,
			MaxAge:   g.MaxAge,
			Headers:  g.Headers,
		}
	}
	return all
}

// pluginSettings gives a plugin the block of its name. The host's own block,
// with the encryption key, is nobody's; pluginhost refuses that name too.
func pluginSettings(loaded *config.Config) func(string) (any, error) {
	return func(plugin string) (any, error) {
		if plugin == config.Name {
			return nil, fmt.Errorf("%w: plugins.%s is the host's own", secrets.ErrDenied, plugin)
		}
		return loaded.Plugin(plugin)
	}
}

// running is what pages do with running plugins; nil without any.
func (h *Host) running() ui.PluginControl {
	if h.plugins == nil {
		return nil // not a nil pointer, which would count as something
	}
	return h.plugins
}

// Plugins returns the status of every plugin, sorted by name.
func (h *Host) Plugins() []secrets.PluginStatus {
	if h.plugins == nil {
		return nil
	}
	return h.plugins.Status()
}
