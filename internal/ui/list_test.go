package ui_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	secrets "github.com/datasette-secrets/datasette-secrets"
)

func TestFreshListShowsTheExampleSecretOnly(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.get("/-/secrets", w.as("root"))
	a.want(t, 200, "<title>Manage secrets</title>", "<h1>Manage secrets</h1>", `<a href="/-/secrets">Manage secrets</a>`)
	if !strings.Contains(squash(a.body), `<p>The following secret has not been set:</p> <ul class="secrets"> <li><strong><a href="/-/secrets/EXAMPLE_SECRET">EXAMPLE_SECRET</a></strong> - An example secret </li> </ul>`) {
		t.Errorf("the block of the example secret is missing in:\n%s", a.body)
	}
	a.lacks(t, "<table", "environment variables", "will be lost")
}

func TestListOfSetUnsetAndEnvironmentSecrets(t *testing.T) {
	t.Parallel()
	w := newWorld(t, demo, func(o *options) {
		o.declare = append(o.declare, secrets.Declaration{Name: "THREE", Description: "The third"}, secrets.Declaration{Name: "FOUR"})
		o.env = map[string]string{"DATASETTE_SECRETS_THREE": "from outside"}
	})
	w.set("ONE", "hunter2", "a note & more")
	w.set("THREE", "hunter2", "")
	if got := w.value("ONE"); got != "hunter2" {
		t.Fatal(got)
	}
	a := w.get("/-/secrets", w.as("root"))
	a.want(t, 200,
		`<strong><a href="/-/secrets/ONE">ONE</a></strong>`,
		`a note &amp; more`,
		`<time datetime="2026-07-14T10:11:12Z">2026-07-14 10:11:12</time>`,
		"The following secrets have not been set:",
		`<li><strong><a href="/-/secrets/TWO">TWO</a></strong> - The second, <a href="https://example.com/get" rel="noopener noreferrer">Get it</a> </li>`,
		`<li><strong><a href="/-/secrets/FOUR">FOUR</a></strong> </li>`,
		"The following secret is set using environment variables:",
		`THREE</a></strong> - The third<br>`,
		`Set by <code>DATASETTE_SECRETS_THREE</code>`,
	)
	var headings []string
	for _, heading := range []string{"Secret", "Note", "Version", "Last updated", "Updated by", "Last used"} {
		headings = append(headings, `<th scope="col">`+heading+`</th>`)
	}
	a.want(t, 200, strings.Join(headings, ""))
	a.lacks(t, "hunter2", "from outside")
	if n := strings.Count(a.body, "/-/secrets/THREE\""); n != 1 {
		t.Errorf("a secret of the environment is listed %d times", n)
	}
}

func TestDeletedSecretIsListedAsNotSetWithWhoDeletedIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t, demo)
	w.set("ONE", "hunter2", "")
	w.post("/-/secrets/ONE/-/delete", w.as("admin")).wantRedirect(t, "/-/secrets")
	a := w.get("/-/secrets", w.as("root"))
	a.want(t, 200, "The following secrets have not been set:", `Deleted</span> by admin at <time datetime="2026-07-14T10:11:12Z">`)
	a.lacks(t, "<table")
	if got := w.value("ONE"); !strings.HasPrefix(got, "error: ") {
		t.Errorf("a deleted secret has the value %q", got)
	}
}

func TestFilterBoxAppearsAboveTenSecretsAndWorksWithoutScript(t *testing.T) {
	t.Parallel()
	for _, n := range []int{10, 11} {
		w := newWorld(t, func(o *options) {
			for i := range n {
				o.declare = append(o.declare, secrets.Declaration{Name: fmt.Sprintf("KEY_%02d", i), Description: "Described"})
			}
		})
		a := w.get("/-/secrets", w.as("root"))
		if got, want := strings.Contains(a.body, `type="search"`), n > 10; got != want {
			t.Errorf("with %d secrets the filter box is there: %v", n, got)
		}
		found := w.get("/-/secrets?q=key_03", w.as("root"))
		found.want(t, 200, "KEY_03", `value="key_03"`, "The following secret has not been set:")
		found.lacks(t, "KEY_04")
		w.get("/-/secrets?q=%3Cb%3E", w.as("root")).want(t, 200, "No secret matches “&lt;b&gt;”")
		w.get("/-/secrets?q=described", w.as("root")).want(t, 200, "KEY_00", "KEY_09")
	}
}

func TestUnconfiguredListSaysHowToMakeAKey(t *testing.T) {
	t.Parallel()
	w := newWorld(t, demo, func(o *options) { o.unconfigured = true })
	a := w.get("/-/secrets", w.as("root"))
	a.want(t, 200, "datasette-secrets has not been configured", "datasette-secrets generate-encryption-key", "have not been set:")
	a.lacks(t, ">Manage secrets</a>")
	for _, method := range []string{"GET", "POST"} {
		b := w.do(method, "/-/secrets/ONE", "secret=hunter2", w.as("root"))
		b.want(t, 400)
		if b.body != "datasette-secrets has not been configured" || !strings.HasPrefix(b.Header.Get("Content-Type"), "text/html") {
			t.Errorf("%s: %q of type %s", method, b.body, b.Header.Get("Content-Type"))
		}
	}
	w.get("/-/secrets/ONE").want(t, 403)
}

func TestEphemeralBannerIsOnEverySecretsPageForManagersOnly(t *testing.T) {
	t.Parallel()
	w := newWorld(t, demo, func(o *options) {
		o.ui.Ephemeral = true
		o.ui.StartWarnings = []string{"something <b>old</b>"}
	})
	w.set("ONE", "1", "")
	w.set("ONE", "2", "")
	for _, path := range []string{"/", "/-/secrets", "/-/secrets/ONE", "/-/secrets/TWO", "/-/secrets/ONE/-/delete", "/-/secrets/ONE/-/restore?version=1"} {
		w.get(path, w.as("root")).want(t, 200, "Secrets will be lost when this host stops", "something &lt;b&gt;old&lt;/b&gt;")
	}
	w.get("/").lacks(t, "will be lost", "something")
}

func TestListIsForManagersOnly(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.get("/-/secrets")
	a.want(t, 403, "<h1>Forbidden</h1>", "Permission denied", `href="/-/sign-in"`)
	if !strings.HasPrefix(a.Header.Get("Content-Type"), "text/html") {
		t.Error(a.Header.Get("Content-Type"))
	}
	b := w.get("/-/secrets", w.as("bob"))
	b.want(t, 403, "Permission denied", "<strong>bob</strong>")
	b.lacks(t, "How to sign in", ">Manage secrets</a>")
	j := w.get("/-/secrets", header("Accept", "text/html, application/json"))
	j.want(t, 403)
	if want := `{"ok": false, "error": "Permission denied", "errors": ["Permission denied"], "status": 403}`; j.body != want {
		t.Errorf("got %s", j.body)
	}
	if got := j.Header.Get("Content-Type"); got != "application/json; charset=utf-8" {
		t.Error(got)
	}
	w.do("POST", "/-/secrets", "{}", header("Content-Type", "application/json")).want(t, 403, `"ok": false`)
}

func TestOtherMethodsShowThePages(t *testing.T) {
	t.Parallel()
	w := newWorld(t, demo)
	for _, method := range []string{"HEAD", "PUT", "DELETE", "PATCH", "OPTIONS"} {
		w.do(method, "/-/secrets", "", w.as("root")).want(t, 200)
		w.do(method, "/-/secrets/ONE", "secret=x", w.as("root")).want(t, 200)
	}
	w.do("POST", "/-/secrets", "secret=x", w.as("root")).want(t, 200, "<h1>Manage secrets</h1>")
	a := w.do("DELETE", "/-/secrets/ONE/-/delete", "", w.as("root"))
	a.want(t, 405, "Method not allowed")
	if got := a.Header.Get("Allow"); got != "GET, HEAD, POST" {
		t.Error(got)
	}
	if got := w.value("ONE"); !strings.HasPrefix(got, "error: ") {
		t.Errorf("ONE is %q", got)
	}
	if head := w.do("HEAD", "/-/secrets", "", w.as("root")); head.body != "" || head.Header.Get("Content-Length") == "0" {
		t.Errorf("HEAD answers %q with length %s", head.body, head.Header.Get("Content-Length"))
	}
}

func BenchmarkSecretsPage(b *testing.B) {
	w := newWorld(b, func(o *options) {
		for i := range 1000 {
			o.declare = append(o.declare, secrets.Declaration{Name: fmt.Sprintf("SECRET_%04d", i), Description: "One of many"})
		}
	})
	for i := range 1000 {
		w.set(fmt.Sprintf("SECRET_%04d", i), "hunter2", "a note of ordinary length")
	}
	root := secrets.Caller{Actor: secrets.NewActor("root")}
	b.Run("Page", func(b *testing.B) {
		r := httptest.NewRequest("GET", "/-/secrets", nil)
		w.as("root")(r)
		for b.Loop() {
			w.handler.ServeHTTP(discard{http.Header{}}, r)
		}
	})
	b.Run("ListOnly", func(b *testing.B) {
		for b.Loop() {
			if _, err := w.vault.List(context.Background(), root); err != nil {
				b.Fatal(err)
			}
		}
	})
}

type discard struct{ header http.Header }

func (d discard) Header() http.Header         { return d.header }
func (d discard) Write(p []byte) (int, error) { return io.Discard.Write(p) }
func (d discard) WriteHeader(int)             {}

// A secret that nobody uses is marked once it has been there for 90 days, and
// no longer when it is used or changed.
func TestUnusedSecretsAreMarked(t *testing.T) {
	t.Parallel()
	const mark = "Unused for 90 days"
	w := newWorld(t, demo)
	w.set("ONE", "1", "")
	root := w.as("root")
	begin := w.now
	w.now = begin.AddDate(0, 0, 90)
	w.get("/-/secrets", root).lacks(t, mark)
	w.now = begin.AddDate(0, 0, 90).Add(time.Second)
	w.get("/-/secrets", root).want(t, 200, `<span class="never">never</span> <span class="badge badge-unset">`+mark)
	if got := w.value("ONE"); got != "1" {
		t.Fatal(got)
	}
	w.get("/-/secrets", root).lacks(t, mark)
	w.now = w.now.AddDate(0, 0, 91)
	w.get("/-/secrets", root).want(t, 200, mark)
	w.set("ONE", "2", "")
	w.get("/-/secrets", root).lacks(t, mark)
	w.now = w.now.AddDate(1, 0, 0)
	w.run("update datasette_secrets set updated_at = 'long ago'")
	w.get("/-/secrets", root).lacks(t, mark)
}
