package conformance_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/datasette-secrets/datasette-secrets/tests/harness"
)

func bearer(token string) map[string]string {
	return map[string]string{"Authorization": "Bearer " + token}
}

// wantRefused checks the answer to a token that is recognised but wrong.
func wantRefused(t *testing.T, r harness.Response, reason string) {
	t.Helper()
	wantStatus(t, r, http.StatusUnauthorized)
	if want := fmt.Sprintf(`{"ok": false, "error": %q, "errors": [%q], "status": 401}`, reason, reason); r.Text != want {
		t.Errorf("%s: %s, want %s", r.Request.URL, r.Text, want)
	}
	if got := r.Header.Get("WWW-Authenticate"); got != `Bearer error="invalid_token"` {
		t.Errorf("WWW-Authenticate %q", got)
	}
	if got := r.Header.Get("Content-Type"); got != "application/json; charset=utf-8" {
		t.Errorf("Content-Type %q", got)
	}
}

func Test16Tokens(t *testing.T) {
	t.Parallel()
	host := start(t, "--root")
	made := harness.Run(t, "", "create-token", "root", "--secret", harness.Secret)
	token := strings.TrimSpace(made.Stdout)
	rootByToken := `{"ok": true, "actor": {"id": "root", "token": "dstok"}}`
	now := time.Now().Unix()
	for header, want := range map[string]string{
		"Bearer " + token:                     rootByToken,
		"bearer " + token:                     nobody, // the prefix is taken by the letter
		"Bearer  " + token:                    nobody,
		"Bearer something else":               nobody,
		"Bearer " + token[len("dstok_"):]:     nobody,
		"Basic " + token:                      nobody,
		"Token dstok_":                        nobody,
		"Bearer xdstok_" + token[len("dst"):]: nobody,
	} {
		if got := actorOf(t, host, harness.Request{Header: map[string]string{"Authorization": header}}); got != want {
			t.Errorf("%s: %s, want %s", header, got, want)
		}
	}
	for _, test := range []struct {
		payload map[string]any
		reason  string
	}{
		{map[string]any{"a": "root"}, "Invalid token: no timestamp"},
		{map[string]any{"a": "root", "t": "yesterday"}, "Invalid token: invalid timestamp"},
		{map[string]any{"a": "root", "t": 1.5}, "Invalid token: invalid timestamp"},
		{map[string]any{"a": "root", "t": now, "d": "an hour"}, "Invalid token: invalid duration"},
		{map[string]any{"a": "root", "t": now - 100, "d": 10}, "Token has expired"},
		{map[string]any{"a": "root", "t": 0, "d": 10}, "Token has expired"},
	} {
		signed := "dstok_" + sign(t, "token", test.payload)
		for _, path := range []string{"/-/actor.json", "/-/secrets", "/-/nosuch"} {
			wantRefused(t, host.Do(t, harness.Request{Path: path, Header: bearer(signed)}), test.reason)
		}
	}
	wrong := []string{"dstok_", "dstok_x.y", token[:len(token)-20] + strings.Repeat("A", 20), "dstok_" + sign(t, "actor", map[string]any{"a": "root", "t": now})}
	for _, text := range wrong {
		wantRefused(t, host.Do(t, harness.Request{Path: "/-/actor.json", Header: bearer(text)}), "Invalid token signature")
		// A good cookie beside it does not help.
		both := harness.Request{Path: "/-/secrets", Header: bearer(text), Cookie: "ds_actor=" + rootCookie}
		wantRefused(t, host.Do(t, both), "Invalid token signature")
	}
	// Of a good token and a good cookie the token counts.
	if got := actorOf(t, host, harness.Request{Header: bearer(token), Cookie: "ds_actor=" + adminCookie}); got != rootByToken {
		t.Errorf("token and cookie: %s", got)
	}
	wantStatus(t, host.Do(t, harness.Request{Path: "/-/secrets", Header: bearer(token)}), http.StatusOK)
}

func Test16TokensSwitchedOff(t *testing.T) {
	t.Parallel()
	host := start(t, "--root", "-s", "allow_signed_tokens", "off")
	token := "dstok_" + sign(t, "token", map[string]any{"a": "root", "t": time.Now().Unix()})
	wantRefused(t, host.Do(t, harness.Request{Path: "/", Header: bearer(token)}), "Signed tokens are not enabled for this Datasette instance")
	wantStatus(t, host.Get(t, "/-/create-token", root()), http.StatusForbidden)
}

func Test17TokenLifetime(t *testing.T) {
	t.Parallel()
	unlimited, minute := start(t), start(t, "-s", "max_signed_tokens_ttl", "60")
	now := time.Now().Unix()
	for _, test := range []struct {
		host    *harness.Process
		age     int64
		d       any   // nil: none
		expires int64 // seconds after the token was made; 0: never; -1: it has
	}{
		{unlimited, 1e6, nil, 0},
		{unlimited, 10, 3600, 3600},
		{unlimited, 100, 10, -1},
		{minute, 10, nil, 60},
		{minute, 10, 3600, 60},
		{minute, 10, 30, 30},
		{minute, 40, 30, -1},
		{minute, 100, nil, -1},
		{minute, 100, 3600, -1},
	} {
		payload := map[string]any{"a": "root", "t": now - test.age}
		if test.d != nil {
			payload["d"] = test.d
		}
		r := test.host.Do(t, harness.Request{Path: "/-/actor.json", Header: bearer("dstok_" + sign(t, "token", payload))})
		if test.expires < 0 {
			wantRefused(t, r, "Token has expired")
			continue
		}
		want := `{"ok": true, "actor": {"id": "root", "token": "dstok"}}`
		if test.expires > 0 {
			want = fmt.Sprintf(`{"ok": true, "actor": {"id": "root", "token": "dstok", "token_expires": %d}}`, now-test.age+test.expires)
		}
		if r.Text != want {
			t.Errorf("%+v: %s, want %s", payload, r.Text, want)
		}
	}
}

// A token of the page sets a secret, end to end.
func Test17CreateToken(t *testing.T) {
	t.Parallel()
	host, file := startWithFile(t)
	page := host.Do(t, harness.Request{Path: "/-/create-token", Actor: root(), Body: "expire_type=minutes&expire_duration=5&all:manage-secrets=on"})
	wantStatus(t, page, http.StatusOK)
	token := between(page.Text, `value="dstok_`, `"`)
	r := host.Do(t, harness.Request{Path: "/-/secrets/EXAMPLE_SECRET", Header: bearer("dstok_" + token), Body: "secret=hunter2&note="})
	wantRedirect(t, r, "/-/secrets")
	if rows := stored(t, file, "EXAMPLE_SECRET"); len(rows) != 1 || rows[0]["created_by"] != "root" {
		t.Errorf("stored %v", rows)
	}
	again := host.Do(t, harness.Request{Path: "/-/create-token", Header: bearer("dstok_" + token)})
	wantStatus(t, again, http.StatusForbidden)
	wantText(t, again, "Token authentication cannot be used to create additional tokens")
	wantText(t, host.Get(t, "/-/create-token", nil), "You must be logged in to create a token")
	wantText(t, host.Get(t, "/-/create-token", map[string]any{"name": "x"}), "You must be logged in as an actor with an ID to create a token")
}

func between(text, before, after string) string {
	_, text, _ = strings.Cut(text, before)
	text, _, _ = strings.Cut(text, after)
	return text
}
