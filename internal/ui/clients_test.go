package ui_test

import (
	"net/http"
	"regexp"
	"strings"
	"testing"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/internal/vault"
)

var clientToken = regexp.MustCompile(`dssc_[0-9A-Za-z]{49}`)

// A client is added on the page, which shows its token once, and no other
// answer has it.
func TestClientIsAddedAndItsTokenShownOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(o *options) { o.declare = []secrets.Declaration{{Name: "API_KEY"}} })
	a := w.post("/-/clients", w.as("root"), "name", " billing ", "secrets", "API_KEY, OTHER\r\nTHIRD", "write", "on", "expires", "90d")
	token := clientToken.FindString(a.body)
	if a.StatusCode != 200 || token == "" || a.Header.Get("Location") != "" || len(a.Cookies()) != 0 || a.Header.Get("Cache-Control") != "no-store" {
		t.Fatalf("got %d %s", a.StatusCode, a.body)
	}
	if name, err := w.vault.ClientOf(token); err != nil || name != "billing" {
		t.Errorf("the token is of %q, %v", name, err)
	}
	page := w.get("/-/clients", w.as("root"))
	if clientToken.MatchString(page.body) || strings.Contains(w.log.String(), "dssc_") {
		t.Error("the token is shown again")
	}
	for _, text := range []string{"billing", "read and write", "OTHER", "THIRD", "2026-10-12 10:11:12"} {
		if !strings.Contains(page.body, text) {
			t.Errorf("the page lacks %q", text)
		}
	}
	// Sending the form again makes no second one, and keeps what was typed.
	again := w.post("/-/clients", w.as("root"), "name", "billing", "secrets", "API_KEY", "expires", "")
	if clientToken.MatchString(again.body) || !strings.Contains(again.body, "There is a client called billing") || !strings.Contains(again.body, ">API_KEY</textarea>") {
		t.Errorf("got %d %s", again.StatusCode, again.body)
	}
}

func TestClientIsRotatedApprovedAndRevoked(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(o *options) { o.declare = []secrets.Declaration{{Name: "API_KEY"}} })
	old := clientToken.FindString(w.post("/-/clients", w.as("root"), "name", "billing", "secrets", "", "expires", "").body)
	_, err := w.vault.DeclareClient(t.Context(), secrets.Caller{Client: "billing"}, []secrets.Declaration{{Name: "API_KEY"}, {Name: "OWN"}}, false)
	ok(t, err)
	page := w.get("/-/clients", w.as("root")).body
	for _, text := range []string{`href="/-/manage-clients/billing/approve?secret:API_KEY=on"`, `action="/-/manage-clients/billing/approve"`, `name="secret:OWN"`} {
		if !strings.Contains(page, text) {
			t.Errorf("the page lacks %s", text)
		}
	}
	if share := w.get("/-/manage-clients/billing/approve?secret:API_KEY=on", w.as("root")); !strings.Contains(share.body, "Share API_KEY with billing") || !strings.Contains(share.body, "may be read by demo") {
		t.Errorf("got %s", share.body)
	}
	if a := w.post("/-/manage-clients/billing/approve", w.as("root"), "secret:API_KEY", "on"); a.Header.Get("Location") != "/-/clients" {
		t.Errorf("got %d %s", a.StatusCode, a.body)
	}
	if allowed, _ := w.vault.CanAccess(t.Context(), secrets.Caller{Client: "billing"}, "API_KEY"); !allowed {
		t.Error("it was not approved")
	}
	w.get("/-/manage-clients/billing/refuse?secret:API_KEY=on", w.as("root"))
	w.post("/-/manage-clients/billing/refuse", w.as("root"), "secret:API_KEY", "on")
	if allowed, _ := w.vault.CanAccess(t.Context(), secrets.Caller{Client: "billing"}, "API_KEY"); allowed {
		t.Error("it was not refused")
	}
	token := clientToken.FindString(w.post("/-/manage-clients/billing/rotate", w.as("root"), "overlap", "").body)
	if _, err := w.vault.ClientOf(old); token == "" || token == old || err == nil {
		t.Errorf("after another token: %v", err)
	}
	if a := w.get("/-/manage-clients/billing/revoke", w.as("root")); !strings.Contains(a.body, "cannot be taken back") {
		t.Errorf("got %s", a.body)
	}
	w.post("/-/manage-clients/billing/revoke", w.as("root"))
	if _, err := w.vault.ClientOf(token); err == nil {
		t.Error("it was not revoked")
	}
	if page := w.get("/-/clients", w.as("root")).body; strings.Contains(page, "/-/manage-clients/billing") || !strings.Contains(page, "revoked") {
		t.Errorf("got %s", page)
	}
}

// Nobody else gets near: not who is not signed in, not who may not, not a form
// of another site, and not whom a plugin signed in.
func TestWhoManagesClients(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(o *options) { o.declare = []secrets.Declaration{{Name: "API_KEY"}} })
	w.post("/-/clients", w.as("root"), "name", "billing", "secrets", "API_KEY", "expires", "")
	foreign := func(r *http.Request) { w.as("root")(r); header("Sec-Fetch-Site", "cross-site")(r) }
	for who, sign := range map[string]func(*http.Request){"nobody": func(*http.Request) {}, "mallory": w.as("mallory"), "another site": foreign} {
		for _, path := range []string{"/-/clients", "/-/manage-clients/billing/rotate", "/-/manage-clients/billing/revoke", "/-/manage-clients/billing/approve", "/-/manage-clients/billing/refuse"} {
			a := w.post(path, sign, "name", "evil", "secrets", "API_KEY", "expires", "", "overlap", "", "secret:API_KEY", "on")
			if a.StatusCode != 403 || clientToken.MatchString(a.body) {
				t.Errorf("%s %s: got %d %s", who, path, a.StatusCode, a.body)
			}
		}
	}
	for _, path := range []string{"/-/clients", "/-/manage-clients/billing/revoke"} {
		if a := w.get(path, w.as("mallory")); a.StatusCode != 403 || strings.Contains(a.body, "billing") {
			t.Errorf("%s: got %d", path, a.StatusCode)
		}
	}
	if list, err := w.vault.Clients(t.Context(), secrets.Caller{Actor: secrets.NewActor("root"), Proof: secrets.ProofSignedIn}); err != nil || len(list) != 1 || list[0].State() != vault.ClientActive {
		t.Errorf("got %+v, %v", list, err)
	}
	if a := w.get("/-/manage-clients/nobody/revoke", w.as("root")); a.StatusCode != 404 {
		t.Errorf("got %d", a.StatusCode)
	}
	if a := w.post("/-/clients", w.as("root"), "name", "x", "expires", "9999d"); a.StatusCode != 400 {
		t.Errorf("got %d", a.StatusCode)
	}
}
