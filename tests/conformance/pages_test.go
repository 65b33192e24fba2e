package conformance_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/internal/signing"
	"github.com/datasette-secrets/datasette-secrets/pluginapi"
	"github.com/datasette-secrets/datasette-secrets/tests/harness"
)

const menuLink = `<a href="/-/secrets">Manage secrets</a>`

// hunter2 is the text "hunter2" encrypted with harness.Key by Python.
const hunter2 = "gAAAAABlU_EAAAECAwQFBgcICQoLDA0OD_e5LOVX57WdHSUxrwACKujH-S_j2UIkXEvZ306by0KuUqRpnGm75WObpffYpF4imA=="

// addRow stores a version as another program would.
func addRow(t *testing.T, file, name string) {
	t.Helper()
	query(t, file, `insert into datasette_secrets (name, note, version, encrypted, encryption_key_name, created_at, created_by, updated_at, updated_by)
		values (?, null, 1, ?, 'default', '2024-05-06 07:08:09', 'alice', '2024-05-06 07:08:09', null)`, name, []byte(hunter2))
}

// cells is the row of a secret in the list, by the headings of the columns.
func cells(t *testing.T, list harness.Response, name string) map[string]string {
	t.Helper()
	column := regexp.MustCompile(`(?s)<t[hd][^>]*>(.*?)</t[hd]>`)
	tags := regexp.MustCompile(`<[^>]*>`)
	var titles []string
	for _, line := range regexp.MustCompile(`(?s)<tr[ >].*?</tr>`).FindAllString(list.Text, -1) {
		var texts []string
		for _, m := range column.FindAllStringSubmatch(line, -1) {
			texts = append(texts, strings.TrimSpace(tags.ReplaceAllString(m[1], "")))
		}
		if titles == nil {
			titles = texts
			continue
		}
		if texts[0] != name {
			continue
		}
		found := map[string]string{}
		for i, title := range titles {
			found[title] = texts[i]
		}
		return found
	}
	t.Errorf("the list has no row of %s:\n%s", name, list.Text)
	return nil
}

func Test21Forbidden(t *testing.T) {
	t.Parallel()
	host := start(t, "--default-deny", "-s", "max_post_body_bytes", "100", "-s", "permissions.manage-secrets.id", "root")
	r := host.Get(t, "/-/secrets", nil)
	wantStatus(t, r, http.StatusForbidden)
	wantText(t, r, "<title>Forbidden</title>", "<h1>Forbidden</h1>", "Permission denied")
	if got := r.Header.Get("Content-Type"); got != "text/html; charset=utf-8" {
		t.Errorf("Content-Type %q", got)
	}
	for _, header := range []map[string]string{
		{"Accept": "application/json"},
		{"Accept": "text/html, application/json;q=0.5"},
		{"Content-Type": "application/json"},
	} {
		for _, path := range []string{"/-/secrets", "/-/secrets/EXAMPLE_SECRET", "/-/secrets/UNDECLARED"} {
			r := host.Do(t, harness.Request{Path: path, Header: header})
			wantStatus(t, r, http.StatusForbidden)
			if r.Text != permissionDenied || r.Header.Get("Content-Type") != "application/json; charset=utf-8" {
				t.Errorf("%s with %v: %s\n%s", path, header, r.Header.Get("Content-Type"), r.Text)
			}
		}
	}
	// A missing permission of Datasette's own pages is told by its name.
	r = host.Get(t, "/-/plugins.json", nil)
	if want := strings.ReplaceAll(permissionDenied, "Permission denied", "view-instance"); r.Text != want || r.StatusCode != http.StatusForbidden {
		t.Errorf("/-/plugins.json: %d %s", r.StatusCode, r.Text)
	}
	missing := host.Get(t, "/-/secrets.json", root())
	if want := `{"ok": false, "error": "Database not found", "errors": ["Database not found"], "status": 404}`; missing.Text != want {
		t.Errorf("/-/secrets.json: %s, want %s", missing.Text, want)
	}
	missing = host.Do(t, harness.Request{Path: "/-/nosuch", Actor: root(), Header: map[string]string{"Accept": "application/json"}})
	wantStatus(t, missing, http.StatusNotFound)
	wantText(t, missing, "<title>Error 404</title>", "<h1>Error 404</h1>")
	wantNoText(t, missing, menuLink, "<strong>root</strong>")

	large := host.SetSecret(t, "EXAMPLE_SECRET", strings.Repeat("x", 100), "", root())
	wantStatus(t, large, http.StatusRequestEntityTooLarge)
	wantText(t, large, "Request body exceeded maximum size of 100 bytes")
}

func Test22UnsetSecrets(t *testing.T) {
	t.Parallel()
	fresh := start(t, "--root").Get(t, "/-/secrets", root())
	wantStatus(t, fresh, http.StatusOK)
	wantText(t, fresh, "<h1>Manage secrets</h1>", "<p>The following secret has not been set:</p>",
		`<strong><a href="/-/secrets/EXAMPLE_SECRET">EXAMPLE_SECRET</a></strong> - An example secret </li> </ul>`)
	wantNoText(t, fresh, "<table", "environment variables")
	if n := strings.Count(fresh.Text, "<li><strong>"); n != 1 {
		t.Errorf("the list has %d secrets", n)
	}
	probe := harness.NewProbe(t, "TWO", "ONE")
	both := start(t, append(probe.Args, "--root")...).Get(t, "/-/secrets", root())
	wantText(t, both, "<p>The following secrets have not been set:</p>", `href="/-/secrets/ONE"`, `href="/-/secrets/TWO"`)
	wantNoText(t, both, "EXAMPLE_SECRET") // only while no plugin declares anything
}

func Test23MenuLink(t *testing.T) {
	t.Parallel()
	host := start(t, "-s", "permissions.manage-secrets.id", "root", "-s", "permissions.permissions-debug.id", "root")
	for _, path := range []string{
		"/", "/-/", "/-/secrets", "/-/secrets/EXAMPLE_SECRET", "/-/plugins", "/-/versions", "/-/settings", "/-/config", "/-/databases",
		"/-/actor", "/-/actions", "/-/logout", "/-/create-token", "/-/sign-in",
	} {
		r := host.Get(t, path, root())
		wantStatus(t, r, http.StatusOK)
		wantText(t, r, "<li>"+menuLink+"</li>")
	}
	forbidden := host.Get(t, "/-/plugins", secrets.Actor{"id": "root", "_r": map[string]any{"a": []string{"manage-secrets"}}})
	wantStatus(t, forbidden, http.StatusForbidden)
	wantText(t, forbidden, menuLink)
	for _, actor := range []secrets.Actor{nil, {"id": "bob"}, {"id": "root", "_r": map[string]any{"a": []string{"vi"}}}} {
		r := host.Get(t, "/", actor)
		wantStatus(t, r, http.StatusOK)
		wantNoText(t, r, menuLink)
	}
	keyless := harness.Start(t, harness.Options{Args: []string{"--root"}, NoKey: true})
	for _, path := range []string{"/", "/-/secrets", "/-/plugins"} {
		wantNoText(t, keyless.Get(t, path, root()), menuLink)
	}
}

func Test31Paths(t *testing.T) {
	t.Parallel()
	host, file := startWithFile(t, "-s", "plugins.datasette-secrets.allow-undeclared", "true")
	for path, location := range map[string]string{
		"/-/secrets/":                    "/-/secrets",
		"/-/secrets/?q=1":                "/-/secrets?q=1",
		"/-/secrets/EXAMPLE_SECRET/":     "/-/secrets/EXAMPLE_SECRET",
		"/-/secrets/EXAMPLE_SECRET/?q=1": "/-/secrets/EXAMPLE_SECRET?q=1",
		"/-/secrets/foo%20bar/":          "/-/secrets/foo%20bar",
		"//evil.example/":                "/evil.example",
		"//evil.example//":               "/evil.example",
	} {
		wantRedirect(t, host.Get(t, path, root()), location)
	}
	// Browsers take a backslash for a slash; no client of Go's sends one.
	if got := rawGet(t, host, `/\evil.example/`).Header.Get("Location"); got != "/evil.example" && got != "/%5Cevil.example" {
		t.Errorf("a backslash leads to %q", got)
	}
	// Every method but a post of a secret's page shows the page.
	for _, method := range []string{http.MethodHead, http.MethodPost, http.MethodPut, http.MethodDelete, http.MethodPatch} {
		wantStatus(t, host.Do(t, harness.Request{Method: method, Path: "/-/secrets", Actor: root()}), http.StatusOK)
		if method != http.MethodPost {
			wantStatus(t, host.Do(t, harness.Request{Method: method, Path: "/-/secrets/EXAMPLE_SECRET", Actor: root(), Body: "secret=x"}), http.StatusOK)
		}
	}
	if rows := stored(t, file, "EXAMPLE_SECRET"); len(rows) != 0 {
		t.Errorf("stored %v", rows)
	}
	json := host.Get(t, "/-/secrets/X.json", root())
	wantStatus(t, json, http.StatusOK)
	wantText(t, json, "<h1>Add secret: X.json</h1>")
}

// rawGet asks for a target that stands in the request line as it is.
func rawGet(t *testing.T, host *harness.Process, target string) *http.Response {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(host.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", target)
	answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	return answer
}

// A name is what stands in the path, without any decoding. New names are plain,
// but those that Datasette stored work as they do there.
func Test31NamesAreVerbatim(t *testing.T) {
	t.Parallel()
	host, file := startWithFile(t, "-s", "plugins.datasette-secrets.allow-undeclared", "true")
	for _, name := range []string{"foo%20bar", "foo%2Fbar", "foo~2Ebar", "%E2%82%AC", "a+b", "a'b&c"} {
		refused := host.SetSecret(t, name, "x", "", root())
		wantStatus(t, refused, http.StatusBadRequest)
		addRow(t, file, name)
		escaped := strings.NewReplacer("'", "&#39;", "&", "&amp;", "+", "&#43;").Replace(name)
		page := host.Get(t, "/-/secrets/"+name, root())
		wantStatus(t, page, http.StatusOK)
		if got := heading(page); got != "Update secret: "+escaped {
			t.Errorf("%s: heading %q", name, got)
		}
		link := strings.ReplaceAll(escaped, "&#43;", "+")
		wantText(t, host.Get(t, "/-/secrets", root()), `href="/-/secrets/`+link+`"`)
		wantText(t, page, `action="/-/secrets/`+link+`"`)
		wantRedirect(t, host.SetSecret(t, name, "new", "", root()), "/-/secrets")
		if rows := stored(t, file, name); len(rows) != 2 || clearText(t, rows[1]) != "new" {
			t.Errorf("%s: stored %v", name, rows)
		}
	}
}

func Test32DescriptionsAreEscaped(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	probe := harness.AddProbe(t, dir, "probe",
		pluginapi.Secret{Name: "A", Description: `<script>alert(1)</script> & "quotes" <b>`, ObtainURL: `https://a.example/?q="><script>&x=1`, ObtainLabel: `Get <i>A</i>`},
		pluginapi.Secret{Name: "B", Description: "Only a description"},
		pluginapi.Secret{Name: "C", ObtainURL: "https://c.example/", ObtainLabel: "Get C"},
		pluginapi.Secret{Name: "D", Description: "No label", ObtainURL: "https://d.example/"},
		pluginapi.Secret{Name: "E", ObtainLabel: "No address"},
		pluginapi.Secret{Name: "F", Description: `<strong>Strong</strong>, <a href="https://f.example/">linked</a> and <a href="javascript:alert(1)">not</a>`},
	)
	host := start(t, append(probe.Args, "--root")...)
	list := host.Get(t, "/-/secrets", root())
	wantText(t, list,
		`A</a></strong> - &lt;script&gt;alert(1)&lt;/script&gt; &amp; &#34;quotes&#34; &lt;b&gt;, <a href="https://a.example/?q=&#34;&gt;&lt;script&gt;&amp;x=1"`,
		`>Get &lt;i&gt;A&lt;/i&gt;</a> </li>`,
		`B</a></strong> - Only a description </li>`,
		`C</a></strong> - <a href="https://c.example/"`, `>Get C</a> </li>`,
		`D</a></strong> - No label </li>`,
		`E</a></strong> - No address </li>`,
		`<strong>Strong</strong>, <a href="https://f.example/"`,
	)
	wantNoText(t, list, "d.example", "javascript:alert(1)\">", "<script>alert", "<i>")
	page := host.Get(t, "/-/secrets/A", root())
	wantText(t, page, `&lt;script&gt;alert(1)&lt;/script&gt; &amp; &#34;quotes&#34; &lt;b&gt;. <a href="https://a.example/`)
	wantNoText(t, page, "<script>alert", "<i>")
	wantNoText(t, host.Get(t, "/-/secrets/D", root()), "d.example")
}

// No plugin knows about actors, so that their ids are all there is to show.
func Test37UpdatedBy(t *testing.T) {
	t.Parallel()
	host, file := startWithFile(t, "-s", "permissions.manage-secrets", `{"id": "*", "name": "x"}`, "-s", "plugins.datasette-secrets.allow-undeclared", "true")
	for name, actor := range map[string]secrets.Actor{
		"TEXT": {"id": "<bob>", "username": "bobby", "name": "Bob"}, "NUMBER": {"id": 7}, "NONE": {"name": "x"},
	} {
		host.SetSecret(t, name, "x", "", actor)
	}
	addRow(t, file, "UPSTREAM")
	list := host.Get(t, "/-/secrets", secrets.Actor{"id": "bob"})
	for name, want := range map[string]string{"TEXT": "&lt;bob&gt;", "NUMBER": "7", "NONE": "", "UPSTREAM": ""} {
		if got := cells(t, list, name)["Updated by"]; got != want {
			t.Errorf("%s was updated by %q, want %q", name, got, want)
		}
	}
	if got := cells(t, list, "UPSTREAM"); got["Note"] != "" || got["Last updated"] != "2024-05-06 07:08:09" || got["Version"] != "1" {
		t.Errorf("a row of Datasette's: %v", got)
	}
}

func Test39BaseURL(t *testing.T) {
	t.Parallel()
	host := start(t, "--root", "-s", "base_url", "/pre/")
	signedIn := host.Get(t, strings.TrimPrefix(host.SignIn, host.URL), nil)
	wantRedirect(t, signedIn, "/pre/")
	wantCookie(t, signedIn, "ds_actor="+rootCookie+"; Path=/; HttpOnly; SameSite=lax")
	for _, prefix := range []string{"", "/pre"} {
		list := host.Get(t, prefix+"/-/secrets", root())
		wantStatus(t, list, http.StatusOK)
		wantText(t, list, `<a href="/pre/-/secrets">Manage secrets</a>`, `href="/pre/-/secrets/EXAMPLE_SECRET"`, `<a href="/pre/">home</a>`, `action="/pre/-/logout"`)
		if left := regexp.MustCompile(`(?:href|src|action)="/(?:[^p]|p[^r])[^"]*"`).FindString(list.Text); left != "" {
			t.Errorf("%s/-/secrets has an address without the prefix: %s", prefix, left)
		}
		wantStatus(t, host.Get(t, prefix+"/", nil), http.StatusOK)
		wantText(t, host.Get(t, prefix+"/-/secrets/EXAMPLE_SECRET", root()), `action="/pre/-/secrets/EXAMPLE_SECRET"`)
		wantRedirect(t, host.Get(t, prefix+"/-/secrets/", root()), "/pre/-/secrets")
		wantRedirect(t, host.SetSecret(t, "EXAMPLE_SECRET", "x", "", root()), "/pre/-/secrets")
		wantRedirect(t, host.Do(t, harness.Request{Method: http.MethodPost, Path: prefix + "/-/logout"}), "/pre/")
		posted := host.Do(t, harness.Request{Path: prefix + "/-/secrets/EXAMPLE_SECRET", Actor: root(), Body: "secret=x"})
		wantRedirect(t, posted, "/pre/-/secrets")
		wantMessages(t, posted, signing.Message{Text: "Secret EXAMPLE_SECRET updated", Type: signing.Info})
		wantCookie(t, posted, "ds_messages="+updatedCookie+"; Path=/; (HttpOnly; )?SameSite=lax")
	}
	wantRedirect(t, host.Get(t, "/pre/-/auth-token", root()), "/pre/")
	wantStatus(t, host.Get(t, "/pre", nil), http.StatusNotFound)
	asset := between(host.Get(t, "/", nil).Text, `rel="stylesheet" href="`, `"`)
	wantStatus(t, host.Get(t, asset, nil), http.StatusOK)
}

func Test39JSONPages(t *testing.T) {
	t.Parallel()
	probe := harness.NewProbe(t, "KEY")
	host := start(t, append(probe.Args, "--version-note", "a note")...)
	var plugins []map[string]any
	if err := json.Unmarshal([]byte(host.Get(t, "/-/plugins.json", nil).Text), &plugins); err != nil {
		t.Fatal(err)
	}
	if len(plugins) != 1 {
		t.Fatalf("plugins %v", plugins)
	}
	delete(plugins[0], "version") // of the build
	if got, want := toJSON(t, plugins[0]), `{"hooks":["register_secrets","start"],"name":"probe","static":false,"templates":false}`; got != want {
		t.Errorf("plugin %s, want %s", got, want)
	}
	for path, want := range map[string]string{
		"/-/actor.json":     nobody,
		"/-/databases.json": `{"ok": true, "databases": []}`,
	} {
		r := host.Get(t, path, nil)
		if r.Text != want || r.Header.Get("Content-Type") != "application/json; charset=utf-8" {
			t.Errorf("%s: %s %s", path, r.Header.Get("Content-Type"), r.Text)
		}
	}
	if got := actorOf(t, host, harness.Request{Actor: secrets.Actor{"id": "zoë ☃"}}); got != `{"ok": true, "actor": {"id": "zo\u00eb \u2603"}}` {
		t.Errorf("actor %s", got)
	}
	wantText(t, host.Get(t, "/-/versions.json", nil), `{"ok": true, `, `"datasette": {"version": "`, `"note": "a note"`, `"sqlite": {"version": "`)
	for _, path := range []string{"/-/settings.json", "/-/config.json"} {
		wantText(t, host.Get(t, path, nil), `{"ok": true, `)
	}
	config := host.Get(t, "/-/config.json", nil)
	wantText(t, config, `"datasette-secrets": "***"`)
	wantNoText(t, config, harness.Key)
	page := host.Get(t, "/-/actor", nil)
	if got, want := page.Header.Get("Link"), `<`+host.URL+`/-/actor.json>; rel="alternate"; type="application/json+datasette"`; got != want {
		t.Errorf("Link %q, want %q", got, want)
	}
}

// A folder has its own configuration.
func Test39Folder(t *testing.T) {
	t.Parallel()
	config := writeFile(t, "datasette.yml", "permissions:\n  manage-secrets:\n    id: bob\nsettings:\n  base_url: /folder/\n")
	folder := strings.TrimSuffix(config, "/datasette.yml")
	if err := os.WriteFile(folder+"/data.db", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	got := get(t, "/-/secrets", folder, "--actor", `{"id": "bob"}`)
	if got.Code != 0 || !strings.Contains(got.Stdout, `href="/folder/`) {
		t.Errorf("exit code %d\n%s%s", got.Code, got.Stdout, got.Stderr)
	}
}
