// Package pluginapi is what the author of a plugin imports.
//
// A plugin is a program of its own that the host, datasette-secrets, starts as
// a subprocess. It declares the secrets it needs, an administrator gives them
// values on the host's pages, and the plugin reads them when it needs them. The
// smallest plugin is
//
//	type weather struct{}
//
//	func (weather) RegisterSecrets(context.Context) ([]pluginapi.Secret, error) {
//		return []pluginapi.Secret{{Name: "WEATHER_KEY", Description: "Key of the weather service"}}, nil
//	}
//
//	func main() { pluginapi.Serve(weather{}) }
//
// Build it under a name that begins with "datasette-secrets-plugin-" and start
// the host with --plugins-dir and the folder it is in.
//
// A plugin that wants to do something also implements [Starter], and is given
// a [Host] to read its secrets with. What else a plugin can offer are the
// interfaces [Validator], [MenuProvider], [ActorsFromIDs], [Authenticator] and
// [HTTPHandler]. Package plugintest runs a plugin inside a Go test.
//
// # Secrets
//
// A plugin can read what it declared and nothing else. A value arrives as a
// [Value], which prints and logs as "[redacted]"; its Reveal method gives the
// clear text. Read a secret each time it is needed rather than keeping it: then
// a new value is used at once, and the administrator sees when it was used last
// and for whom. Where the administrator allows it, values are kept here for a
// while, and forgotten as soon as the host says that they have changed.
//
// # Standard streams
//
// Log with [Host.Logger]: its lines reach the host's log under the plugin's
// name. Standard input belongs to Serve, and standard output to the protocol.
package pluginapi

import (
	"context"
	"iter"
	"log/slog"

	secrets "github.com/datasette-secrets/datasette-secrets"
)

// Secret declares that a plugin needs a secret.
type Secret struct {
	Name        string // 1 to 255 of A-Z a-z 0-9 _ . - by custom in upper case: OPENAI_API_KEY
	Description string // one sentence for the administrator; of HTML, a, code, em, strong and br are kept
	ObtainURL   string // optional: the page on which to get a value
	ObtainLabel string // the text of the link to ObtainURL; without it there is no link

	// What helps people to enter the right value.
	Pattern   string // optional: an RE2 expression that a whole value must match: sk-[a-z0-9]{40}
	Example   string // optional: what a value looks like; never a real one
	Multiline bool   // values have several lines, as private keys do
	Redact    Redact // optional: how much of a stored value administrators see, to recognise it by
}

// Redact leaves so many characters at either end of a value readable, at most
// eight in all, and never more than a quarter of the value.
type Redact = secrets.Redact

// Plugin is what every plugin implements.
type Plugin interface {
	// RegisterSecrets says which secrets the plugin needs. It is called once,
	// soon after the plugin was started, and should answer at once and always
	// the same.
	RegisterSecrets(ctx context.Context) ([]Secret, error)
}

// Starter is implemented by a plugin that does something of its own.
type Starter interface {
	// Start is called once the plugin's declarations are known. It may return
	// when everything is under way, or stay for as long as the plugin works;
	// ctx lives until the plugin is asked to stop. Then Start should return
	// within a few seconds.
	//
	// When Start returns an error while ctx lives, the plugin has failed: it
	// ends, and the host starts it again after a while.
	Start(ctx context.Context, host Host) error
}

// Host is what a plugin can ask of its host. Its methods may be called from
// any goroutine. A context without a deadline is given one of ten seconds.
// Their errors can be told apart with errors.Is and the errors below.
type Host interface {
	// GetSecret returns the value of a secret that this plugin declared. It
	// counts as a use of the secret by the actor with that id. An empty id
	// stands for the actor of ctx, see [ActorFromContext], and without one for
	// nobody in particular. The host knows the actor of ctx to be true; any
	// other is recorded as the plugin's word.
	GetSecret(ctx context.Context, name, actorID string) (Value, error)

	// GetSecrets is GetSecret for many secrets at once, which is faster than one
	// after the other. It returns what it could get, by name. The error joins
	// those of all others, so that errors.Is finds an error if any of them has
	// it; which names they were, the map tells.
	GetSecrets(ctx context.Context, names []string, actorID string) (map[string]Value, error)

	// Watch tells of changes of the secrets with these names, or of all that
	// this plugin declared, until ctx ends or the loop is left:
	//
	//	for change, err := range host.Watch(ctx, "WEATHER_KEY") {
	//		if err != nil {
	//			return err // the host will not tell, for instance of a name that was not declared
	//		}
	//		if change.Kind != pluginapi.Revoked {
	//			// read the value, and begin to use it
	//		}
	//	}
	//
	// The first change is Opened: what is read from then on does not get old
	// unnoticed. When the connection breaks, the watch goes on where it was, or
	// tells of a Resync if it cannot. Changes of one secret that follow one
	// another quickly may be told as one. A plugin that only wants the newest
	// value needs no watch, and asks whenever it needs it.
	Watch(ctx context.Context, names ...string) iter.Seq2[Change, error]

	// CanAccessSecret says whether GetSecret would be allowed. It is no use of
	// the secret, and says nothing about whether it has a value.
	CanAccessSecret(ctx context.Context, name, actorID string) (bool, error)

	// ListSecrets says which of the declared secrets have a value. It is no
	// use of them.
	ListSecrets(ctx context.Context) ([]SecretStatus, error)

	// Config decodes the plugin's own block of the host's configuration,
	// plugins.NAME, into the value that into points to, as encoding/json does.
	// Where there is no such block, into is left as it is.
	Config(ctx context.Context, into any) error

	// Logger writes to the host's log. A Value in it hides itself.
	Logger() *slog.Logger
}

// SecretStatus tells whether a declared secret has a value.
type SecretStatus struct {
	Name   string
	Set    bool
	Source string // "env" or "database"; empty while not set
}

// Value is the clear text of a secret. It prints, logs and encodes as
// "[redacted]"; its method Reveal returns the text.
type Value = secrets.Value

// The errors of [Host], to be recognised with errors.Is.
var (
	// ErrNotSet: the secret is declared, but has no value yet.
	ErrNotSet = secrets.ErrNotSet

	// ErrDenied: the plugin did not declare this secret, or the actor may not
	// use it.
	ErrDenied = secrets.ErrDenied

	// ErrNotApproved: the plugin declared this secret, but an administrator has
	// to approve that first. It is also ErrDenied.
	ErrNotApproved = secrets.ErrNotApproved

	// ErrNotConfigured: the host has no encryption key and so no database of
	// secrets.
	ErrNotConfigured = secrets.ErrNotConfigured

	// ErrSealed: the host's keys have to be unsealed by a person first.
	ErrSealed = secrets.ErrSealed

	// ErrIntegrity: the stored value cannot be read with the host's keys.
	ErrIntegrity = secrets.ErrIntegrity

	// ErrUnavailable: the host cannot be reached or cannot answer now. Trying
	// again later may help.
	ErrUnavailable = secrets.ErrUnavailable
)
