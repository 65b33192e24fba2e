package ui

import (
	"bytes"
	"fmt"
	"html/template"
	"net/http"
	"strings"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/internal/access"
	"github.com/datasette-secrets/datasette-secrets/internal/signing"
)

// page is a typed page struct. It names its template, and templates/NAME says
// in its first lines which struct it shows.
type page interface{ file() string }

// basePage is what every page has.
type basePage struct {
	Title       string
	BodyClass   string
	CSS, JS     string // addresses
	Icon        string
	Sheets      []sheet
	Alternate   string // address of the same as JSON
	Crumbs      []link
	Menu        []link
	PluginMenus []pluginMenu // links of plugins
	Actor       string       // display name of who is signed in
	LogOut      string       // where the menu's log-out form goes; empty: no form
	Messages    []message
	Waiting     waiting
	Host        string // version of this host
	Development bool   // the host is for the author of a plugin
}

type link struct{ URL, Label string }

// waiting leads to the requests of plugins that wait for a decision of who is
// signed in. Without any, it is zero.
type waiting struct {
	URL   string
	Count int
	Words string // what is counted
}

// pluginMenu are the links of one plugin.
type pluginMenu struct {
	Plugin string
	Links  []link
}

type sheet struct{ URL, SRI string }

type message struct{ Class, Text string }

// bare is a page that knows nothing of the request, as Datasette's error pages
// do not.
func (s *site) bare(title string) basePage {
	b := basePage{
		Title: title,
		CSS:   s.assetURL("app.css"),
		JS:    s.assetURL("app.js"),
		Icon:  s.assetURL("favicon.png"),
		Host:  s.Versions.Host,

		Development: s.Development,
	}
	for _, css := range s.ExtraCSS {
		b.Sheets = append(b.Sheets, sheet{URL: s.sheetURL(css.URL), SRI: css.SRI})
	}
	return b
}

// page is the frame of an ordinary page.
func (s *site) page(r *request, title string, crumbs ...link) basePage {
	b := s.bare(title)
	b.Actor = r.caller.Actor.Display()
	if s.allowed(r, access.ViewInstance) {
		b.Crumbs = append(b.Crumbs, link{s.url("/"), "home"})
	}
	b.Crumbs = append(b.Crumbs, crumbs...)
	b.Menu, b.PluginMenus = s.menu(r), s.pluginMenus(r)
	if r.signedIn() && r.hasCookie {
		b.LogOut = s.url("/-/logout")
	}
	if n := s.undecided(r); n > 0 && !s.Development {
		b.Waiting = waiting{URL: s.url("/-/plugins"), Count: n, Words: plural(n, "plugin request")}
	}
	for _, m := range r.pending {
		b.Messages = append(b.Messages, message{messageClass(m.Type), m.Text})
	}
	return b
}

func (s *site) menu(r *request) []link {
	var menu []link
	if s.Vault.Configured() && s.Vault.MayManageSome(r.caller) {
		menu = append(menu, link{s.url("/-/secrets"), "Manage secrets"}, link{s.url(logPath), "Audit log"})
	}
	if s.allowed(r, access.ViewInstance) {
		menu = append(menu, link{s.url("/-/plugins"), "Plugins"})
	}
	if r.signedIn() && s.Vault.MayManageClients(r.caller) {
		menu = append(menu, link{s.url("/-/clients"), "Clients"})
	}
	if s.mayCreateToken(r) == nil {
		menu = append(menu, link{s.url("/-/create-token"), "Create API token"})
	}
	if !r.signedIn() {
		menu = append(menu, link{s.url("/-/sign-in"), "Sign in"})
	}
	return menu
}

// pluginMenus are the links of plugins, for those who may see their pages.
func (s *site) pluginMenus(r *request) []pluginMenu {
	if !s.allowed(r, access.ViewInstance) {
		return nil
	}
	var menus []pluginMenu
	for _, m := range s.Hooks.MenuLinks(r.Context(), r.caller.Actor) {
		if len(menus) == 0 || menus[len(menus)-1].Plugin != m.Plugin {
			menus = append(menus, pluginMenu{Plugin: m.Plugin})
		}
		last := &menus[len(menus)-1]
		last.Links = append(last.Links, link{s.menuURL(m.URL), m.Label})
	}
	return menus
}

// menuURL puts base_url before a path, whether or not the plugin did.
func (s *site) menuURL(address string) string {
	if strings.HasPrefix(address, "/") {
		return s.url(s.localPath(address))
	}
	return address
}

// secretsCrumb is the way back to the list of secrets.
func (s *site) secretsCrumb() link { return link{s.url("/-/secrets"), "secrets"} }

// sheetURL puts base_url before the address of a style sheet on this host.
func (s *site) sheetURL(address string) string {
	if len(address) > 1 && address[0] == '/' && address[1] != '/' {
		return s.url(address)
	}
	return address
}

func messageClass(kind int) string {
	switch kind {
	case signing.Warning:
		return "message-warning"
	case signing.Error:
		return "message-error"
	}
	return "message-info"
}

// allowed reports whether who asks may do something. Whom a plugin signed in
// does not decide about plugins, as the vault has it too.
func (s *site) allowed(r *request, action string) bool {
	if action == access.ManagePlugins && r.caller.Proof == secrets.ProofVouched {
		return false
	}
	return s.Policy.Allowed(r.caller.Actor, action)
}

// require is allowed as an error.
func (s *site) require(r *request, action string) error {
	if s.allowed(r, action) {
		return nil
	}
	if action == access.ManageSecrets {
		return secrets.ErrDenied
	}
	return denied(action, "You need the permission "+action+" to see this page.")
}

// show renders a page that shows the pending messages, and makes the browser
// forget them.
func (s *site) show(w http.ResponseWriter, r *request, p page) error {
	body, err := s.pages.render(p)
	if err != nil {
		return err
	}
	if len(r.pending) > 0 {
		s.deleteCookie(w, r, messagesCookie)
	}
	writeBody(w, r, http.StatusOK, htmlType, body)
	return nil
}

// showFailure renders the page of an error. Even when that fails, the browser
// gets an answer.
func (s *site) showFailure(w http.ResponseWriter, r *request, status int, p page) {
	body, err := s.pages.render(p)
	if err != nil {
		s.internal(r, err)
		body = []byte(http.StatusText(status))
	}
	writeBody(w, r, status, htmlType, body)
}

// pages are the parsed templates by file name.
type pages map[string]*template.Template

// parsePages parses the templates: each page on top of the layout.
func parsePages() pages {
	layout := template.Must(template.ParseFS(files, "templates/layout.html"))
	parsed := pages{}
	for _, name := range pageFiles() {
		parsed[name] = template.Must(template.Must(layout.Clone()).ParseFS(files, "templates/"+name))
	}
	return parsed
}

func pageFiles() []string {
	entries, err := files.ReadDir("templates")
	if err != nil {
		panic("internal error: " + err.Error()) // embedded at build time
	}
	var names []string
	for _, entry := range entries {
		if entry.Name() != "layout.html" {
			names = append(names, entry.Name())
		}
	}
	return names
}

func (p pages) render(data page) ([]byte, error) {
	var b bytes.Buffer
	if err := p[data.file()].ExecuteTemplate(&b, "layout.html", data); err != nil {
		return nil, fmt.Errorf("rendering %s: %w", data.file(), err)
	}
	return b.Bytes(), nil
}
