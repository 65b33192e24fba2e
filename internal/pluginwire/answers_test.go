package pluginwire_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/datasette-secrets/datasette-secrets/internal/pluginwire"
)

func TestLinks(t *testing.T) {
	t.Parallel()
	for _, href := range []string{"/", "/-/plugins/weather/", "/a?b=c#d", "/a%20b/é", "http://example.com", "https://example.com:8443/a?b#c", "HTTPS://EXAMPLE.COM/"} {
		if err := pluginwire.CheckLink(href, "Weather – Wetter"); err != nil {
			t.Errorf("%q: %v", href, err)
		}
	}
	for _, href := range []string{
		"", "x", "./x", "../x", "?x", "#x", "//evil.example/", "/\\evil.example", "\\\\evil.example", " /x", "/x y", "/x\n", "/\t/evil.example", "/\u200b/x",
		"javascript:alert(1)", "JavaScript:alert(1)", "java\nscript:alert(1)", "data:text/html,x", "vbscript:x", "file:///etc/passwd", "mailto:a@example.com",
		"http:", "http://", "https:/x", "http:example.com", "https://google.com@evil.example/", "/%zz", "/" + strings.Repeat("x", 2000), "/\xff",
	} {
		if pluginwire.CheckLink(href, "Weather") == nil {
			t.Errorf("%q is taken for an address", href)
		}
	}
	for _, label := range []string{"", " ", "a\nb", "a\x00", "a\u202eb", "\xff", strings.Repeat("x", 101)} {
		if pluginwire.CheckLink("/", label) == nil {
			t.Errorf("%q is taken for a label", label)
		}
	}
}

func TestSenders(t *testing.T) {
	t.Parallel()
	for _, text := range []string{`{"id":"ada"}`, `{"id":"7","name":"Ada","groups":["a"],"n":1}`, `{"id":"rooty","display":"root"}`, `{"id":"é"}`} {
		if actor, err := pluginwire.ReadSender([]byte(text)); err != nil || actor.ID() == "" {
			t.Errorf("%s: %v, %v", text, actor, err)
		}
	}
	if actor, err := pluginwire.ReadSender(nil); actor != nil || err != nil {
		t.Errorf("nobody is %v, %v", actor, err)
	}
	for _, text := range []string{
		`null`, `{}`, `[]`, `"root"`, `7`, `{`, `{"id":"ada"}{}`, `{"id":"ada"} x`, "{\"id\":\"\xff\"}",
		`{"name":"ada"}`, `{"id":null}`, `{"id":""}`, `{"id":7}`, `{"id":true}`, `{"id":["root"]}`, `{"id":{"a":1}}`, `{"ID":"ada"}`,
		`{"id":"root"}`, `{"id":"ROOT"}`, `{"id":"Root"}`, `{"id":" root"}`, `{"id":"root "}`, `{"id":"root\u0000"}`, `{"id":"root\u200b"}`, `{"id":"\u0072oot"}`,
		`{"id":"ada","id":"root"}`, `{"id":"a\nb"}`, `{"id":"` + strings.Repeat("x", 256) + `"}`,
		`{"id":"ada","_r":{}}`, `{"id":"ada","_r":null}`, `{"id":"ada","_anything":1}`, `{"id":"ada","token":"dstok"}`, `{"id":"ada","Token":1}`, `{"id":"ada","token_expires":1}`,
		`{"id":"ada","x":"` + strings.Repeat("x", 16<<10) + `"}`,
	} {
		if actor, err := pluginwire.ReadSender([]byte(text)); err == nil || actor != nil {
			t.Errorf("%.60s: %v, %v", text, actor, err)
		}
	}
}

func TestKnownActors(t *testing.T) {
	t.Parallel()
	for text, id := range map[string]string{`{"id":"ada","name":"Ada"}`: "ada", `{"id":7}`: "7", `{"id":"root","name":"The operator"}`: "root"} {
		if actor, err := pluginwire.ReadKnown(id, []byte(text)); err != nil || actor.ID() != id {
			t.Errorf("%s: %v, %v", text, actor, err)
		}
	}
	for _, text := range []string{``, `null`, `{}`, `{"id":"eve"}`, `{"name":"Ada"}`, `["ada"]`, `{"id":"ada","x":"` + strings.Repeat("x", 16<<10) + `"}`} {
		if actor, err := pluginwire.ReadKnown("ada", []byte(text)); err == nil {
			t.Errorf("%.60s: %v", text, actor)
		}
	}
}

func FuzzSender(f *testing.F) {
	for _, text := range []string{`{"id":"ada"}`, `{"id":"root"}`, `{"id":"ada","_r":1}`, `null`, ``} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		actor, err := pluginwire.ReadSender([]byte(text))
		if err != nil || actor == nil {
			return
		}
		id, isText := actor["id"].(string)
		if !isText || id == "" || strings.EqualFold(strings.TrimSpace(id), "root") {
			t.Errorf("%q signs in %v", text, actor)
		}
		if _, ok := actor["_r"]; ok {
			t.Errorf("%q restricts: %v", text, actor)
		}
		if _, err := json.Marshal(actor); err != nil {
			t.Errorf("%q: %v", text, err)
		}
	})
}

func FuzzLink(f *testing.F) {
	for _, href := range []string{"/", "//x", "https://example.com/", "javascript:x", "/\\x"} {
		f.Add(href)
	}
	f.Fuzz(func(t *testing.T, href string) {
		if pluginwire.CheckLink(href, "x") != nil {
			return
		}
		lower := strings.ToLower(href)
		local := strings.HasPrefix(href, "/") && !strings.HasPrefix(href, "//") && !strings.HasPrefix(href, "/\\")
		if !local && !strings.HasPrefix(lower, "http://") && !strings.HasPrefix(lower, "https://") {
			t.Errorf("%q leads elsewhere", href)
		}
	})
}
