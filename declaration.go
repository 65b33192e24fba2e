package secrets

import "time"

// Declaration is a plugin's statement that it needs a secret.
type Declaration struct {
	Name        string // 1 to 255 of A-Z a-z 0-9 _ . -
	Description string // one sentence; the few HTML tags of the pages' allow-list are kept
	ObtainURL   string // where to get the value, http or https
	ObtainLabel string // the text of that link; without it there is no link
}

// PluginState is where a plugin stands in its life.
type PluginState string

// The states of a plugin.
const (
	PluginStarting PluginState = "starting" // launched, not yet declared its secrets
	PluginReady    PluginState = "ready"    // answering
	PluginBackoff  PluginState = "backoff"  // failed or crashed; waiting to be started again
	PluginStopped  PluginState = "stopped"  // the host is closing
	PluginDisabled PluginState = "disabled" // turned off in the configuration
)

// PluginStatus is what the host knows of one plugin, for /-/plugins.
type PluginStatus struct {
	Name       string // the file name without "datasette-secrets-plugin-"
	Version    string // as the plugin states it; may be empty
	State      PluginState
	Since      time.Time // when it entered State
	Restarts   int       // how often it was started again
	LastError  string    // why it last failed, without secrets; empty if it never did
	NextStart  time.Time // when it is started again, in PluginBackoff
	Hooks      []string  // services it offers, sorted, for instance "register_secrets"
	Secrets    []string  // names it declared, in its order
	DroppedLog int64     // log lines dropped because it wrote too many
	Sandbox    string    // "enforce", "best-effort" or "off"
	Missing    []string  // parts of its sandbox that could not be applied, for people
}
