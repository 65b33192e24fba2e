package conformance_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/internal/signing"
	"github.com/datasette-secrets/datasette-secrets/tests/harness"
)

const (
	nobody   = `{"ok": true, "actor": null}`
	onlyRoot = `{"ok": true, "actor": {"id": "root"}}`
)

func Test07AuthToken(t *testing.T) {
	t.Parallel()
	host := start(t, "--root")
	address := strings.TrimPrefix(host.SignIn, host.URL)
	rootsCookie := "ds_actor=" + rootCookie

	for _, path := range []string{"/-/auth-token", "/-/auth-token?token=", "/-/auth-token?token=x", "/-/auth-token?token=%C3%A9", address + "0"} {
		r := host.Get(t, path, nil)
		wantStatus(t, r, http.StatusForbidden)
		wantText(t, r, "Invalid token")
	}
	r := host.Do(t, harness.Request{Path: "/-/auth-token?token=x", Header: map[string]string{"Accept": "application/json"}})
	if want := strings.ReplaceAll(permissionDenied, "Permission denied", "Invalid token"); r.Text != want {
		t.Errorf("as JSON: %s, want %s", r.Text, want)
	}
	// Whoever is root already uses nothing up, whatever the token.
	for _, path := range []string{address, "/-/auth-token?token=x"} {
		r := host.Do(t, harness.Request{Path: path, Cookie: rootsCookie})
		wantRedirect(t, r, "/")
		if _, ok := r.Cookie("ds_actor"); ok {
			t.Error("root is signed in again")
		}
	}
	// Somebody else may become root, and only once.
	r = host.Get(t, address, secrets.Actor{"id": "bob"})
	wantRedirect(t, r, "/")
	wantCookie(t, r, "ds_actor="+rootCookie+"; Path=/; HttpOnly; SameSite=lax")
	for _, path := range []string{address, "/-/auth-token?token=x"} {
		r = host.Get(t, path, nil)
		wantStatus(t, r, http.StatusForbidden)
		wantText(t, r, "Root token has already been used")
	}
	wantRedirect(t, host.Do(t, harness.Request{Path: address, Cookie: rootsCookie}), "/")
}

// The cookie is Secure where the browser's connection is.
func Test07AuthTokenUnderTLS(t *testing.T) {
	t.Parallel()
	host := start(t, "--root", "-s", "force_https_urls", "1")
	r := host.Get(t, strings.TrimPrefix(host.SignIn, host.URL), nil)
	wantCookie(t, r, "ds_actor="+rootCookie+"; Path=/; HttpOnly; SameSite=lax; Secure")
}

func Test08RootWithoutFlag(t *testing.T) {
	t.Parallel()
	cookie := harness.Request{Cookie: "ds_actor=" + rootCookie}
	for _, test := range []struct {
		host   *harness.Process
		status int
	}{
		{start(t), http.StatusForbidden},
		{start(t, "--root"), http.StatusOK},
	} {
		if got := actorOf(t, test.host, cookie); got != onlyRoot {
			t.Errorf("actor %s", got)
		}
		wantStatus(t, test.host.Get(t, "/-/secrets", root()), test.status)
	}
	// Nobody signs in with --get, so --root means nothing there.
	if got := get(t, "/-/secrets", "--root", "--actor", `{"id": "root"}`); got.Code != 1 {
		t.Errorf("--get with --root: exit code %d", got.Code)
	}
}

func Test13SignedVectors(t *testing.T) {
	t.Parallel()
	var vectors []struct {
		Name, Secret, Namespace, Signed string
		Value                           json.RawMessage
	}
	readVectors(t, "signed.json", &vectors)
	hosts := map[string]*harness.Process{}
	for _, v := range vectors {
		if hosts[v.Secret] == nil {
			hosts[v.Secret] = harness.Start(t, harness.Options{Secret: v.Secret})
		}
		host := hosts[v.Secret]
		switch v.Namespace {
		case "actor":
			got, want := actorOf(t, host, harness.Request{Cookie: "ds_actor=" + v.Signed}), expectedActor(t, v.Value)
			if !equalJSON(t, got, want) {
				t.Errorf("%s: %s, want %s", v.Name, got, want)
			}
		case "messages":
			r := host.Do(t, harness.Request{Path: "/-/sign-in", Cookie: "ds_messages=" + v.Signed})
			wantText(t, r, `<p class="message-info" role="status">a</p> <p class="message-warning" role="status">b</p> <p class="message-error" role="status">c</p>`)
		case "token":
			checkTokenVector(t, host, v.Signed, v.Value)
		}
	}
}

// expectedActor is what becomes of the payload of a cookie.
func expectedActor(t *testing.T, payload []byte) string {
	t.Helper()
	var cookie struct {
		A map[string]any
		E any
	}
	if err := json.Unmarshal(payload, &cookie); err != nil {
		t.Fatal(err)
	}
	expired := map[any]bool{"BFftgQ": true, "!!": true, "CEIkYu": time.Now().Unix() > 1893456000}
	if len(cookie.A) == 0 || expired[cookie.E] {
		return nobody
	}
	return `{"ok": true, "actor": ` + toJSON(t, cookie.A) + `}`
}

func checkTokenVector(t *testing.T, host *harness.Process, signed string, payload []byte) {
	t.Helper()
	r := host.Do(t, harness.Request{Path: "/-/actor.json", Header: bearer("dstok_" + signed)})
	if strings.Contains(string(payload), `"d"`) {
		wantStatus(t, r, http.StatusUnauthorized)
		wantText(t, r, "Token has expired") // and not that the signature is wrong
		return
	}
	if want := `{"ok": true, "actor": {"id": "root", "token": "dstok"}}`; r.Text != want {
		t.Errorf("token: %s, want %s", r.Text, want)
	}
}

func equalJSON(t *testing.T, a, b string) bool {
	t.Helper()
	var x, y any
	if err := json.Unmarshal([]byte(a), &x); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(b), &y); err != nil {
		t.Fatal(err)
	}
	return toJSON(t, x) == toJSON(t, y)
}

func Test14BadCookiesAreNobody(t *testing.T) {
	t.Parallel()
	host := start(t)
	payload := func(e any) map[string]any { return map[string]any{"a": root(), "e": e} }
	past, future := time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	for name, test := range map[string]struct{ cookie, want string }{
		"good":                 {rootCookie, onlyRoot},
		"expires in an hour":   {sign(t, "actor", payload(base62(future.Unix()))), onlyRoot},
		"expired an hour ago":  {sign(t, "actor", payload(base62(past.Unix()))), nobody},
		"expired in 2001":      {"eyJhIjp7ImlkIjoicm9vdCJ9LCJlIjoiQkZmdGdRIn0.CXq-GUkb7sFk3D32wTjBQwIPcCY", nobody},
		"empty e":              {sign(t, "actor", payload("")), onlyRoot},
		"e is no number":       {sign(t, "actor", payload("!!")), nobody},
		"signature tampered":   {rootCookie[:len(rootCookie)-2] + "AA", nobody},
		"payload tampered":     {"eyJhIjp7ImlkIjoicm9vdCJ9fR" + rootCookie[26:], nobody},
		"signature of another": {strings.Split(rootCookie, ".")[0] + "." + strings.Split(adminCookie, ".")[1], nobody},
		"no signature":         {strings.Split(rootCookie, ".")[0], nobody},
		"namespace messages":   {sign(t, "messages", payload(nil)), nobody},
		"namespace token":      {sign(t, "token", payload(nil)), nobody},
		"actor is a text":      {sign(t, "actor", map[string]any{"a": "root"}), nobody},
		"payload is a list":    {sign(t, "actor", []any{root()}), nobody},
		"garbage":              {"a.b.c", nobody},
		"empty":                {"", nobody},
	} {
		if got := actorOf(t, host, harness.Request{Cookie: "ds_actor=" + test.cookie}); got != test.want {
			t.Errorf("%s: %s, want %s", name, got, test.want)
		}
	}
}

// base62 writes a number in Datasette's alphabet, which is not the usual one.
func base62(n int64) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789abcdefghijklmnopqrstuvwxyz"
	text := ""
	for ; n > 0; n /= 62 {
		text = alphabet[n%62:n%62+1] + text
	}
	return text
}

func Test15CookieSyntax(t *testing.T) {
	t.Parallel()
	host := start(t)
	admin := `{"ok": true, "actor": {"id": "admin"}}`
	for cookie, want := range map[string]string{
		"ds_actor=" + adminCookie + "; ds_actor=" + rootCookie:      onlyRoot,
		"ds_actor=" + rootCookie + "; ds_actor=" + adminCookie:      admin,
		"ds_actor=" + rootCookie + "; ds_actor=broken":              nobody,
		`ds_actor="` + rootCookie + `"`:                             onlyRoot,
		`a=b; ds_actor="` + rootCookie + `"; c=d`:                   onlyRoot,
		"a=b;ds_actor=" + rootCookie + ";c=d":                       onlyRoot,
		"DS_ACTOR=" + rootCookie:                                    nobody,
		"xds_actor=" + adminCookie + "; ds_actor=" + rootCookie:     onlyRoot,
		"ds_actor=" + rootCookie + "; ds_actor_extra=" + "whatever": onlyRoot,
	} {
		if got := actorOf(t, host, harness.Request{Cookie: cookie}); got != want {
			t.Errorf("%s: %s, want %s", cookie, got, want)
		}
	}
}

func Test38Messages(t *testing.T) {
	t.Parallel()
	host := start(t, "--root")
	pending := sign(t, "messages", []any{[]any{"<Hello>", 1}})
	with := func(path string) harness.Request {
		return harness.Request{Path: path, Cookie: "ds_actor=" + rootCookie + "; ds_messages=" + pending}
	}
	hello := signing.Message{Text: "<Hello>", Type: signing.Info}
	cleared := `ds_messages=""; expires=\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT; Max-Age=0; Path=/; (HttpOnly; )?SameSite=lax`

	for _, path := range []string{"/", "/-/secrets", "/-/secrets/EXAMPLE_SECRET", "/-/plugins", "/-/actor"} {
		r := host.Do(t, with(path))
		wantText(t, r, `<p class="message-info" role="status">&lt;Hello&gt;</p>`)
		wantCookie(t, r, cleared)
	}
	for _, path := range []string{"/-/actor.json", "/-/secrets/", "/-/plugins.json"} {
		r := host.Do(t, with(path))
		wantMessages(t, r, hello)
		wantCookie(t, r, "ds_messages="+pending+"; Path=/; (HttpOnly; )?SameSite=lax")
	}
	denied := host.Do(t, harness.Request{Path: "/-/secrets", Cookie: "ds_messages=" + pending})
	wantStatus(t, denied, http.StatusForbidden)
	wantText(t, denied, "&lt;Hello&gt;")
	missing := host.Do(t, with("/-/nosuch"))
	wantStatus(t, missing, http.StatusNotFound)
	wantNoText(t, missing, "Hello")
	for _, r := range []harness.Response{denied, missing} {
		if _, ok := r.Cookie("ds_messages"); ok {
			t.Errorf("%s changes the messages", r.Request.URL)
		}
	}
	posted := with("/-/secrets/EXAMPLE_SECRET")
	posted.Body = "note=x"
	wantMessages(t, host.Do(t, posted), hello, signing.Message{Text: "Secret is required", Type: signing.Error})

	forged := host.Do(t, harness.Request{Path: "/", Cookie: "ds_messages=" + sign(t, "actor", []any{[]any{"forged", 1}})})
	wantNoText(t, forged, "forged")
}

func Test38Logout(t *testing.T) {
	t.Parallel()
	host := start(t, "--root")
	wantRedirect(t, host.Get(t, "/-/logout", nil), "/")
	page := host.Get(t, "/-/logout", secrets.Actor{"id": "1", "username": "<bob>"})
	wantStatus(t, page, http.StatusOK)
	wantText(t, page, "You are logged in as <strong>&lt;bob&gt;</strong>", `<form class="core" action="/-/logout" method="post">`)
	for _, actor := range []secrets.Actor{root(), nil} {
		r := host.Do(t, harness.Request{Method: http.MethodPost, Path: "/-/logout", Actor: actor})
		wantRedirect(t, r, "/")
		wantCookie(t, r, `ds_actor=""; expires=[^;]+ GMT; Max-Age=0; Path=/; (HttpOnly; )?SameSite=lax`)
		wantMessages(t, r, signing.Message{Text: "You are now logged out", Type: signing.Warning})
	}
	// The menu offers it to those whose cookie it would delete.
	button := `action="/-/logout" method="post"><button class="button-as-link">Log out</button>`
	wantText(t, host.Get(t, "/", root()), button)
	wantNoText(t, host.Get(t, "/", nil), button)
	token := sign(t, "token", map[string]any{"a": "root", "t": time.Now().Unix()})
	wantNoText(t, host.Do(t, harness.Request{Path: "/", Header: bearer("dstok_" + token)}), button)
}
