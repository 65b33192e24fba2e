package secrets

import (
	"log/slog"
	"time"
)

// Declaration is a plugin's statement that it needs a secret.
type Declaration struct {
	Name        string // 1 to 255 of A-Z a-z 0-9 _ . -
	Description string // one sentence; the few HTML tags of the pages' allow-list are kept
	ObtainURL   string // where to get the value, http or https
	ObtainLabel string // the text of that link; without it there is no link
	Pattern     string // optional: an RE2 expression that a whole value must match
	Example     string // optional: what a value looks like; no real one
	Multiline   bool   // values have several lines
	Redact      Redact // how much of a stored value administrators may see
}

// Redact leaves the first and last characters of a value readable, so that
// people recognise it. The zero Redact shows nothing.
type Redact struct{ Prefix, Suffix int }

// PluginState is where a plugin stands in its life.
type PluginState string

// The states of a plugin.
const (
	PluginPending  PluginState = "pending"  // waiting for its turn to start
	PluginStarting PluginState = "starting" // launched, not yet declared its secrets
	PluginReady    PluginState = "ready"    // answering
	PluginDegraded PluginState = "degraded" // running, but it missed health probes or calls
	PluginBackoff  PluginState = "backoff"  // failed or crashed; waiting to be started again
	PluginFailed   PluginState = "failed"   // crashed too often; not started until it is enabled again
	PluginStopped  PluginState = "stopped"  // the host is closing
	PluginDisabled PluginState = "disabled" // turned off by an administrator
)

// PluginStates returns every state, in the order of a plugin's life.
func PluginStates() []PluginState {
	return []PluginState{PluginPending, PluginStarting, PluginReady, PluginDegraded, PluginBackoff, PluginFailed, PluginStopped, PluginDisabled}
}

// PluginStatus is what the host knows of one plugin, for /-/plugins.
type PluginStatus struct {
	Name       string // the file name without "datasette-secrets-plugin-"
	Version    string // as the plugin states it; may be empty
	Hash       string // of its program, "sha256:" and 64 hexadecimal digits; empty before its first start
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

// LogLine is one line of what the host's log says about a plugin: the plugin's
// own line, without control characters and the values of secrets, or a word of
// the host about it.
type LogLine struct {
	Seq   int64 // counts from 1 for each plugin
	Time  time.Time
	Level slog.Level
	Text  string // the message and its fields
}
