package pluginapi

import (
	"context"
	"net/http"

	secrets "github.com/datasette-secrets/datasette-secrets"
)

// The optional interfaces. A plugin offers what it implements: the host learns
// of it when the plugin starts, shows it to the administrator, and calls
// nothing else. All methods may be called from several goroutines at once, and
// before [Starter.Start] has come far; the host is in their context, see
// [HostFromContext]. Each has little time, after which the host goes on
// without the answer.

// Actor is who is signed in at the host: a JSON object, usually with an "id".
// A nil Actor is nobody. Its method ID returns the id as text, and Display the
// name for people.
type Actor = secrets.Actor

// Validator is implemented by a plugin that can try out a value of a secret,
// for an administrator who wants to know whether it works: a button on the
// secret's page and a check after saving. It gets five seconds.
//
//	func (w *Weather) TestSecret(ctx context.Context, name string, value pluginapi.Value) (pluginapi.TestResult, error) {
//		city, err := w.ask(ctx, "Lisbon", value)
//		if errors.Is(err, errUnauthorized) {
//			return pluginapi.TestResult{Message: "The weather service does not know this key."}, nil
//		}
//		return pluginapi.TestResult{OK: err == nil, Message: city}, err
//	}
type Validator interface {
	// TestSecret tries out the value of a secret that the plugin declared and
	// was granted. An error means that it could not be tried; the host shows
	// that, without the error's text, which goes to the log.
	TestSecret(ctx context.Context, name string, value Value) (TestResult, error)
}

// TestResult is what a [Validator] found out.
type TestResult struct {
	OK      bool
	Message string // optional: one sentence of plain text, at most 300 bytes; never the value
}

// MenuProvider is implemented by a plugin that wants links in the menu of
// every page. It gets 200 milliseconds; what comes later is left out of the
// page. The host may use an answer again for some seconds.
//
//	func (Weather) MenuLinks(ctx context.Context, actor pluginapi.Actor) ([]pluginapi.MenuLink, error) {
//		return []pluginapi.MenuLink{{Href: "/-/plugins/weather/", Label: "Weather"}}, nil
//	}
type MenuProvider interface {
	// MenuLinks returns the links for the actor who looks at a page. Pass ctx
	// on to [Host.GetSecret] to use a secret on the actor's behalf.
	MenuLinks(ctx context.Context, actor Actor) ([]MenuLink, error)
}

// MenuLink is one link of a menu. The host shows at most 20 of a plugin.
type MenuLink struct {
	Href  string // a path on the host that begins with one slash, or an http or https URL
	Label string // plain text, at most 100 bytes
}

// ActorsFromIDs is implemented by a plugin that knows people by their ids, so
// that pages can show "Ada Lovelace" where an id is stored. It gets 500
// milliseconds; then pages show ids. The host may use an answer again for some
// seconds.
//
//	func (d *Directory) ActorsFromIDs(ctx context.Context, ids []string) (map[string]pluginapi.Actor, error) {
//		actors := map[string]pluginapi.Actor{}
//		for _, id := range ids {
//			if name, ok := d.names[id]; ok {
//				actors[id] = pluginapi.Actor{"id": id, "name": name}
//			}
//		}
//		return actors, nil
//	}
type ActorsFromIDs interface {
	// ActorsFromIDs returns those of at most 100 actors that the plugin knows,
	// each under its id and with that id in it. The first of display, name,
	// username and login is shown.
	ActorsFromIDs(ctx context.Context, ids []string) (map[string]Actor, error)
}

// Authenticator is implemented by a plugin that signs people in: it says who
// sends a request. It gets 500 milliseconds; no answer means that it does not
// know.
//
//	func (Proxy) ActorFromRequest(ctx context.Context, r *pluginapi.RequestMeta) (pluginapi.Actor, error) {
//		if user := r.Headers["x-forwarded-user"]; user != "" {
//			return pluginapi.Actor{"id": user}, nil
//		}
//		return nil, nil
//	}
//
// An administrator has to approve it by name before it is asked, and decides
// with the configuration's key headers which headers it sees. It is asked only
// about requests without a valid cookie or token. The id must be a text; it
// cannot be "root", and no key may begin with "token" or an underscore, which
// mean something to the host: it takes such an answer for none.
type Authenticator interface {
	// ActorFromRequest returns the sender of a request, or nil if the plugin
	// does not know them.
	ActorFromRequest(ctx context.Context, r *RequestMeta) (Actor, error)
}

// RequestMeta is what an [Authenticator] learns of a request.
type RequestMeta struct {
	Method  string
	Path    string            // escaped, without the query
	Headers map[string]string // only those that the administrator allows, by their names in lower case
}

// HTTPHandler is implemented by a plugin that has pages of its own. The host
// shows them under /-/plugins/NAME/, which is not part of the paths that the
// handler sees, and passes a request on when it has found out who sends it:
// [ActorFromContext] tells. It is an [http.Handler], so that any router will do.
//
//	func (w *Weather) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
//		key, err := pluginapi.HostFromContext(r.Context()).GetSecret(r.Context(), "WEATHER_KEY", "")
//		…
//	}
//
// # Limits
//
// Cookies, Authorization and other headers that say who somebody is do not
// reach the handler, unless the administrator allows them with the
// configuration's key headers. A request takes at most 30 seconds. Of the
// handler's headers only those go out that describe the body, and Location: to
// an address below its own pages, or to another site.
//
// # What its pages may do in a browser
//
// They load nothing from elsewhere, cannot be framed, and run no scripts.
// Their forms work, below /-/plugins/NAME/. A response that has the header
//
//	Content-Security-Policy: sandbox allow-scripts
//
// runs the scripts that are written in the page itself; but then the browser
// takes the page for a stranger to the host. The scripts can fetch nothing,
// and forms that they post are refused, as those of any other site are. In
// this way no page of a plugin can do what only the administrator who looks at
// it may do.
type HTTPHandler interface {
	// ServeHTTP answers one request. [http.Handler] says how.
	ServeHTTP(http.ResponseWriter, *http.Request)
}
