package ui

import (
	"net/http"
	"strings"

	"github.com/gorilla/mux"
)

// route is one row of the table of pages.
type route struct {
	path string
	get  handler
	post handler // nil: see any
	any  bool    // other methods show the page too, as Datasette's plugin routes do
	all  handler // answers every method; get and post are nil
	file bool    // the same for everybody, so that nobody need be asked who it is for
}

// routes is every address this host answers.
func (s *site) routes() []route {
	return []route{
		{path: "/", get: s.home},
		{path: "/-/", get: s.home},

		{path: "/-/secrets", get: s.listSecrets, any: true},
		{path: logPath, get: s.showLog},
		{path: logPath + ".json", get: s.logJSON},
		{path: logPath + ".csv", get: s.logCSV},
		{path: logPath + "/verify", get: s.toLog, post: s.verifyLog},
		{path: logPath + "/{id:[^/]+}", get: s.showEntry},
		{path: "/-/secrets/log", get: s.secretOr(s.showLog), post: s.changeSecret, any: true},
		{path: "/-/secrets/log.json", get: s.secretOr(s.logJSON), post: s.changeSecret, any: true},
		{path: "/-/secrets/log.csv", get: s.secretOr(s.logCSV), post: s.changeSecret, any: true},
		{path: "/-/secrets/{name:[^/]+}", get: s.showSecret, post: s.changeSecret, any: true},
		{path: "/-/secrets/{name:[^/]+}/-/delete", get: s.confirmDelete, post: s.deleteSecret},
		{path: "/-/secrets/{name:[^/]+}/-/restore", get: s.confirmRestore, post: s.restoreSecret},
		{path: "/-/secrets/{name:[^/]+}/-/test", get: s.untested, post: s.testSecret},

		{path: "/-/unseal", get: s.unsealForm, post: s.unseal},

		{path: "/-/auth-token", get: s.authToken},
		{path: "/-/sign-in", get: s.signIn},
		{path: "/-/logout", get: s.confirmLogout, post: s.logout},
		{path: "/-/create-token", get: s.tokenForm, post: s.createToken},

		{path: "/-/actor", get: s.actorPage},
		{path: "/-/actor.json", get: s.actorJSON},
		{path: "/-/plugins", get: s.pluginsPage},
		{path: "/-/plugins.json", get: s.pluginsJSON},
		{path: "/-/manage-plugins/{name:[^/]+}", get: s.pluginHistory},
		{path: "/-/manage-plugins/{name:[^/]+}/approve", get: s.confirmApprove, post: s.approvePlugin},
		{path: "/-/manage-plugins/{name:[^/]+}/refuse", get: s.confirmRefuse, post: s.refusePlugin},
		{path: "/-/manage-plugins/{name:[^/]+}/disable", get: s.confirmDisable, post: s.disablePlugin},
		{path: "/-/manage-plugins/{name:[^/]+}/enable", get: s.toPlugins, post: s.enablePlugin},
		{path: "/-/manage-plugins/{name:[^/]+}/restart", get: s.toPlugins, post: s.restartPlugin},
		{path: "/-/clients", get: s.clientsPage, post: s.addClient},
		{path: "/-/manage-clients/{name:[^/]+}/rotate", get: s.toClients, post: s.rotateClient},
		{path: "/-/manage-clients/{name:[^/]+}/revoke", get: s.confirmRevokeClient, post: s.revokeClient},
		{path: "/-/manage-clients/{name:[^/]+}/approve", get: s.confirmApproveClient, post: s.approveClient},
		{path: "/-/manage-clients/{name:[^/]+}/refuse", get: s.confirmRefuseClient, post: s.refuseClient},
		{path: "/-/versions", get: s.versionsPage},
		{path: "/-/versions.json", get: s.versionsJSON},
		{path: "/-/settings", get: s.settingsPage},
		{path: "/-/settings.json", get: s.settingsJSON},
		{path: "/-/config", get: s.configPage},
		{path: "/-/config.json", get: s.configJSON},
		{path: "/-/databases", get: s.databasesPage},
		{path: "/-/databases.json", get: s.databasesJSON},
		{path: "/-/actions", get: s.actionsPage},
		{path: "/-/actions.json", get: s.actionsJSON},

		{path: "/-/healthz", get: s.healthz, file: true},
		{path: "/-/readyz", get: s.readyz, file: true},
		{path: "/-/metrics", get: s.metricsPage},

		{path: "/-/plugins/{plugin:[^/]+}/{below:.*}", all: s.pluginPage},

		{path: "/-/static/{file:[^/]+}", get: s.static, file: true},
		{path: "/favicon.ico", get: s.favicon, file: true},
	}
}

// router matches the escaped path, unchanged: decoding or cleaning it would
// make other names of it.
func (s *site) router() http.Handler {
	m := mux.NewRouter().UseEncodedPath().SkipClean(true)
	for _, row := range s.routes() {
		handle := s.handle
		if row.file {
			handle = s.handleFile
		}
		m.Handle(row.path, onRoute(row.path, handle(row.serve)))
	}
	m.NotFoundHandler = s.handle(s.notFound)
	return m
}

func (t route) serve(w http.ResponseWriter, r *request) error {
	switch {
	case t.all != nil:
		return t.all(w, r)
	case r.Method == http.MethodGet, r.Method == http.MethodHead:
		return t.get(w, r)
	case r.Method == http.MethodPost && t.post != nil:
		return t.post(w, r)
	case t.any:
		return t.get(w, r)
	}
	w.Header().Set("Allow", t.methods())
	return &problem{status: http.StatusMethodNotAllowed, text: "Method not allowed"}
}

func (t route) methods() string {
	if t.post != nil {
		return "GET, HEAD, POST"
	}
	return "GET, HEAD"
}

// notFound answers for paths outside the table. One with a slash too many is
// sent to where the page is.
func (s *site) notFound(w http.ResponseWriter, r *request) error {
	if trimmed := strings.TrimRight(r.path, "/"); trimmed != r.path {
		location := s.url(oneSlash("/" + strings.TrimLeft(trimmed, "/")))
		if r.URL.RawQuery != "" {
			location += "?" + r.URL.RawQuery
		}
		return s.redirect(w, r, location)
	}
	if strings.HasSuffix(r.path, ".json") {
		return &problem{status: http.StatusNotFound, text: "Database not found"} // Datasette's words
	}
	return &problem{
		status: http.StatusNotFound,
		text:   "There is no page at this address.",
	}
}
