package ui

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/internal/access"
	"github.com/datasette-secrets/datasette-secrets/internal/signing"
	"github.com/datasette-secrets/datasette-secrets/internal/vault"
)

// decidePage asks before a decision about a plugin that may hurt.
type decidePage struct {
	basePage
	Text   []string
	Fields []string
	Action string
	Button string
	Danger bool
	Back   string
}

func (decidePage) file() string { return "decide.html" }

// managed is the plugin of the address, for who may decide about it. status is
// empty for one whose file is gone.
func (s *site) managed(r *request) (known vault.Plugin, status secrets.PluginStatus, err error) {
	if err := s.require(r, access.ManagePlugins); err != nil {
		return known, status, err
	}
	all, err := s.Vault.Plugins(r.Context(), r.caller)
	if err != nil {
		return known, status, err
	}
	name := r.name()
	i := slices.IndexFunc(all, func(p vault.Plugin) bool { return p.Name == name })
	j := slices.IndexFunc(s.Plugins(), func(p secrets.PluginStatus) bool { return p.Name == name })
	if i < 0 && j < 0 {
		return known, status, fmt.Errorf("%w: there is no plugin of this name", secrets.ErrNotFound)
	}
	known.Name = name
	if i >= 0 {
		known = all[i]
	}
	if j >= 0 {
		status = s.Plugins()[j]
	}
	return known, status, nil
}

// asked is one request of a plugin that the address of a page names.
func asked(r *request, p vault.Plugin) (vault.PluginRequest, error) {
	fields := form{}
	for field := range r.URL.Query() {
		fields[field] = "on"
	}
	requests, err := requestsIn(fields)
	if err != nil {
		return vault.PluginRequest{}, err
	}
	for _, request := range p.Requests {
		if request.Request == requests[0] {
			return request, nil
		}
	}
	return vault.PluginRequest{}, fmt.Errorf("%w: %s never asked for the %s", secrets.ErrNotFound, p.Name, requests[0])
}

func (s *site) confirmApprove(w http.ResponseWriter, r *request) error {
	p, _, err := s.managed(r)
	if err != nil {
		return err
	}
	request, err := asked(r, p)
	if err != nil {
		return err
	}
	page := decidePage{
		Fields: []string{requestField(request.Request)}, Button: "Approve",
		Action: s.manageURL(p.Name, "/approve"), Back: s.url("/-/plugins"),
	}
	title := fmt.Sprintf("Let %s %s", p.Name, mayDo(request.Request))
	switch {
	case request.Name == vault.HookAuthenticator && request.Kind == vault.RequestHook:
		page.Danger = true
		page.Text = []string{
			p.Name + " asks to say who is signed in. It can sign anybody in as anybody but root, also as somebody who manages secrets.",
			"Approve it only if you would let it change and delete every secret of this host.",
		}
	case len(request.HeldBy) > 0:
		title = fmt.Sprintf("Share %s with %s", request.Name, p.Name)
		page.Button = "Share secret"
		page.Text = []string{
			fmt.Sprintf("%s may be read by %s. After this, %s reads the same value.", request.Name, and(request.HeldBy), p.Name),
			"A plugin that declares the secret of another one may be a second tool for the same account, or after what is not its own.",
		}
	}
	page.basePage = s.page(r, title, s.pluginsCrumb())
	return s.show(w, r, page)
}

func (s *site) approvePlugin(w http.ResponseWriter, r *request) error {
	return s.decide(w, r, s.Vault.Approve, "may now")
}

func (s *site) confirmRefuse(w http.ResponseWriter, r *request) error {
	p, _, err := s.managed(r)
	if err != nil {
		return err
	}
	request, err := asked(r, p)
	if err != nil {
		return err
	}
	return s.show(w, r, decidePage{
		basePage: s.page(r, fmt.Sprintf("Do not let %s %s", p.Name, mayDo(request.Request)), s.pluginsCrumb()),
		Text: []string{
			"It counts at once, and may break what the plugin does. It stays so, also when the plugin is started again or upgraded, until you approve it again.",
		},
		Fields: []string{requestField(request.Request)}, Button: "Refuse", Danger: true,
		Action: s.manageURL(p.Name, "/refuse"), Back: s.url("/-/plugins"),
	})
}

func (s *site) refusePlugin(w http.ResponseWriter, r *request) error {
	return s.decide(w, r, s.Vault.Refuse, "may not")
}

// decision is Approve or Refuse of the vault.
type decision = func(context.Context, secrets.Caller, string, ...vault.Request) ([]vault.Request, error)

// decide takes the decision of a form.
func (s *site) decide(w http.ResponseWriter, r *request, act decision, verb string) error {
	p, _, err := s.managed(r)
	if err != nil {
		return err
	}
	fields, err := s.readForm(w, r)
	if err != nil {
		return err
	}
	requests, err := requestsIn(fields)
	if err != nil {
		return err
	}
	decided, err := act(r.Context(), r.caller, p.Name, requests...)
	if err != nil {
		return err
	}
	if len(decided) == 0 {
		r.flash(signing.Info, "Nothing changed: somebody else was faster")
	} else {
		r.flash(signing.Info, fmt.Sprintf("%s %s %s", p.Name, verb, summary(decided)))
	}
	return s.redirect(w, r, s.url("/-/plugins"))
}

// summary says what a plugin does that is granted some requests, short enough
// for the cookie that messages travel in.
func summary(requests []vault.Request) string {
	const most = 5
	var what []string
	for _, r := range requests[:min(len(requests), most)] {
		what = append(what, mayDo(r))
	}
	text := strings.Join(what, ", ")
	if more := len(requests) - most; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

// mayDo says what a plugin does that is granted a request.
func mayDo(r vault.Request) string {
	if r.Kind == vault.RequestSecret {
		return "read " + r.Name
	}
	return "use the hook " + r.Name
}

func (s *site) confirmDisable(w http.ResponseWriter, r *request) error {
	p, _, err := s.managed(r)
	if err != nil {
		return err
	}
	return s.show(w, r, decidePage{
		basePage: s.page(r, "Disable "+p.Name, s.pluginsCrumb()),
		Text: []string{
			"The plugin is stopped, reads no secrets from that moment, and is not started again until somebody enables it. What it was granted is kept.",
		},
		Button: "Disable plugin", Danger: true,
		Action: s.manageURL(p.Name, "/disable"), Back: s.url("/-/plugins"),
	})
}

func (s *site) disablePlugin(w http.ResponseWriter, r *request) error {
	return s.switchPlugin(w, r, "is disabled", func(p vault.Plugin) error {
		if err := s.Vault.DisablePlugin(r.Context(), r.caller, p.Name); err != nil || s.Running == nil {
			return err
		}
		return unlessAbsent(s.Running.Disable(p.Name))
	})
}

func (s *site) enablePlugin(w http.ResponseWriter, r *request) error {
	return s.switchPlugin(w, r, "is enabled", func(p vault.Plugin) error {
		if err := s.Vault.EnablePlugin(r.Context(), r.caller, p.Name); err != nil || s.Running == nil {
			return err
		}
		return unlessAbsent(s.Running.Enable(p.Name))
	})
}

func (s *site) restartPlugin(w http.ResponseWriter, r *request) error {
	return s.switchPlugin(w, r, "is restarted", func(p vault.Plugin) error {
		if s.Running == nil {
			return fmt.Errorf("%w: this host runs no plugins", secrets.ErrInvalid)
		}
		return s.Running.Restart(p.Name)
	})
}

// switchPlugin does something with the plugin of the address.
func (s *site) switchPlugin(w http.ResponseWriter, r *request, done string, act func(vault.Plugin) error) error {
	p, _, err := s.managed(r)
	if err != nil {
		return err
	}
	if !r.signedIn() {
		return denied("You must be signed in to decide about a plugin", "")
	}
	if err := act(p); err != nil {
		return err
	}
	r.flash(signing.Info, p.Name+" "+done)
	return s.redirect(w, r, s.url("/-/plugins"))
}

// unlessAbsent is for plugins whose file is gone: there is nothing to stop or
// start.
func unlessAbsent(err error) error {
	if errors.Is(err, secrets.ErrNotFound) {
		return nil
	}
	return err
}

// toPlugins is for people who load the address of a button again.
func (s *site) toPlugins(w http.ResponseWriter, r *request) error {
	if _, _, err := s.managed(r); err != nil {
		return err
	}
	return s.redirect(w, r, s.url("/-/plugins"))
}

func (s *site) pluginsCrumb() link { return link{s.url("/-/plugins"), "plugins"} }
