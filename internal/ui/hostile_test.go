package ui_test

import (
	"net/url"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/html"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/internal/db"
	"github.com/datasette-secrets/datasette-secrets/internal/ui"
)

func TestDescriptions(t *testing.T) {
	t.Parallel()
	const a = `<a href="https://example.com/?a=1&amp;b=2" rel="noopener noreferrer">`
	for in, want := range map[string]string{
		"":                   "",
		"Plain & <simple>":   "Plain &amp; &lt;simple&gt;",
		"a &amp; b":          "a &amp;amp; b",
		"<em>x</em>":         "<em>x</em>",
		"<STRONG>x</strong>": "<strong>x</strong>",
		"x<br>y<br/>z<BR />": "x<br>y<br>z<br>",
		"<code>a < b</code>": "<code>a &lt; b</code>",
		`<a href="https://example.com/?a=1&b=2">x</a>`:     a + "x</a>",
		`<a href='https://example.com/?a=1&amp;b=2'>x</a>`: a + "x</a>",
		"<em>not closed":                           "<em>not closed</em>",
		"not opened</em>":                          "not opened&lt;/em&gt;",
		"<em><code>x</em></code>":                  "<em><code>x&lt;/em&gt;</code></em>",
		"<script>alert(1)</script>":                "&lt;script&gt;alert(1)&lt;/script&gt;",
		`<img src=x onerror=alert(1)>`:             "&lt;img src=x onerror=alert(1)&gt;",
		`<em onclick="alert(1)">x</em>`:            `&lt;em onclick=&#34;alert(1)&#34;&gt;x&lt;/em&gt;`,
		`<a href="javascript:alert(1)">x</a>`:      `&lt;a href=&#34;javascript:alert(1)&#34;&gt;x&lt;/a&gt;`,
		`<a href="&#106;avascript:alert(1)">x</a>`: `&lt;a href=&#34;&amp;#106;avascript:alert(1)&#34;&gt;x&lt;/a&gt;`,
		`<a href="//example.com/">x</a>`:           `&lt;a href=&#34;//example.com/&#34;&gt;x&lt;/a&gt;`,
		`<a href="https://x/" onclick="y">x</a>`:   `&lt;a href=&#34;https://x/&#34; onclick=&#34;y&#34;&gt;x&lt;/a&gt;`,
		`<a>x</a>`:                                 `&lt;a&gt;x&lt;/a&gt;`,
		`<!-- x --><style>y</style>`:               `&lt;!-- x --&gt;&lt;style&gt;y&lt;/style&gt;`,
	} {
		got := ui.Markup(in)
		// bluemonday writes entities in its own way; a browser reads both alike.
		if text(t, got) != text(t, want) || tags(t, got) != tags(t, want) {
			t.Errorf("%q:\n got %s\nwant %s", in, got, want)
		}
	}
}

// text is what a reader of the HTML sees.
func text(t *testing.T, source string) string {
	var b strings.Builder
	walk(t, source, func(n *html.Node) {
		if n.Type == html.TextNode {
			b.WriteString(n.Data)
		}
	})
	return strings.ReplaceAll(b.String(), "\x00", "\ufffd")
}

func tags(t *testing.T, source string) string {
	var b strings.Builder
	walk(t, source, func(n *html.Node) {
		if n.Type == html.ElementNode {
			b.WriteString("<" + n.Data)
			for _, a := range n.Attr {
				b.WriteString(" " + a.Key + "=" + a.Val)
			}
			b.WriteString(">")
		}
	})
	return b.String()
}

func walk(t testing.TB, source string, visit func(*html.Node)) {
	t.Helper()
	root, err := html.Parse(strings.NewReader(source))
	ok(t, err)
	for n := range root.Descendants() {
		visit(n)
	}
}

func FuzzMarkup(f *testing.F) {
	f.Add(`<a href="https://example.com/">x</a><script>`)
	f.Add(`<em><code>x</em></code><br>`)
	f.Add(`<a href='javascript:x'>&lt;`)
	f.Fuzz(func(t *testing.T, description string) { noDanger(t, ui.Markup(description), 0) })
}

// noDanger fails if HTML has anything that could run or load something.
func noDanger(t testing.TB, source string, scripts int) {
	t.Helper()
	allowed := strings.Fields("html head body meta title link script a div p ul li ol h1 h2 h3 table caption thead tbody tr th td form input textarea button select option label span strong em code br pre header nav main section article footer details summary svg path time dl dt dd fieldset legend figure figcaption rect")
	found := 0
	walk(t, source, func(n *html.Node) {
		if n.Type != html.ElementNode {
			return
		}
		if !slices.Contains(allowed, n.Data) {
			t.Errorf("there is a <%s> in:\n%s", n.Data, source)
		}
		if n.Data == "script" {
			found++
			if n.FirstChild != nil {
				t.Errorf("there is an inline script in:\n%s", source)
			}
		}
		for _, a := range n.Attr {
			checkAttribute(t, n.Data, a, source)
		}
	})
	if found != scripts {
		t.Errorf("there are %d scripts, want %d, in:\n%s", found, scripts, source)
	}
}

func checkAttribute(t testing.TB, element string, a html.Attribute, source string) {
	t.Helper()
	if strings.HasPrefix(a.Key, "on") || a.Key == "style" {
		t.Errorf("<%s> has %s=%q in:\n%s", element, a.Key, a.Val, source)
	}
	if a.Key != "href" && a.Key != "src" && a.Key != "action" && a.Key != "formaction" {
		return
	}
	u, err := url.Parse(a.Val)
	if err == nil && !strings.HasPrefix(a.Val, "//") && (u.Scheme == "" || u.Scheme == "http" || u.Scheme == "https") {
		return
	}
	t.Errorf("<%s> has %s=%q in:\n%s", element, a.Key, a.Val, source)
}

// hostile are texts that would run if one of them were not escaped.
func hostile() []string {
	return []string{
		`"><script>alert(1)</script>`, `' onmouseover='alert(1)`, `" autofocus onfocus="alert(1)`,
		`</textarea><script>alert(1)</script>`, `</title><img src=x onerror=alert(1)>`, `javascript:alert(1)`,
		`<svg/onload=alert(1)>`, "`${alert(1)}`", "{{.Secret}}", "\x00<b>\xff\u202e", `&lt;script&gt;`,
	}
}

func TestHostileTextsInEveryPlace(t *testing.T) {
	t.Parallel()
	for _, evil := range hostile() {
		w := newWorld(t, func(o *options) {
			o.permissions = map[string]any{"manage-secrets": true}
			o.declare = []secrets.Declaration{
				{Name: "ONE", Description: strings.ToValidUTF8(evil, "?"), ObtainURL: "https://example.com/", ObtainLabel: strings.ToValidUTF8(evil, "?")},
				{Name: "TWO", Description: strings.ToValidUTF8(evil, "?"), ObtainURL: "https://example.com/" + strings.ToValidUTF8(evil, "?"), ObtainLabel: "x"},
				{Name: "ENV", Description: strings.ToValidUTF8(evil, "?")},
			}
			o.env = map[string]string{"DATASETTE_SECRETS_ENV": evil}
			o.ui.StartWarnings = []string{evil}
			o.ui.Ephemeral = true
			o.ui.Versions.Host, o.ui.Versions.Note = evil, evil
			o.ui.Databases = databases(evil)
			o.ui.Plugins = func() []secrets.PluginStatus {
				return []secrets.PluginStatus{{Name: evil, Version: evil, State: secrets.PluginState(evil), LastError: evil, Hooks: []string{evil}, Secrets: []string{evil}}}
			}
			o.ui.ConfigTree = func() map[string]any { return map[string]any{evil: evil} }
		})
		for range 2 {
			w.insert(db.Row{Name: evil, Note: evil, CreatedBy: evil})
			w.insert(db.Row{Name: "ONE", Note: evil, CreatedBy: evil})
		}
		who := w.actor(map[string]any{"id": evil, "name": evil})
		flash := header("Cookie", "ds_messages="+mustSign(t, w, evil, 1))
		for _, path := range []string{
			"/", "/-/secrets", "/-/secrets?q=%22%3E%3Cscript%3E", "/-/secrets/ONE", "/-/secrets/TWO", "/-/secrets/ENV", "/-/secrets/ONE/-/delete", "/-/secrets/ONE/-/restore?version=1",
			"/-/plugins", "/-/versions", "/-/config", "/-/databases", "/-/settings", "/-/actor", "/-/logout", "/-/sign-in", "/-/create-token",
			"/-/secrets/%22%3E%3Cscript%3Ealert(1)%3C%2Fscript%3E", "/-/secrets/ONE/-/restore?version=%3Cscript%3E", "/%3Cscript%3E",
		} {
			a := w.get(path, who, flash)
			noDanger(t, a.body, 1)
			if t.Failed() {
				t.Fatalf("%s with %q", path, evil)
			}
		}
	}
}
