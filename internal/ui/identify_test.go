package ui_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/datasette-secrets/datasette-secrets/internal/audit"
	"github.com/datasette-secrets/datasette-secrets/internal/signing"
)

func (w *world) token(token signing.Token) func(*http.Request) {
	text, err := w.signer.SignToken(token)
	ok(w.t, err)
	return header("Authorization", "Bearer "+text)
}

func TestBearerTokens(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	now := w.now.Unix()
	limited := newWorld(t, func(o *options) { o.sets = [][2]string{{"max_signed_tokens_ttl", "60"}} })
	off := newWorld(t, func(o *options) { o.sets = [][2]string{{"allow_signed_tokens", "off"}} })
	good := signing.Token{Actor: "root", Created: now - 100}
	for _, c := range []struct {
		name   string
		world  *world
		change []func(*http.Request)
		status int
		body   string
	}{
		{"valid", w, []func(*http.Request){w.token(good)}, 200, `{"ok": true, "actor": {"id": "root", "token": "dstok"}}`},
		{"valid, beside another's cookie", w, []func(*http.Request){w.token(good), w.as("bob")}, 200, `{"ok": true, "actor": {"id": "root", "token": "dstok"}}`},
		{"invalid, beside a valid cookie", w, []func(*http.Request){header("Authorization", "Bearer dstok_nonsense"), w.as("root")}, 401, "Invalid token signature"},
		{"expired", w, []func(*http.Request){w.token(signing.Token{Actor: "root", Created: now - 100, Duration: 99})}, 401, "Token has expired"},
		{"too old for the setting", limited, []func(*http.Request){limited.token(good)}, 401, "Token has expired"},
		{"not enabled", off, []func(*http.Request){off.token(good)}, 401, "Signed tokens are not enabled for this Datasette instance"},
		{"not ours", w, []func(*http.Request){header("Authorization", "Bearer abc")}, 200, `{"ok": true, "actor": null}`},
		{"other case is not ours", w, []func(*http.Request){header("Authorization", "bearer dstok_x")}, 200, `{"ok": true, "actor": null}`},
		{"two spaces are not ours", w, []func(*http.Request){header("Authorization", "Bearer  dstok_x")}, 200, `{"ok": true, "actor": null}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			a := c.world.get("/-/actor.json", c.change...)
			want := c.body
			if c.status == 401 {
				want = `{"ok": false, "error": "` + c.body + `", "errors": ["` + c.body + `"], "status": 401}`
				if got := a.Header.Get("WWW-Authenticate"); got != `Bearer error="invalid_token"` {
					t.Errorf("WWW-Authenticate: %s", got)
				}
			}
			if a.StatusCode != c.status || a.body != want {
				t.Errorf("%d %s\nwant %d %s", a.StatusCode, a.body, c.status, want)
			}
		})
	}
	w.get("/nosuch", header("Authorization", "Bearer dstok_nonsense")).want(t, 401)
}

func TestTokenMayManageSecretsWithinItsRestrictions(t *testing.T) {
	t.Parallel()
	w := newWorld(t, demo)
	may := w.token(signing.Token{Actor: "admin", Created: w.now.Unix(), Restrictions: map[string]any{"a": []any{"manage-secrets"}}})
	w.do("POST", "/-/secrets/ONE", "secret=v&note=n", may).wantRedirect(t, "/-/secrets")
	w.get("/-/secrets", w.as("root")).want(t, 200, `<td data-label="Updated by">admin</td>`)
	mayNot := w.token(signing.Token{Actor: "admin", Created: w.now.Unix(), Restrictions: map[string]any{"a": []any{"vi"}}})
	w.get("/-/secrets", mayNot).want(t, 403)
}

func TestActorCookies(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	sign := func(id string) string {
		signed, err := w.signer.SignActor(map[string]any{"id": id}, w.now.Add(1e9))
		ok(t, err)
		return signed
	}
	root, bob := sign("root"), sign("bob")
	messages, err := w.signer.SignMessages([]signing.Message{{Text: "x", Type: 1}})
	ok(t, err)
	for _, c := range []struct {
		name  string
		lines []string
		actor string
	}{
		{"one", []string{"ds_actor=" + root}, `{"id": "root"}`},
		{"last of duplicates wins", []string{"ds_actor=" + bob + "; a=b; ds_actor=" + root}, `{"id": "root"}`},
		{"last header wins", []string{"ds_actor=" + bob, "ds_actor=" + root}, `{"id": "root"}`},
		{"quoted", []string{`ds_actor="` + root + `"`}, `{"id": "root"}`},
		{"after a cookie with an odd name", []string{"a[b]=1; ds_actor=" + root}, `{"id": "root"}`},
		{"tampered", []string{"ds_actor=" + root + "x"}, "null"},
		{"of another namespace", []string{"ds_actor=" + messages}, "null"},
		{"unsigned", []string{`ds_actor={"a":{"id":"root"}}`}, "null"},
		{"name is a part of ours", []string{"xds_actor=" + root}, "null"},
		{"empty", []string{"ds_actor="}, "null"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			a := w.get("/-/actor.json", func(r *http.Request) { r.Header["Cookie"] = c.lines })
			a.want(t, 200)
			if want := `{"ok": true, "actor": ` + c.actor + `}`; a.body != want {
				t.Errorf("got %s, want %s", a.body, want)
			}
		})
	}
}

func TestRootSignsInOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(o *options) { o.ui.RootToken = strings.Repeat("ab", 32) })
	address := "/-/auth-token?token=" + strings.Repeat("ab", 32)
	w.get("/-/auth-token?token=wrong").want(t, 403, "Invalid token")
	w.get("/-/auth-token?token=%F0%9F%98%80").want(t, 403, "Invalid token")
	w.get("/-/auth-token").want(t, 403, "Invalid token")
	w.get(address, w.as("root")).wantRedirect(t, "/")
	w.do(http.MethodHead, address, "").want(t, 403) // a preview does not use it up
	a := w.get(address)
	a.wantRedirect(t, "/")
	value, line := a.cookie("ds_actor")
	if value != "eyJhIjp7ImlkIjoicm9vdCJ9fQ.DmNeLS7C2pcVsPrdPKs27yGvXPc" || line != "ds_actor="+value+"; Path=/; HttpOnly; SameSite=lax" {
		t.Errorf("Set-Cookie: %s", line)
	}
	w.get(address).want(t, 403, "Root token has already been used")
	j := w.get(address, header("Accept", "application/json"))
	if want := `{"ok": false, "error": "Root token has already been used", "errors": ["Root token has already been used"], "status": 403}`; j.body != want {
		t.Errorf("got %s", j.body)
	}
	w.get(address, header("Cookie", "ds_actor="+value)).wantRedirect(t, "/")
	if strings.Contains(w.log.String(), "abab") {
		t.Error("the log holds the token")
	}
	w.post("/-/logout", w.as("root")).wantRedirect(t, "/")
	want := "sign-in  refused, sign-in  refused, sign-in  refused, sign-in root done, sign-in  refused, sign-in  refused, sign-out root done"
	if got := w.acts(t); got != want {
		t.Errorf("recorded\n%s\nwant\n%s", got, want)
	}
}

// acts is what the log has about people who sign in and out.
func (w *world) acts(t *testing.T) string {
	t.Helper()
	var acts []string
	err := w.db.ReadLog(t.Context(), 100, func(page audit.Page) error {
		for _, e := range page.Entries {
			if strings.HasPrefix(e.Action, "sign-") {
				acts = append(acts, e.Action+" "+e.ActorID+map[bool]string{true: " done", false: " refused"}[e.Allowed])
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(acts, ", ")
}

// Guesses are refused as ever, but not all of them are worth an entry.
func TestGuessesDoNotFillTheLog(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(o *options) { o.ui.RootToken = "token" })
	for range 50 {
		w.get("/-/auth-token?token=wrong").want(t, 403)
	}
	if n := strings.Count(w.acts(t), "refused"); n == 0 || n > 5 {
		t.Errorf("%d entries", n)
	}
}

func TestRootTokenIsUsedByOneOfManyAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(o *options) { o.ui.RootToken = "token" })
	status := make(chan int, 20)
	for range cap(status) {
		go func() { status <- w.get("/-/auth-token?token=token").StatusCode }()
	}
	in := 0
	for range cap(status) {
		if <-status == 302 {
			in++
		}
	}
	if in != 1 {
		t.Errorf("%d browsers are signed in", in)
	}
}

func TestWithoutRootTokenNobodySignsInWithAnEmptyOne(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.get("/-/auth-token?token=").want(t, 403)
	w.get("/-/auth-token").want(t, 403)
}

func TestCookiesAreSecureUnderTLS(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(o *options) {
		o.ui.RootToken = "t"
		o.sets = [][2]string{{"force_https_urls", "on"}}
	})
	if _, line := w.get("/-/auth-token?token=t").cookie("ds_actor"); !strings.HasSuffix(line, "; Path=/; HttpOnly; SameSite=lax; Secure") {
		t.Error(line)
	}
}

func TestLoggingOut(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.get("/-/logout").wantRedirect(t, "/")
	page := w.get("/-/logout", w.actor(map[string]any{"id": "root", "name": "Ann <i>"}))
	page.want(t, 200, "You are logged in as <strong>Ann &lt;i&gt;</strong>", `<form class="core" action="/-/logout" method="post">`, `class="nav-menu-logout"`)
	for _, who := range []func(*http.Request){w.as("root"), nil} {
		a := w.post("/-/logout", who)
		a.wantRedirect(t, "/")
		if _, line := a.cookie("ds_actor"); !strings.HasPrefix(line, `ds_actor=""; expires=Tue, 14 Jul 2026 10:11:12 GMT; Max-Age=0; Path=/`) {
			t.Errorf("Set-Cookie: %s", line)
		}
		if got := w.flash(a); len(got) != 1 || got[0] != (signing.Message{Text: "You are now logged out", Type: 2}) {
			t.Errorf("flash: %v", got)
		}
	}
	w.get("/", w.token(signing.Token{Actor: "root", Created: w.now.Unix()})).lacks(t, "Log out")
}

func TestSignInPage(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.get("/-/sign-in").want(t, 200, "<code class=\"option\">--root</code>", "With your Datasette")
	w.get("/-/sign-in", w.as("root")).want(t, 200, "You are signed in as <strong>root</strong>", `href="/-/secrets"`)
	w.get("/-/sign-in", w.as("bob")).lacks(t, `href="/-/secrets"`)
	root := newWorld(t, func(o *options) { o.ui.RootEnabled = true })
	root.get("/-/sign-in").want(t, 200, "this host printed an address")
}

func TestCreatingTokens(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, c := range []struct {
		name   string
		change func(*http.Request)
		text   string
	}{
		{"nobody", func(*http.Request) {}, "You must be logged in to create a token"},
		{"no id", w.actor(map[string]any{"name": "x"}), "You must be logged in as an actor with an ID to create a token"},
		{"by token", w.token(signing.Token{Actor: "root", Created: w.now.Unix()}), "Token authentication cannot be used to create additional tokens"},
		{"restricted", w.actor(map[string]any{"id": "x", "_r": map[string]any{}}), "Restricted actors cannot create API tokens"},
	} {
		w.get("/-/create-token", c.change).want(t, 403, c.text)
		w.post("/-/create-token", c.change).want(t, 403, c.text)
	}
	off := newWorld(t, func(o *options) { o.sets = [][2]string{{"allow_signed_tokens", "0"}} })
	off.get("/-/create-token", off.as("root")).want(t, 403, "Signed tokens are not enabled")

	w.get("/-/create-token", w.as("root")).want(t, 200, `name="all:manage-secrets"`, `name="expire_type"`)
	for _, bad := range [][]string{{"expire_type", "hours"}, {"expire_type", "hours", "expire_duration", "-1"}, {"expire_type", "hours", "expire_duration", "99999999999999"}} {
		w.post("/-/create-token", w.as("root"), bad...).want(t, 200, "Invalid expire duration")
	}
	w.post("/-/create-token", w.as("root"), "expire_type", "years", "expire_duration", "1").want(t, 200, "Invalid expire duration unit")

	a := w.post("/-/create-token", w.as("root"), "expire_type", "hours", "expire_duration", "2", "all:manage-secrets", "on", "all:view-instance", "on", "database:fix~2Dtures:view-database", "on", "resource:db:ta~20ble:view-table", "on")
	a.want(t, 200, `class="copyable"`)
	_, rest, _ := strings.Cut(a.body, `value="dstok_`)
	text, _, _ := strings.Cut(rest, `"`)
	var got any
	ok(t, w.signer.Unsign("token", text, &got))
	payload := got.(map[string]any)
	if payload["a"] != "root" || !strings.Contains(squash(sprint(payload)), "d:7200") || sprint(payload["_r"]) != "map[a:[manage-secrets vi] d:map[fix-tures:[view-database]] r:map[db:map[ta ble:[view-table]]]]" {
		t.Errorf("token says %v", payload)
	}
	w.get("/-/actor.json", header("Authorization", "Bearer dstok_"+text)).want(t, 200, `"token_expires": `)
}
