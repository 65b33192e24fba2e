package ui

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/internal/signing"
	"github.com/datasette-secrets/datasette-secrets/internal/vault"
)

// clientsPage is /-/clients, before and after a token was made.
type clientsPage struct {
	basePage
	Clients []clientRow
	Action  string // the address of the form for a new one

	Token       string // empty unless one was just made
	TokenClient string

	// What was filled in, when it has to be filled in again.
	Error         string
	Name, Secrets string
	Write         bool
	Expires       []choice
	Overlaps      []choice
}

func (clientsPage) file() string { return "clients.html" }

// choice is an option of a form.
type choice struct {
	Value, Label string
	Chosen       bool
}

// clientRow is one client.
type clientRow struct {
	Name       string
	State      string
	Ended      bool // revoked, or expired
	Revoked    when
	May        string
	Created    when
	Expires    when
	Rotated    when
	Previous   when // until when the token before counts too
	LastUsed   when
	Asks       []requestGroup
	ApproveAll []string // fields of a form; empty for fewer than two
	AllBut     bool
	Decided    []requestGroup
	Manage     string // address of what can be done with it; empty once it is revoked
}

func (s *site) clientsPage(w http.ResponseWriter, r *request) error {
	page, err := s.newClientsPage(r, nil)
	if err != nil {
		return err
	}
	return s.show(w, r, page)
}

// newClientsPage is the page with the form as it was filled in.
func (s *site) newClientsPage(r *request, fields form) (clientsPage, error) {
	clients, err := s.Vault.Clients(r.Context(), r.caller)
	if err != nil {
		return clientsPage{}, err
	}
	expires := "90d"
	if fields != nil {
		expires = fields["expires"]
	}
	page := clientsPage{
		basePage: s.page(r, "Clients"), Action: s.url("/-/clients"),
		Name: fields["name"], Secrets: fields["secrets"], Write: fields.ticked("write"),
		Expires: choices(lifetimes(), expires), Overlaps: choices(overlaps(), "1h"),
	}
	for _, c := range clients {
		page.Clients = append(page.Clients, s.clientRow(r, c))
	}
	return page, nil
}

// term is how long something lasts, as a form has it.
type term struct {
	value, label string
	lasts        time.Duration
}

const day = 24 * time.Hour

func lifetimes() []term {
	return []term{
		{"30d", "30 days", 30 * day}, {"90d", "90 days", 90 * day}, {"365d", "a year", 365 * day}, {"", "without an end", 0},
	}
}

func overlaps() []term {
	return []term{
		{"", "from now on", 0}, {"1h", "in an hour", time.Hour}, {"1d", "in a day", day}, {"7d", "in a week", 7 * day},
	}
}

func choices(terms []term, chosen string) []choice {
	var all []choice
	for _, t := range terms {
		all = append(all, choice{t.value, t.label, t.value == chosen})
	}
	return all
}

// chosen is how long lasts what a form says.
func chosen(terms []term, value string) (time.Duration, error) {
	for _, t := range terms {
		if t.value == value {
			return t.lasts, nil
		}
	}
	return 0, fmt.Errorf("%w: choose one of the times that the form offers", secrets.ErrInvalid)
}

func (s *site) clientRow(r *request, c vault.Client) clientRow {
	row := clientRow{
		Name: c.Name, State: c.State(), Ended: c.State() != vault.ClientActive, May: "read",
		Created: newWhen(c.CreatedAt, c.CreatedBy), Expires: newWhen(c.ExpiresAt, ""),
		Rotated: newWhen(c.RotatedAt, c.RotatedBy), Previous: newWhen(c.PreviousUntil, ""),
		LastUsed: newWhen(c.LastUsedAt, ""), Revoked: newWhen(c.RevokedAt, c.RevokedBy),
	}
	if c.Write {
		row.May = "read and write"
	}
	if c.RevokedAt != "" {
		return row
	}
	row.Manage = s.clientURL(c.Name, "")
	asPlugin := vault.Plugin{Name: c.Name, Requests: c.Requests}
	row.ApproveAll, row.AllBut = approveAll(asPlugin)
	row.Asks = s.clientGroups(r, asPlugin, vault.RequestPending)
	row.Decided = s.clientGroups(r, asPlugin, vault.RequestGranted, vault.RequestRefused)
	return row
}

// clientGroups are what a client asks for, with the addresses of clients. What
// it was granted without asking is nothing special.
func (s *site) clientGroups(r *request, c vault.Plugin, states ...vault.RequestState) []requestGroup {
	c.Requests = slices.Clone(c.Requests)
	for i := range c.Requests {
		c.Requests[i].Asked = true
	}
	manages := func(name string) bool { return s.Vault.MayManage(r.caller, name) }
	groups := s.requestGroups(c, manages, states...)
	for _, group := range groups {
		for i := range group.Rows {
			row := &group.Rows[i]
			row.Manage = s.clientURL(c.Name, "")
			query := "?" + row.Field + "=on"
			if row.ApproveAsk != "" {
				row.ApproveAsk = row.Manage + "/approve" + query
			}
			if row.RefuseAsk != "" {
				row.RefuseAsk = row.Manage + "/refuse" + query
			}
		}
	}
	return groups
}

// clientURL is the address of something that can be done with a client.
func (s *site) clientURL(client, act string) string { return s.url("/-/manage-clients/"+client) + act }

func (s *site) clientsCrumb() link { return link{s.url("/-/clients"), "clients"} }

// addClient makes a client, and shows its token this once. The answer is the
// page itself: an address to go on to would have to hold the token.
func (s *site) addClient(w http.ResponseWriter, r *request) error {
	if !s.Vault.MayManageClients(r.caller) {
		return secrets.ErrDenied
	}
	fields, err := s.readForm(w, r)
	if err != nil {
		return err
	}
	lasts, err := chosen(lifetimes(), fields["expires"])
	if err != nil {
		return err
	}
	name := strings.TrimSpace(fields["name"])
	token, err := s.Vault.AddClient(r.Context(), r.caller, vault.NewClient{
		Name: name, Secrets: namesIn(fields["secrets"]), Write: fields.ticked("write"), Lifetime: lasts,
	})
	if errors.Is(err, secrets.ErrInvalid) {
		page, failed := s.newClientsPage(r, fields)
		if failed != nil {
			return failed
		}
		page.Error = sentence(err, secrets.ErrInvalid)
		return s.show(w, r, page)
	}
	if err != nil {
		return err
	}
	return s.showToken(w, r, name, token)
}

// namesIn are the names of secrets that a person typed, between spaces, commas
// or line ends.
func namesIn(text string) []string {
	return strings.FieldsFunc(text, func(c rune) bool { return c == ',' || c == ';' || c <= ' ' })
}

func (s *site) showToken(w http.ResponseWriter, r *request, client string, token secrets.Value) error {
	page, err := s.newClientsPage(r, nil)
	if err != nil {
		return err
	}
	page.Token, page.TokenClient = token.Reveal(), client
	return s.show(w, r, page)
}

// rotateClient gives a client another token, and shows it this once.
func (s *site) rotateClient(w http.ResponseWriter, r *request) error {
	c, err := s.client(r)
	if err != nil {
		return err
	}
	fields, err := s.readForm(w, r)
	if err != nil {
		return err
	}
	overlap, err := chosen(overlaps(), fields["overlap"])
	if err != nil {
		return err
	}
	token, err := s.Vault.RotateClient(r.Context(), r.caller, c.Name, overlap)
	if err != nil {
		return err
	}
	return s.showToken(w, r, c.Name, token)
}

// client is the client of the address, for who may decide about it.
func (s *site) client(r *request) (vault.Client, error) {
	clients, err := s.Vault.Clients(r.Context(), r.caller)
	if err != nil {
		return vault.Client{}, err
	}
	name := r.name()
	i := slices.IndexFunc(clients, func(c vault.Client) bool { return c.Name == name })
	if i < 0 {
		return vault.Client{}, fmt.Errorf("%w: there is no client of this name", secrets.ErrNotFound)
	}
	return clients[i], nil
}

// toClients leads back from an address that only a form is sent to.
func (s *site) toClients(w http.ResponseWriter, r *request) error {
	return s.redirect(w, r, s.url("/-/clients"))
}

func (s *site) confirmRevokeClient(w http.ResponseWriter, r *request) error {
	c, err := s.client(r)
	if err != nil {
		return err
	}
	return s.show(w, r, decidePage{
		basePage: s.page(r, "Revoke "+c.Name, s.clientsCrumb()),
		Text: []string{
			"Its tokens count no more, from now on, and that cannot be taken back. What the application does with its secrets breaks at once.",
			"The name stays taken, so that the audit log never means two applications by it.",
		},
		Button: "Revoke client", Danger: true,
		Action: s.clientURL(c.Name, "/revoke"), Back: s.url("/-/clients"),
	})
}

func (s *site) revokeClient(w http.ResponseWriter, r *request) error {
	c, err := s.client(r)
	if err != nil {
		return err
	}
	if err := s.Vault.RevokeClient(r.Context(), r.caller, c.Name); err != nil {
		return err
	}
	r.flash(signing.Info, c.Name+" is revoked")
	return s.redirect(w, r, s.url("/-/clients"))
}

// askedByClient is one request of a client that the address of a page names.
func (s *site) askedByClient(r *request) (vault.Client, vault.PluginRequest, error) {
	c, err := s.client(r)
	if err != nil {
		return c, vault.PluginRequest{}, err
	}
	request, err := asked(r, vault.Plugin{Name: c.Name, Requests: c.Requests})
	return c, request, err
}

func (s *site) confirmApproveClient(w http.ResponseWriter, r *request) error {
	c, request, err := s.askedByClient(r)
	if err != nil {
		return err
	}
	page := decidePage{
		basePage: s.page(r, fmt.Sprintf("Let %s read %s", c.Name, request.Name), s.clientsCrumb()),
		Fields:   []string{requestField(request.Request)}, Button: "Approve",
		Action: s.clientURL(c.Name, "/approve"), Back: s.url("/-/clients"),
	}
	if len(request.HeldBy) > 0 {
		page.Title, page.Button = fmt.Sprintf("Share %s with %s", request.Name, c.Name), "Share secret"
		page.Text = []string{fmt.Sprintf("%s may be read by %s. After this, %s reads the same value.", request.Name, and(request.HeldBy), c.Name)}
	}
	return s.show(w, r, page)
}

func (s *site) confirmRefuseClient(w http.ResponseWriter, r *request) error {
	c, request, err := s.askedByClient(r)
	if err != nil {
		return err
	}
	return s.show(w, r, decidePage{
		basePage: s.page(r, fmt.Sprintf("Do not let %s read %s", c.Name, request.Name), s.clientsCrumb()),
		Text:     []string{"It counts at once, and may break what the application does. It stays so until you approve it again."},
		Fields:   []string{requestField(request.Request)}, Button: "Refuse", Danger: true,
		Action: s.clientURL(c.Name, "/refuse"), Back: s.url("/-/clients"),
	})
}

func (s *site) approveClient(w http.ResponseWriter, r *request) error {
	return s.decideClient(w, r, s.Vault.ApproveClient, "may now read")
}

func (s *site) refuseClient(w http.ResponseWriter, r *request) error {
	return s.decideClient(w, r, s.Vault.RefuseClient, "may not read")
}

// clientDecision is ApproveClient or RefuseClient of the vault.
type clientDecision = func(context.Context, secrets.Caller, string, ...string) ([]string, error)

// decideClient takes the decision of a form.
func (s *site) decideClient(w http.ResponseWriter, r *request, act clientDecision, verb string) error {
	c, err := s.client(r)
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
	var names []string
	for _, request := range requests {
		if request.Kind == vault.RequestSecret {
			names = append(names, request.Name)
		}
	}
	if len(names) == 0 {
		return fmt.Errorf("%w: clients ask for secrets only", secrets.ErrInvalid)
	}
	decided, err := act(r.Context(), r.caller, c.Name, names...)
	if err != nil {
		return err
	}
	if len(decided) == 0 {
		r.flash(signing.Info, "Nothing changed: somebody else was faster")
	} else {
		r.flash(signing.Info, fmt.Sprintf("%s %s %s", c.Name, verb, few(decided)))
	}
	return s.redirect(w, r, s.url("/-/clients"))
}

// few joins names, not more than fit into the cookie that messages travel in.
func few(names []string) string {
	const most = 5
	if len(names) <= most {
		return and(names)
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
}
