package ui_test

import (
	"context"
	"database/sql"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/internal/access"
	"github.com/datasette-secrets/datasette-secrets/internal/audit"
	"github.com/datasette-secrets/datasette-secrets/internal/db"
)

// logged puts entries into the log as acts do.
func (w *world) logged(entries ...audit.Entry) {
	w.t.Helper()
	ok(w.t, w.db.Update(context.Background(), func(tx *db.Tx) error {
		for _, e := range entries {
			tx.Record(e)
		}
		return nil
	}))
}

// entries are n uses of the secret ONE.
func entries(n int) []audit.Entry {
	all := make([]audit.Entry, n)
	for i := range all {
		all[i] = audit.Entry{Action: "get", Name: "ONE", Plugin: "demo", ActorID: "alice", Proof: "asserted", Allowed: true, Reason: "granted"}
	}
	return all
}

func ids(body string) (all []string) {
	for _, m := range regexp.MustCompile(`data-label="Entry"><a href="/-/secrets/-/log/(\d+)"`).FindAllStringSubmatch(body, -1) {
		all = append(all, m[1])
	}
	return all
}

func TestLogPage(t *testing.T) {
	t.Parallel()
	w := newWorld(t, demo)
	w.set("ONE", "1", "")
	w.logged(audit.Entry{Action: "put", Name: "TWO", ActorID: "mallory", Proof: "signed-in", Reason: "no rule", Remote: "192.0.2.7:1"})
	root := w.as("root")
	for _, path := range []string{"/-/secrets/log", "/-/secrets/-/log"} {
		a := w.get(path, root)
		a.want(t, 200, "<h1>Audit log</h1>", `<a href="/-/secrets/ONE">ONE</a>`, `<span class="badge badge-deleted">Refused</span>`, "no rule", `<span class="by">signed-in</span>`,
			`<a href="/-/secrets/-/log">Audit log</a>`, `<link rel="alternate" type="application/json+datasette" href="/-/secrets/-/log.json">`)
	}
	newest := ids(w.get("/-/secrets/log", root).body)[0]
	entry := w.get("/-/secrets/-/log/"+newest, root)
	entry.want(t, 200, "<th scope=\"row\">remote</th><td>192.0.2.7:1</td>", `href="/-/secrets/-/log?name=TWO"`, "audit prove "+newest)
	w.get("/-/secrets/-/log/"+newest+".json", root).want(t, 200, `{"ok": true, "row": {"id": `+newest+`, "time": "2026-07-14 10:11:12.000", "action": "put", "name": "TWO", "secret_id": null`)
	for filter, want := range map[string]int{
		"name=TWO&allowed=0": 1, "name=TWO&allowed=1": 1, "actor_id=mallory": 1, "action=put": 2, "plugin=demo": 3, "client=x": 0,
		"since=2026-07-14&action=put": 2, "until=2026-07-14": 0, "since=1d&actor_id=mallory": 1, "name=%25": 0, "name=T_O": 0,
		"actor_id=%27+or+1%3D1+--": 0, "_before=" + newest + "&actor_id=mallory": 0, "_after=" + newest: 0, "_after=9223372036854775807": 0, "_before=9223372036854775807&_size=1": 1,
	} {
		if got := ids(w.get("/-/secrets/log?"+filter, root).body); len(got) != want {
			t.Errorf("%s: %v, want %d", filter, got, want)
		}
	}
	for _, odd := range []string{"_before=x", "_before=-1", "_after=9223372036854775808", "_after=1e3", "_size=0", "_size=1001", "_size=99999999999999999999", "allowed=yes", "since=tomorrow", "until=%00", "name=" + strings.Repeat("x", 501), "nosuch=" + strings.Repeat("x", 501)} {
		for _, path := range []string{"/-/secrets/log", "/-/secrets/-/log.json", "/-/secrets/-/log.csv"} {
			if a := w.get(path+"?"+odd, root); a.StatusCode != 400 {
				t.Errorf("%s?%.40s: %d", path, odd, a.StatusCode)
			}
		}
	}
	for _, id := range []string{"0", "-1", "01", "1.json.json", "9223372036854775808", "999", "x", "1%00"} {
		w.get("/-/secrets/-/log/"+id, root).want(t, 404)
	}
}

// Newer and older pages together show every entry once.
func TestLogPaging(t *testing.T) {
	t.Parallel()
	w := newWorld(t, demo)
	w.logged(entries(250)...)
	root := w.as("root")
	link := func(a answer, rel string) string {
		m := regexp.MustCompile(`href="([^"]*)" rel="` + rel + `"`).FindStringSubmatch(a.body)
		if m == nil {
			return ""
		}
		return strings.ReplaceAll(m[1], "&amp;", "&")
	}
	var all []string
	page := w.get("/-/secrets/log?name=ONE", root)
	page.lacks(t, ">Newer</a>")
	for {
		all = append(all, ids(page.body)...)
		older := link(page, "next")
		if older == "" {
			break
		}
		page = w.get(older, root)
	}
	total := len(all)
	if total < 250 || len(slices.Compact(slices.Sorted(slices.Values(all)))) != total {
		t.Errorf("%d entries: %v", total, all)
	}
	var back []string
	for newer := link(page, "prev"); newer != ""; newer = link(page, "prev") {
		page = w.get(newer, root)
		if newer == "/-/secrets/-/log?name=ONE" {
			break
		}
		back = append(ids(page.body), back...)
	}
	if !slices.Equal(back, all[:len(back)]) || len(back) < total-100 {
		t.Errorf("back again: %d of %d", len(back), total)
	}
}

func TestLogAsJSONAndCSV(t *testing.T) {
	t.Parallel()
	w := newWorld(t, demo)
	w.logged(entries(120)...)
	w.logged(audit.Entry{Action: "put", Name: "ONE", ActorID: "=HYPERLINK(\"http://evil\")", Reason: "+1\n2,\"x\"", Remote: "@x", Plugin: "-2"})
	root := w.as("root")
	var answer struct {
		OK      bool             `json:"ok"`
		Next    *string          `json:"next"`
		NextURL *string          `json:"next_url"`
		Rows    []map[string]any `json:"rows"`
	}
	seen := 0
	for address := "/-/secrets/log.json?name=ONE"; address != ""; {
		a := w.get(address, root)
		a.want(t, 200)
		answer.Next, answer.NextURL, answer.Rows = nil, nil, nil
		ok(t, json.Unmarshal([]byte(a.body), &answer))
		for _, row := range answer.Rows {
			if len(row) != len(db.LogColumns()) || row["name"] != "ONE" {
				t.Fatalf("a row is %v", row)
			}
		}
		seen += len(answer.Rows)
		if address = ""; answer.NextURL != nil {
			address = strings.TrimPrefix(*answer.NextURL, "http://127.0.0.1:8123")
		}
	}
	if seen < 121 || !answer.OK {
		t.Errorf("%d rows", seen)
	}
	a := w.get("/-/secrets/log.csv?name=ONE", root)
	if a.StatusCode != 200 || a.Header.Get("Content-Type") != "text/csv; charset=utf-8" || !strings.HasPrefix(a.Header.Get("Content-Disposition"), "attachment") {
		t.Errorf("%d %v", a.StatusCode, a.Header)
	}
	rows, err := csv.NewReader(strings.NewReader(a.body)).ReadAll()
	ok(t, err)
	if len(rows) != seen+1 || !slices.Equal(rows[0], db.LogColumns()) {
		t.Errorf("%d rows under %v", len(rows), rows[0])
	}
	for _, row := range rows {
		for _, cell := range row {
			if cell != "" && strings.ContainsAny(cell[:1], "=+-@\t\r") {
				t.Errorf("a spreadsheet computes the cell %q", cell)
			}
		}
	}
	if head := w.do("HEAD", "/-/secrets/log.csv", "", root); head.StatusCode != 200 || head.body != "" {
		t.Errorf("HEAD: %d %q", head.StatusCode, head.body)
	}
}

// Nobody without the permission learns anything, in any form and by any method.
func TestLogNeedsPermission(t *testing.T) {
	t.Parallel()
	w := newWorld(t, demo)
	w.set("ONE", "1", "")
	for _, path := range []string{"/-/secrets/log", "/-/secrets/log.json", "/-/secrets/log.csv", "/-/secrets/-/log", "/-/secrets/-/log.json", "/-/secrets/-/log.csv", "/-/secrets/log?name=ONE", "/-/secrets/-/log.json?name=ONE"} {
		for _, method := range []string{"GET", "HEAD"} {
			for _, who := range []string{"bob", ""} {
				a := w.do(method, path, "", w.as(who))
				a.want(t, 403)
				a.lacks(t, "127.0.0.1", "first-use", `"rows"`)
			}
		}
	}
	for _, path := range []string{"/-/secrets/-/log/1", "/-/secrets/-/log/1.json"} {
		a := w.get(path, w.as("bob"))
		a.want(t, 404)
		a.lacks(t, "first-use")
	}
	w.get("/", w.as("bob")).lacks(t, "Audit log")
}

// Who manages one secret sees what the log says of it, and where that is.
func TestLogOfOneSecret(t *testing.T) {
	t.Parallel()
	w := newWorld(t, demo, func(o *options) {
		o.rules = map[string]access.SecretConfig{"ONE": {Permissions: map[string]any{"manage-secrets": map[string]any{"id": "bob"}}}}
	})
	w.logged(entries(3)...)
	w.logged(audit.Entry{Action: "put", Name: "TWO", ActorID: "admin", Reason: "hidden"})
	bob := w.as("bob")
	a := w.get("/-/secrets/log", bob)
	a.want(t, 200, `<a href="/-/secrets/-/log?name=ONE">ONE</a>`)
	a.lacks(t, "TWO", "Verify now", "<table")
	b := w.get("/-/secrets/-/log?name=ONE", bob)
	b.want(t, 200, `data-label="Entry"`)
	b.lacks(t, "TWO", "Verify now", "Signed head")
	w.get("/-/secrets/ONE", bob).want(t, 200, "3 uses in the last 90 days")
	for _, path := range []string{"/-/secrets/-/log?name=TWO", "/-/secrets/-/log.json", "/-/secrets/-/log.csv", "/-/secrets/-/log.json?name=TWO", "/-/secrets/log.csv?plugin=demo"} {
		refused := w.get(path, bob)
		refused.want(t, 403)
		refused.lacks(t, "hidden")
	}
	w.post("/-/secrets/-/log/verify", bob).want(t, 403)
	w.get("/-/secrets/-/log", w.as("root")).lacks(t, ">ONE</a>")
}

// Forms that are refused are in the log, those of strangers only up to a rate.
func TestRefusedFormsAreInTheLog(t *testing.T) {
	t.Parallel()
	w := newWorld(t, demo)
	w.set("ONE", "1", "")
	forms := map[string][]string{
		"/-/secrets/ONE": {"secret", "x"}, "/-/secrets/ONE/-/delete": nil, "/-/secrets/ONE/-/restore": {"version", "1"}, "/-/secrets/ONE/-/test": nil,
	}
	count := func(filter string) int {
		return len(ids(w.get("/-/secrets/-/log?allowed=0&"+filter, w.as("root")).body))
	}
	for path, fields := range forms {
		w.post(path, w.as("bob"), fields...).want(t, 403)
		w.get(path, w.as("bob"))
	}
	for _, action := range []string{"put", "delete", "restore", "get"} {
		if n := count("actor_id=bob&name=ONE&action=" + action); n != 1 {
			t.Errorf("%d entries tell of the %s", n, action)
		}
	}
	for range 50 {
		w.post("/-/secrets/ONE", nil, "secret", "x").want(t, 403)
	}
	if n := count(""); n < 5 || n > 14 {
		t.Errorf("strangers made %d entries", n-4)
	}
}

// A secret's page is where Datasette's plugin has it, whatever the secret is
// called; the log is then still where no secret can be.
func TestSecretCalledLog(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(o *options) {
		o.declare = []secrets.Declaration{{Name: "log", Description: "Hides the log"}, {Name: "-"}}
	})
	root := w.as("root")
	w.get("/-/secrets/log", root).want(t, 200, "<h1>Add secret: log</h1>", "Hides the log", `<a href="/-/secrets/-/log">Audit log</a>`)
	w.post("/-/secrets/log", root, "secret", "x").wantRedirect(t, "/-/secrets")
	w.get("/-/secrets/-", root).want(t, 200, "<h1>Add secret: -</h1>")
	w.get("/-/secrets/-/log", root).want(t, 200, "<h1>Audit log</h1>", `<a href="/-/secrets/log">log</a>`)
	w.get("/-/secrets/-/log.json", root).want(t, 200, `"name": "log"`)
	w.get("/-/secrets/log.json", root).want(t, 200, `"name": "log"`) // not declared
	undeclared := newWorld(t, func(o *options) { o.allowUndeclared = true })
	undeclared.get("/-/secrets/log", undeclared.as("root")).want(t, 200, "<h1>Audit log</h1>")
	undeclared.post("/-/secrets/log", undeclared.as("root"), "secret", "x").wantRedirect(t, "/-/secrets")
	undeclared.get("/-/secrets/log", undeclared.as("root")).want(t, 200, "<h1>Update secret: log</h1>")
}

// Every text of an entry may be an attacker's.
func TestLogIsSafeWhateverItSays(t *testing.T) {
	t.Parallel()
	w := newWorld(t, demo)
	root := w.as("root")
	for _, text := range hostile() {
		w.logged(audit.Entry{
			Action: text, Name: text, ActorID: text, Proof: text, Plugin: text, Source: text, Reason: text, RequestID: text, Remote: text,
		}, audit.Entry{Action: "put", Name: "ONE", ActorID: text, Proof: text, Client: text, Source: text, Reason: text})
		one := w.get("/-/secrets/-/log?name="+url.QueryEscape(text), root)
		one.want(t, 200)
		noDanger(t, one.body, 1)
		entry := w.get("/-/secrets/-/log/"+ids(one.body)[0], root)
		entry.want(t, 200)
		noDanger(t, entry.body, 1)
	}
	for _, path := range []string{"/-/secrets/-/log", "/-/secrets/ONE"} {
		a := w.get(path, root)
		a.want(t, 200)
		noDanger(t, a.body, 1)
	}
	var v any
	ok(t, json.Unmarshal([]byte(w.get("/-/secrets/-/log.json", root).body), &v))
}

func TestLogOnTheSecretsPage(t *testing.T) {
	t.Parallel()
	w := newWorld(t, demo)
	w.set("ONE", "1", "")
	root := w.as("root")
	w.get("/-/secrets/ONE", root).lacks(t, "<svg role=\"img\" aria-labelledby=\"uses\"", "uses in the last")
	w.logged(entries(25)...)
	w.now = w.now.AddDate(0, 0, 3)
	w.logged(entries(1)...)
	a := w.get("/-/secrets/ONE", root)
	a.want(t, 200, "26 uses in the last 90 days, at most 25 on a day (UTC)", `<rect x="688" y="0" width="6" height="60"><title>2026-07-14: 25</title></rect>`,
		`<rect x="712" y="58" width="6" height="2"><title>2026-07-17: 1</title></rect>`, `<tr><th scope="row">2026-07-14</th><td class="number">25</td></tr>`,
		`<a href="/-/secrets/-/log?name=ONE">All entries about this secret</a>`)
	if got := len(ids(a.body)); got != 20 {
		t.Errorf("%d entries", got)
	}
	a.lacks(t, "style=")
	w.get("/-/secrets/TWO", root).want(t, 200, "The same, to filter")
}

// A log that cannot be read does not take the page of a secret with it.
func TestSecretsPageWithoutLog(t *testing.T) {
	t.Parallel()
	w := newWorld(t, demo)
	w.run("drop table datasette_secrets_log")
	w.get("/-/secrets/ONE", w.as("root")).want(t, 200, "The audit log cannot be read for now")
	a := w.get("/-/secrets/-/log", w.as("root"))
	a.want(t, 500, "incident")
	a.lacks(t, "no such table")
}

// run runs a statement on the file as another program would.
func (w *world) run(statement string) {
	w.t.Helper()
	pool, err := sql.Open("sqlite3", fmt.Sprintf("file:%s?_busy_timeout=10000", filepath.Join(w.dir, "internal.db")))
	ok(w.t, err)
	defer pool.Close()
	_, err = pool.Exec(statement)
	ok(w.t, err)
}
