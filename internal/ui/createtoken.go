package ui

import (
	"net/http"
	"slices"
	"strconv"
	"strings"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/internal/access"
	"github.com/datasette-secrets/datasette-secrets/internal/signing"
	"github.com/datasette-secrets/datasette-secrets/internal/vault"
)

// tokenPage is /-/create-token, before and after.
type tokenPage struct {
	basePage
	ActorID string
	Token   string // empty until one was made
	Details string // what the token says, as JSON
	Errors  []string
	Actions []tokenAction
	Action  string // the form's address

	// What was filled in, when it has to be filled in again: a tick that is
	// lost would make a token that may do more.
	ExpireType, ExpireDuration string
	Restricted                 bool
}

// tokenAction is an action that the token can be restricted to.
type tokenAction struct {
	access.Action
	Ticked bool
}

func (tokenPage) file() string { return "createtoken.html" }

// mayCreateToken refuses those who could get more out of a token than they
// have, or whom a token cannot name.
func (s *site) mayCreateToken(r *request) error {
	actor := r.caller.Actor
	_, restricted := actor["_r"]
	_, fromToken := actor["token"]
	switch {
	case !s.Settings.AllowSignedTokens:
		return denied(string(signing.ErrTokensDisabled), "")
	case !r.signedIn():
		return denied("You must be logged in to create a token", "")
	case actor.ID() == "":
		return denied("You must be logged in as an actor with an ID to create a token", "")
	case r.caller.Proof == secrets.ProofVouched:
		return denied("A plugin signed you in, and only its word says who you are. An API token would outlive it", "")
	case fromToken:
		return denied("Token authentication cannot be used to create additional tokens", "")
	case restricted:
		return denied("Restricted actors cannot create API tokens", "")
	}
	return nil
}

// tokenPage is the page with a form as it was filled in.
func (s *site) tokenPage(r *request, fields form) tokenPage {
	page := tokenPage{
		basePage:       s.page(r, "Create an API token"),
		ActorID:        r.caller.Actor.ID(),
		Action:         s.url("/-/create-token"),
		ExpireType:     fields["expire_type"],
		ExpireDuration: fields["expire_duration"],
	}
	for _, action := range access.Actions() {
		ticked := fields.ticked("all:" + action.Name)
		page.Actions = append(page.Actions, tokenAction{action, ticked})
		page.Restricted = page.Restricted || ticked
	}
	return page
}

func (s *site) tokenForm(w http.ResponseWriter, r *request) error {
	if err := s.mayCreateToken(r); err != nil {
		return err
	}
	return s.show(w, r, s.tokenPage(r, nil))
}

func (s *site) createToken(w http.ResponseWriter, r *request) error {
	if err := s.mayCreateToken(r); err != nil {
		return err
	}
	fields, err := s.readForm(w, r)
	if err != nil {
		return err
	}
	duration, wrong := tokenDuration(fields)
	if wrong != "" {
		page := s.tokenPage(r, fields)
		page.Errors = []string{wrong}
		return s.show(w, r, page)
	}
	page := s.tokenPage(r, nil)
	token := signing.Token{
		Actor:        r.caller.Actor["id"],
		Created:      s.Now().Unix(),
		Duration:     duration,
		Restrictions: restrictions(fields),
	}
	signed, err := s.Signer.SignToken(token)
	if err == nil {
		err = s.Vault.Note(r.Context(), r.caller, vault.ActionCreateToken, nil)
	}
	if err != nil {
		return err
	}
	page.Token = signed
	page.Details = tokenDetails(token)
	return s.show(w, r, page)
}

// tokenDuration is the form's duration in seconds, 0 for no end, or what is
// wrong with it.
func tokenDuration(fields form) (seconds int64, wrong string) {
	var unit int64
	switch fields["expire_type"] {
	case "":
		return 0, ""
	case "minutes":
		unit = 60
	case "hours":
		unit = 60 * 60
	case "days":
		unit = 24 * 60 * 60
	default:
		return 0, "Invalid expire duration unit"
	}
	n, err := strconv.ParseInt(fields["expire_duration"], 10, 32)
	if err != nil || n <= 0 {
		return 0, "Invalid expire duration"
	}
	return n * unit, ""
}

// restrictions are what the ticked boxes limit the token to, in the form of a
// token's "_r": {"a": […], "d": {DB: […]}, "r": {DB: {RESOURCE: […]}}}. The
// page offers only the first kind; Datasette's own form sends all three.
func restrictions(fields form) map[string]any {
	all, databases, resources := []any{}, map[string]any{}, map[string]any{}
	for _, field := range sortedKeys(fields) {
		switch parts := strings.Split(field, ":"); {
		case len(parts) == 2 && parts[0] == "all":
			all = append(all, abbreviate(parts[1]))
		case len(parts) == 3 && parts[0] == "database":
			add(databases, tildeDecode(parts[1]), parts[2])
		case len(parts) == 4 && parts[0] == "resource":
			db := tildeDecode(parts[1])
			if resources[db] == nil {
				resources[db] = map[string]any{}
			}
			add(resources[db].(map[string]any), tildeDecode(parts[2]), parts[3])
		}
	}
	limits := map[string]any{}
	if len(all) > 0 {
		limits["a"] = all
	}
	if len(databases) > 0 {
		limits["d"] = databases
	}
	if len(resources) > 0 {
		limits["r"] = resources
	}
	if len(limits) == 0 {
		return nil
	}
	return limits
}

func add(lists map[string]any, key, action string) {
	list, _ := lists[key].([]any)
	lists[key] = append(list, abbreviate(action))
}

// abbreviate is the short name of an action, if it has one.
func abbreviate(action string) string {
	for _, a := range access.Actions() {
		if a.Name == action && a.Abbr != "" {
			return a.Abbr
		}
	}
	return action
}

// tildeDecode reads Datasette's encoding of names in addresses and forms.
func tildeDecode(text string) string {
	return unquote(strings.NewReplacer("~", "%", "%", "%25").Replace(text))
}

func sortedKeys(fields form) []string {
	keys := make([]string, 0, len(fields))
	for key := range fields {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}

func tokenDetails(t signing.Token) string {
	details := object{{"a", t.Actor}, {"t", t.Created}}
	if t.Duration > 0 {
		details = append(details, member{"d", t.Duration})
	}
	if t.Restrictions != nil {
		details = append(details, member{"_r", t.Restrictions})
	}
	return readableJSON(details)
}
