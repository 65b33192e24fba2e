package api_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/internal/api"
	"github.com/datasette-secrets/datasette-secrets/internal/vault"
)

func itoa(n int) string { return strconv.Itoa(n) }

func sentinels() []error {
	return []error{
		secrets.ErrInvalid, secrets.ErrDenied, secrets.ErrNotDeclared, secrets.ErrNotApproved, secrets.ErrNotFound, secrets.ErrNotSet,
		secrets.ErrNotConfigured, secrets.ErrSealed, secrets.ErrIntegrity, secrets.ErrUnavailable,
	}
}

// What a page of another site could have a browser ask for cannot be shown or
// embedded there. Every answer says what it is, and how long.
func TestHeaders(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for path, c := range map[string]struct {
		token  string
		status int
	}{
		"/-/api/v1/secrets/API_KEY":       {"", 401},
		"/-/api/v1/none":                  {"", 401},
		"/-/api/v1/secrets/OTHER":         {w.reader, 403},
		"/-/api/v1/openapi.json":          {"", 200},
		"/-/api/v1/secrets/API_KEY?":      {w.reader, 200},
		"/-/api/v1/secrets":               {w.reader, 200},
		"/-/api/v1/secrets/API_KEY?x=y":   {w.reader, 400},
		"/-/api/v1/secrets/API_KEY/again": {w.reader, 404},
	} {
		a := w.ask("GET", path, c.token, "")
		h := a.Header
		if a.StatusCode != c.status || h.Get("Content-Type") != "application/json" ||
			h.Get("Cache-Control") != "no-store" || h.Get("X-Request-Id") == "" || h.Get("Content-Length") != itoa(len(a.body)) {
			t.Errorf("%s: %d %v, %d bytes", path, a.StatusCode, h, len(a.body))
		}
		shown := h.Get("X-Content-Type-Options") == "nosniff" && h.Get("Cross-Origin-Resource-Policy") == "same-origin" && strings.Contains(h.Get("Content-Security-Policy"), "frame-ancestors 'none'")
		if mayBeAsked := c.token == "" || c.status != 200; shown != mayBeAsked {
			t.Errorf("%s: %v", path, h)
		}
	}
}

// A value is read, the use is in the log with who asked for whom, and reading
// it again with its ETag is no use.
func TestRead(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.ask("GET", "/-/api/v1/secrets/API_KEY?actor=alice", w.reader, "").want(t, 200, "")
	if a.body != `{"name":"API_KEY","value":"`+canary+`","version":1,"source":"database"}`+"\n" || a.Header.Get("ETag") != `"1"` ||
		a.Header.Get("Cache-Control") != "no-store" || a.Header.Get("Content-Type") != "application/json" {
		t.Errorf("got %s %v", a.body, a.Header)
	}
	e := w.entries(1)[0]
	if e.Action != "get" || e.Name != "API_KEY" || e.Client != "reader" || e.ActorID != "alice" || e.ActorProof != "asserted" ||
		!e.Allowed || e.Remote != "127.0.0.1" || e.RequestID != a.Header.Get("X-Request-Id") || e.RequestID == "" {
		t.Errorf("the log has %+v", e)
	}
	for _, tag := range []string{`"1"`, `W/"1"`, `"9", "1"`, "*"} {
		a := w.ask("GET", "/-/api/v1/secrets/API_KEY?actor=alice", w.reader, "", "If-None-Match", tag).want(t, 304, "")
		if a.body != "" || a.Header.Get("ETag") != `"1"` || a.Header.Get("Content-Type") != "" {
			t.Errorf("got %q, %v", a.body, a.Header)
		}
	}
	if now := w.entries(1)[0]; now.ID != e.ID {
		t.Errorf("an unchanged value is recorded as %+v", now)
	}
	w.ask("GET", "/-/api/v1/secrets/API_KEY", w.reader, "", "If-None-Match", `"2", "10", 1, ""`).want(t, 200, "")
	// Names are percent-encoded, once.
	w.ask("GET", "/-/api/v1/secrets/%41PI%5fKEY", w.reader, "").want(t, 200, "")
	w.ask("GET", "/-/api/v1/secrets/%2541PI_KEY", w.reader, "").want(t, 403, "not_declared")

	env := w.ask("GET", "/-/api/v1/secrets/ENV_KEY", w.reader, "").want(t, 200, "")
	if v := env.json(t); v["value"] != canary+"-env" || v["version"] != nil || v["source"] != "env" {
		t.Errorf("got %s", env.body)
	}
	w.ask("GET", "/-/api/v1/secrets/ENV_KEY", w.reader, "", "If-None-Match", env.Header.Get("ETag")).want(t, 304, "")
	w.ask("GET", "/-/api/v1/secrets/UNSET", w.reader, "").want(t, 404, "not_set")
	w.ask("GET", "/-/api/v1/secrets/BINARY", w.reader, "").want(t, 500, "integrity")
}

// 304 tells nothing to who may not read the value.
func TestUnchangedIsForWhoMayRead(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, name := range []string{"DEMO_KEY", "NOTHING"} {
		w.ask("GET", "/-/api/v1/secrets/"+name, w.reader, "", "If-None-Match", "*").want(t, 403, "not_declared")
		if e := w.entries(1)[0]; e.Allowed || e.Name != name || e.Client != "reader" {
			t.Errorf("the log has %+v", e)
		}
	}
}

func TestListAndSelf(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.ask("GET", "/-/api/v1/secrets", w.reader, "").want(t, 200, "")
	const want = `{"secrets":[{"name":"API_KEY","state":"granted","declared":false,"set":true,"source":"database","version":1},` +
		`{"name":"BINARY","state":"granted","declared":false,"set":true,"source":"env","version":null},` +
		`{"name":"ENV_KEY","state":"granted","declared":false,"set":true,"source":"env","version":null},` +
		`{"name":"UNSET","state":"granted","declared":false,"set":false,"source":null,"version":null}]}` + "\n"
	if a.body != want {
		t.Errorf("got %s", a.body)
	}
	before := w.entries(1)[0].ID
	a = w.ask("GET", "/-/api/v1/client", w.writer, "").want(t, 200, "")
	if a.body != `{"name":"writer","write":true,"expires_at":null,"host":"1.2"}`+"\n" {
		t.Errorf("got %s", a.body)
	}
	a = w.ask("POST", "/-/api/v1/can-access?actor=bob", w.reader, `{"names":["API_KEY","DEMO_KEY","UNSET"]}`).want(t, 200, "")
	if a.body != `{"access":[{"name":"API_KEY","allowed":true},{"name":"DEMO_KEY","allowed":false},{"name":"UNSET","allowed":true}]}`+"\n" {
		t.Errorf("got %s", a.body)
	}
	if after := w.entries(1)[0].ID; after != before {
		t.Error("questions are recorded")
	}
}

func TestWriteAndDelete(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const fresh = "/-/api/v1/secrets/FRESH"
	body := `{"value":"` + canary + `-new","note":"by hand"}`
	w.ask("POST", fresh, w.writer, body).want(t, 428, "precondition_required")
	w.ask("POST", fresh, w.writer, body, "If-Match", `"1"`).want(t, 412, "precondition_failed")
	a := w.ask("POST", fresh, w.writer, body, "If-None-Match", "*").want(t, 201, "")
	if a.body != `{"name":"FRESH","version":1}`+"\n" || a.Header.Get("ETag") != `"1"` {
		t.Errorf("got %s %v", a.body, a.Header)
	}
	if a := w.ask("POST", fresh, w.writer, body, "If-None-Match", "*").want(t, 412, "precondition_failed"); a.Header.Get("ETag") != `"1"` {
		t.Errorf("got %v", a.Header)
	}
	for _, tag := range []string{`"2"`, `"01"`, `"+1"`, `"-1"`, `"0"`, `""`, `"99999999999999999999"`,
		`1`, `W/"1"`, `"1", "2"`, `"`, `""1""`, strings.Repeat("x", 200)} {
		w.ask("POST", fresh, w.writer, body, "If-Match", tag).want(t, 412, "precondition_failed")
	}
	w.ask("POST", fresh, w.writer, body, "If-Match", "").want(t, 400, "invalid_request")
	w.ask("POST", fresh, w.writer, body, "If-Match", `"1"`, "If-None-Match", "*").want(t, 412, "precondition_failed")
	w.ask("POST", fresh, w.writer, body, "If-None-Match", `"1"`).want(t, 400, "invalid_request")
	w.ask("POST", fresh, w.writer, body, "If-Match", `"1"`).want(t, 200, "")
	if e := w.entries(1)[0]; e.Action != "put" || e.Client != "writer" || e.Version != 2 || !e.Allowed {
		t.Errorf("the log has %+v", e)
	}
	if v := w.ask("GET", fresh, w.writer, "").json(t); v["value"] != canary+"-new" || v["version"] != 2.0 {
		t.Errorf("got %v", v)
	}
	w.ask("DELETE", fresh, w.writer, "").want(t, 428, "precondition_required")
	w.ask("DELETE", fresh, w.writer, "", "If-None-Match", "*").want(t, 400, "invalid_request")
	w.ask("DELETE", fresh, w.writer, "", "If-Match", `"1"`).want(t, 412, "precondition_failed")
	w.ask("DELETE", fresh, w.writer, "", "If-Match", `"2"`).want(t, 204, "")
	w.ask("GET", fresh, w.writer, "").want(t, 404, "not_set")
	w.ask("POST", fresh, w.writer, body, "If-None-Match", "*").want(t, 201, "")

	w.ask("POST", "/-/api/v1/secrets/API_KEY", w.reader, body, "If-Match", "*").want(t, 403, "read_only")
	w.ask("DELETE", "/-/api/v1/secrets/API_KEY", w.reader, "", "If-Match", "*").want(t, 403, "read_only")
	w.ask("POST", "/-/api/v1/secrets/DEMO_KEY", w.writer, body, "If-Match", "*").want(t, 403, "not_declared")
	if e := w.entries(1)[0]; e.Action != "put" || e.Allowed || e.Client != "writer" || e.Name != "DEMO_KEY" {
		t.Errorf("the log has %+v", e)
	}
}

func TestBatch(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.ask("POST", "/-/api/v1/batch", w.reader, `{"names":["UNSET","API_KEY","DEMO_KEY","BINARY"]}`).want(t, 200, "")
	var got struct {
		Results []struct{ Name, Value, Code string }
	}
	ok(t, json.Unmarshal([]byte(a.body), &got))
	if fmt.Sprint(got.Results) != "[{UNSET  not_set} {API_KEY "+canary+" } {DEMO_KEY  not_declared} {BINARY  integrity}]" {
		t.Errorf("got %s", a.body)
	}
	if entries := w.entries(3); entries[2].Name != "API_KEY" || !entries[2].Allowed || entries[1].Name != "DEMO_KEY" || entries[1].Allowed {
		t.Errorf("the log has %+v", entries)
	}
	many := slices.Repeat([]string{"API_KEY"}, vault.MaxBatch+1)
	for names, status := range map[string]int{
		`[]`: 400, `["a/b"]`: 400, `[".."]`: 400, `[1]`: 400, `"API_KEY"`: 400, `[null]`: 400,
		`["` + strings.Join(many, `","`) + `"]`: 400, `["` + strings.Join(many[1:], `","`) + `"]`: 200,
	} {
		if a := w.ask("POST", "/-/api/v1/batch", w.reader, `{"names":`+names+`}`); a.StatusCode != status {
			t.Errorf("%.40s: got %d %.100s", names, a.StatusCode, a.body)
		}
	}
}

func TestDeclarations(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const path = "/-/api/v1/declarations"
	body := `{"declarations":[{"name":"API_KEY","description":"of the shop"},{"name":"MORE","obtain_url":"https://example.com/","redact_prefix":2}]}`
	a := w.ask("PUT", path, w.reader, body).want(t, 200, "")
	const want = `{"declarations":[{"declaration":{"name":"API_KEY","description":"of the shop"},"state":"granted"},` +
		`{"declaration":{"name":"MORE","obtain_url":"https://example.com/","redact_prefix":2},"state":"pending"}]}` + "\n"
	if a.body != want {
		t.Errorf("got %s", a.body)
	}
	if a := w.ask("GET", path, w.reader, "").want(t, 200, ""); a.body != want {
		t.Errorf("got %s", a.body)
	}
	w.ask("GET", "/-/api/v1/secrets/MORE", w.reader, "").want(t, 403, "not_approved")
	before := w.entries(1)[0].ID
	w.ask("PUT", path, w.reader, body).want(t, 200, "")
	if w.entries(1)[0].ID != before {
		t.Error("saying the same again is recorded")
	}
	w.ask("POST", path, w.reader, `{"declarations":[{"name":"THIRD"}]}`).want(t, 200, "")
	if list := w.ask("GET", path, w.reader, "").json(t)["declarations"].([]any); len(list) != 3 {
		t.Errorf("got %v", list)
	}
	for _, wrong := range []string{
		`{}`, `[]`, `{"declarations":null}`, `{"declarations":[{}]}`, `{"declarations":[{"name":"a b"}]}`, `{"declarations":[{"name":"A","other":1}]}`,
		`{"declarations":[{"name":"A","obtain_url":"javascript:alert(1)"}]}`, `{"declarations":[{"name":"A","pattern":"("}]}`, `{"declarations":[{"name":"A","redact_prefix":-1}]}`,
	} {
		w.ask("PUT", path, w.reader, wrong).want(t, 400, "invalid_request")
	}
	w.ask("PUT", path, w.reader, `{"declarations":[]}`).want(t, 200, "")
}

func TestDocumentIsForEverybody(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if a := w.ask("GET", "/-/api/v1/openapi.json", "", "").want(t, 200, ""); a.body != string(api.Document()) {
		t.Error("it is another one")
	}
}

func TestBaseURL(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(cfg *api.Config) { cfg.BaseURL = "/shop/" })
	for _, path := range []string{"/shop/-/api/v1/secrets/API_KEY", "/-/api/v1/secrets/API_KEY"} {
		w.ask("GET", path, w.reader, "").want(t, 200, "")
	}
	for path, want := range map[string]bool{
		"/shop/-/api/v1/x": true, "/-/api/": true, "/-/secrets": false, "/shop/-/secrets": false,
		"/-/ap%69/v1": false, "//-/api/v1": false, "/%2D/api/v1": false, "/x/../-/api/v1": false,
	} {
		r, err := http.NewRequest("GET", "http://host"+path, nil)
		ok(t, err)
		if api.Serves(r, "/shop/") != want {
			t.Errorf("%s: want %v", path, want)
		}
	}
}

// What goes wrong is told by its class, and the cause goes to the log.
func TestFailures(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.vault.Seal()
	if a := w.ask("GET", "/-/api/v1/secrets/API_KEY", w.reader, "").want(t, 503, "sealed"); a.Header.Get("Retry-After") == "" {
		t.Errorf("got %v", a.Header)
	}
	w.ask("GET", "/-/api/v1/secrets/ENV_KEY", w.reader, "").want(t, 200, "")
	w.ask("POST", "/-/api/v1/secrets/FRESH", w.writer, `{"value":"x"}`, "If-None-Match", "*").want(t, 503, "sealed")
	w.vault.UseKeys(nil)
	w.ask("GET", "/-/api/v1/secrets/API_KEY", w.reader, "").want(t, 503, "not_configured")
	for _, err := range []error{errors.New(canary), fmt.Errorf("%w: %s", secrets.ErrDenied, canary)} {
		if code := api.CodeOf(err); code == "invalid_request" {
			t.Errorf("%v: %s", err, code)
		}
	}
}
