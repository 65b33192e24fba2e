package ui_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/internal/seal"
	"github.com/datasette-secrets/datasette-secrets/internal/vault"
)

const (
	paper   = "correct horse battery"
	sealKey = "cw_0x689RpI-jtRR7oE8h_eQsKImvJapLeSbXpwF4e4="
)

// newSealedWorld is a world whose keys are sealed by a passphrase and by a key
// that the configuration has.
func newSealedWorld(t *testing.T, change ...func(*options)) *world {
	t.Helper()
	means, err := seal.ByKey(secrets.NewValue(sealKey))
	ok(t, err)
	w := newWorld(t, append(change, func(o *options) {
		o.ui.Openings = func() []vault.Opening { return []vault.Opening{{Seal: "machine", Means: means}} }
	})...)
	w.set("ONE", "the value", "")
	local := secrets.Caller{Actor: secrets.NewActor("op"), Proof: secrets.ProofLocal}
	typed, err := seal.ByPassphrase(secrets.NewValue(paper), seal.MinWorkFactor)
	ok(t, err)
	ok(t, w.vault.AdoptKeys(context.Background(), local, "paper", typed))
	ok(t, w.vault.AddSeal(context.Background(), local, []vault.Opening{{Means: typed}}, "machine", means))
	w.vault.Seal()
	return w
}

func TestSealedPages(t *testing.T) {
	t.Parallel()
	w := newSealedWorld(t, demo)
	for _, path := range []string{"/", "/-/secrets", "/-/secrets/ONE", "/-/secrets/ONE/-/delete"} {
		w.get(path, w.as("root")).want(t, http.StatusOK, "This host is sealed", `href="/-/unseal"`)
	}
	w.get("/", w.as("alice")).lacks(t, "This host is sealed")
	w.post("/-/secrets/ONE", w.as("root"), "secret", "new").want(t, http.StatusServiceUnavailable, "still sealed")
	w.get("/-/unseal", w.as("root")).want(t, http.StatusOK, "<strong>paper</strong>", "passphrase, made", "<strong>machine</strong>", `type="password"`, "Try it again")
}

func TestUnsealByPassphrase(t *testing.T) {
	t.Parallel()
	w := newSealedWorld(t, demo)
	wrong := w.post("/-/unseal", w.as("root"), "passphrase", "hunter2hunter2")
	wrong.wantRedirect(t, "/-/unseal")
	if messages := w.flash(wrong); len(messages) != 1 || messages[0].Text != "That does not open any of the seals" {
		t.Errorf("got %v", messages)
	}
	w.post("/-/unseal", w.as("root"), "passphrase", "").wantRedirect(t, "/-/unseal")
	if w.value("ONE") == "the value" {
		t.Fatal("it is open")
	}
	w.post("/-/unseal", w.as("root"), "passphrase", paper).wantRedirect(t, "/-/secrets")
	if got := w.value("ONE"); got != "the value" {
		t.Errorf("got %q", got)
	}
	after := w.get("/-/unseal", w.as("root"))
	after.want(t, http.StatusOK, "not sealed")
	after.lacks(t, `type="password"`)
	w.get("/-/secrets", w.as("root")).lacks(t, "This host is sealed")
	w.post("/-/unseal", w.as("root"), "passphrase", paper).wantRedirect(t, "/-/secrets")
	if log := w.log.String(); strings.Contains(log, paper) || strings.Contains(log, "hunter2") || !strings.Contains(log, "seal=paper") {
		t.Errorf("the log is\n%s", log)
	}
}

func TestUnsealByConfiguration(t *testing.T) {
	t.Parallel()
	w := newSealedWorld(t, demo)
	w.post("/-/unseal", w.as("root"), "configured", "1").wantRedirect(t, "/-/secrets")
	if w.vault.Sealed() {
		t.Error("it is sealed")
	}
}

func TestUnsealIsForManagers(t *testing.T) {
	t.Parallel()
	w := newSealedWorld(t, demo)
	for _, change := range []func(*http.Request){func(*http.Request) {}, w.as("alice"), w.actor(map[string]any{"name": "root"})} {
		w.get("/-/unseal", change).want(t, http.StatusForbidden)
		w.post("/-/unseal", change, "passphrase", paper).want(t, http.StatusForbidden)
	}
	foreign := func(r *http.Request) { w.as("root")(r); r.Header.Set("Sec-Fetch-Site", "cross-site") }
	w.post("/-/unseal", foreign, "passphrase", paper).want(t, http.StatusForbidden)
	if !w.vault.Sealed() {
		t.Error("it is open")
	}
}

// Guessing by page is slow, whoever does it and from wherever.
func TestUnsealIsRateLimited(t *testing.T) {
	t.Parallel()
	w := newSealedWorld(t, demo)
	try := func() answer { return w.post("/-/unseal", w.as("root"), "passphrase", "wrong passphrase") }
	for range 5 {
		try().wantRedirect(t, "/-/unseal")
	}
	refused := w.post("/-/unseal", w.as("admin"), "passphrase", paper)
	refused.want(t, http.StatusTooManyRequests, "tried too often", "Wait 15 seconds")
	if got := refused.Header.Get("Retry-After"); got != "15" {
		t.Errorf("Retry-After is %s", got)
	}
	if !w.vault.Sealed() {
		t.Error("the limit is no limit")
	}
	w.now = w.now.Add(15 * time.Second)
	try().wantRedirect(t, "/-/unseal")
	try().want(t, http.StatusTooManyRequests)
	w.now = w.now.Add(-time.Hour) // a clock that goes back gives no tries
	try().want(t, http.StatusTooManyRequests)
	w.now = w.now.Add(2 * time.Hour)
	w.post("/-/unseal", w.as("root"), "passphrase", paper).wantRedirect(t, "/-/secrets")
}
