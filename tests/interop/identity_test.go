package interop_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/internal/signing"
	"github.com/datasette-secrets/datasette-secrets/tests/harness"
)

// pair is both programs, each with a file of its own and the same secret.
type pair struct{ host, python *harness.Process }

// Cookies, tokens and messages are good for both programs, whoever made them.
func TestIdentity(t *testing.T) {
	t.Parallel()
	p := pair{startHost(t, newFile(t), undeclared()...), startPython(t, newFile(t))}
	for name, test := range map[string]func(*testing.T, pair){
		"sign in":            testSignIn,
		"cookies":            testCookies,
		"messages":           testMessages,
		"logout":             testLogout,
		"tokens":             testTokens,
		"tokens refused":     testRefusedTokens,
		"tokens expire":      testTokensExpire,
		"tokens of the page": testTokensOfThePage,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, p)
		})
	}
}

// bothWays runs a test with each program as the first.

func (p pair) bothWays(t *testing.T, test func(t *testing.T, from, to *harness.Process)) {
	t.Helper()
	t.Run("host to Python", func(t *testing.T) { test(t, p.host, p.python) })
	t.Run("Python to host", func(t *testing.T) { test(t, p.python, p.host) })
}

// Who signs in to one program with the URL that it printed is signed in to the
// other, and may do there what it may do here.
func testSignIn(t *testing.T, p pair) {
	p.bothWays(t, func(t *testing.T, from, to *harness.Process) {
		cookie := "ds_actor=" + signIn(t, from)
		if got, want := actorOf(t, to, cookie), map[string]any{"id": "root"}; !reflect.DeepEqual(got, want) {
			t.Errorf("the other program sees the actor %v, want %v", got, want)
		}
		if page := to.Do(t, harness.Request{Path: "/-/secrets", Cookie: cookie}); page.StatusCode != http.StatusOK {
			t.Errorf("the other program's list of secrets: %s", page.Status)
		}
		again := to.Do(t, harness.Request{Path: "/-/auth-token", Cookie: cookie})
		if again.StatusCode != http.StatusFound {
			t.Errorf("the other program asks somebody who is root for a token: %s", again.Status)
		}
	})
}

// signIn follows the URL that a program printed, once, and returns the cookie.
func signIn(t *testing.T, p *harness.Process) string {
	t.Helper()
	_, token, _ := strings.Cut(p.SignIn, "/-/auth-token")
	answer := p.Do(t, harness.Request{Path: "/-/auth-token" + token})
	cookie, ok := answer.Cookie("ds_actor")
	if answer.StatusCode != http.StatusFound || !ok {
		t.Fatalf("signing in: %s, cookie %v\n%s", answer.Status, ok, answer.Text)
	}
	return cookie
}

// actorOf is who a program thinks sends a Cookie header.
func actorOf(t *testing.T, p *harness.Process, cookie string) any {
	t.Helper()
	var answer struct{ Actor any }
	decode(t, p.Do(t, harness.Request{Path: "/-/actor.json", Cookie: cookie}).Text, &answer)
	return answer.Actor
}

// Actors of every kind, and cookies that expire, mean the same to both,
// whoever signed them.
func testCookies(t *testing.T, p pair) {
	later := signing.EncodeBase62(time.Now().Add(time.Hour).Unix())
	payloads := []any{
		map[string]any{"a": secrets.NewActor("root")},
		map[string]any{"a": map[string]any{"id": "zoë", "name": "Zoë ☃ <b>&\u2028", "n": 1.5}},
		map[string]any{"a": map[string]any{"id": 7.0, "groups": []any{"a", nil, true}}},
		map[string]any{"a": map[string]any{"id": strings.Repeat("long", 500)}}, // Datasette compresses it
		map[string]any{"a": secrets.NewActor("root"), "e": later},
		map[string]any{"a": secrets.NewActor("root"), "e": "BFftgQ"}, // in the past
		map[string]any{"a": map[string]any{}},
		map[string]any{"b": secrets.NewActor("root")},
	}
	text, err := json.Marshal(payloads)
	if err != nil {
		t.Fatal(err)
	}
	var ofPython []string
	script(t, "cookies.py", &ofPython, harness.Secret, string(text))
	for i, payload := range payloads {
		ofHost, err := signing.New(harness.Secret).Sign("actor", payload)
		if err != nil {
			t.Fatal(err)
		}
		want := actorOf(t, p.python, "ds_actor="+ofPython[i])
		for signer, cookie := range map[string]string{"host": ofHost, "Python": ofPython[i]} {
			if got := actorOf(t, p.python, "ds_actor="+cookie); !reflect.DeepEqual(got, want) {
				t.Errorf("payload %d, signed by %s: Python sees %v, want %v", i, signer, got, want)
			}
			if got := actorOf(t, p.host, "ds_actor="+cookie); !reflect.DeepEqual(got, want) {
				t.Errorf("payload %d, signed by %s: the host sees %v, want %v", i, signer, got, want)
			}
		}
	}
}

// A message that one program sets is shown, and then cleared, by the other; a
// response that shows none passes it on.
func testMessages(t *testing.T, p pair) {
	p.bothWays(t, func(t *testing.T, from, to *harness.Process) {
		signedIn := "ds_actor=" + harness.ActorCookie(t, root())
		cases := []struct{ name, value, note, want string }{
			{"EXAMPLE_SECRET", "x", "", `class="message-info"[^>]*>Secret EXAMPLE_SECRET updated<`},
			{"EXAMPLE_SECRET", "", "élan", `class="message-info"[^>]*>Note updated: EXAMPLE_SECRET<`},
			{"EXAMPLE_SECRET", "x", strings.Repeat("n", 101), `class="message-error"[^>]*>Note is too long<`},
			{"BETA", " ", "", `class="message-error"[^>]*>Secret is required<`},
		}
		for _, c := range cases {
			message, ok := from.SetSecret(t, c.name, c.value, c.note, root()).Cookie("ds_messages")
			if !ok {
				t.Fatalf("no message after %+v", c)
			}
			passed, ok := to.Do(t, harness.Request{Path: "/-/actor.json", Cookie: "ds_messages=" + message}).Cookie("ds_messages")
			if !ok {
				t.Fatalf("the other program drops the message of %+v", c)
			}
			page := to.Do(t, harness.Request{Path: "/-/secrets", Cookie: signedIn + "; ds_messages=" + passed})
			if !regexp.MustCompile(c.want).MatchString(page.Text) {
				t.Errorf("the other program (%s) does not show %s", page.Status, c.want)
			}
			expectDeleted(t, page, "ds_messages")
		}
	})
}

func expectDeleted(t *testing.T, answer harness.Response, name string) {
	t.Helper()
	for _, cookie := range answer.Cookies() {
		if cookie.Name == name && cookie.Value == "" && cookie.MaxAge < 0 && cookie.Path == "/" {
			return
		}
	}
	t.Errorf("the cookie %s is not deleted: %q", name, answer.Header.Values("Set-Cookie"))
}

// Logging out of one is logging out of both, and either tells about it.
func testLogout(t *testing.T, p pair) {
	p.bothWays(t, func(t *testing.T, from, to *harness.Process) {
		answer := from.Do(t, harness.Request{Path: "/-/logout", Actor: root(), Form: url.Values{}, Method: http.MethodPost})
		if answer.StatusCode != http.StatusFound {
			t.Errorf("logging out: %s", answer.Status)
		}
		expectDeleted(t, answer, "ds_actor")
		message, _ := answer.Cookie("ds_messages")
		page := to.Do(t, harness.Request{Path: "/", Cookie: "ds_messages=" + message})
		if !regexp.MustCompile(`class="message-warning"[^>]*>You are now logged out<`).MatchString(page.Text) {
			t.Errorf("the other program (%s) does not show that one is logged out", page.Status)
		}
	})
}

// createTokens runs create-token of the host and of Python, once for each list
// of arguments, and returns what they print.
func createTokens(t *testing.T, calls [][]string) (ofHost, ofPython []string) {
	t.Helper()
	for _, args := range calls {
		r := harness.Run(t, "", append([]string{"create-token"}, args...)...)
		if r.Code != 0 {
			t.Fatalf("create-token %q: exit code %d: %s", args, r.Code, r.Stderr)
		}
		ofHost = append(ofHost, r.Stdout)
	}
	text, err := json.Marshal(calls)
	if err != nil {
		t.Fatal(err)
	}
	script(t, "tokens.py", &ofPython, string(text))
	return ofHost, ofPython
}

// The same words make the same token in both programs, and both let its bearer
// do the same.
func testTokens(t *testing.T, p pair) {
	cases := []struct {
		id, args string
		status   int // of the list of secrets
	}{
		{"root", "", 200},
		{"root", "-e 3600", 200},
		{"root", "-a manage-secrets", 200},
		{"root", "-a view-instance -a manage-secrets -e 60", 200},
		{"root", "-a view-instance", 403},
		{"root", "-d data manage-secrets", 403},
		{"root", "-d data view-database -r data notes insert-row -r data tasks view-table -r other x drop-table", 403},
		{"root", "-a manage-secrets -d data execute-sql -d data view-query -d other create-table", 200},
		{"root", "-a no-such-action", 403},
		{"zoë", "-a manage-secrets", 403},
		{"", "", 403},
	}
	var calls [][]string
	for _, c := range cases {
		calls = append(calls, append([]string{c.id, "--secret", harness.Secret, "--debug"}, strings.Fields(c.args)...))
	}
	ofHost, ofPython := createTokens(t, calls)
	for i, c := range cases {
		if got, want := payload(t, ofHost[i]), payload(t, ofPython[i]); !reflect.DeepEqual(got, want) {
			t.Errorf("create-token %q %s: the host signs %v, Python %v", c.id, c.args, got, want)
		}
		for _, output := range []string{ofHost[i], ofPython[i]} {
			token, _, _ := strings.Cut(output, "\n")
			for name, program := range map[string]*harness.Process{"host": p.host, "Python": p.python} {
				if got := bearer(t, program, "/-/secrets", token).StatusCode; got != c.status {
					t.Errorf("create-token %q %s: %s answers %d, want %d", c.id, c.args, name, got, c.status)
				}
			}
			hostActor, pythonActor := bearer(t, p.host, "/-/actor.json", token).Text, bearer(t, p.python, "/-/actor.json", token).Text
			if !sameJSON(t, hostActor, pythonActor) {
				t.Errorf("create-token %q %s: the host sees %s, Python %s", c.id, c.args, hostActor, pythonActor)
			}
		}
	}
}

// payload is what create-token --debug says that a token holds, but for the
// time.
func payload(t *testing.T, output string) map[string]any {
	t.Helper()
	_, text, found := strings.Cut(output, "\n\nDecoded:\n\n")
	if !found {
		t.Fatalf("no decoded token in %q", output)
	}
	var decoded map[string]any
	decode(t, text, &decoded)
	if created, _ := decoded["t"].(float64); time.Since(time.Unix(int64(created), 0)).Abs() > time.Minute {
		t.Errorf("the token was created at %v", decoded["t"])
	}
	delete(decoded, "t")
	return decoded
}

func bearer(t *testing.T, p *harness.Process, path, token string) harness.Response {
	t.Helper()
	return p.Do(t, harness.Request{Path: path, Header: map[string]string{"Authorization": "Bearer " + token}})
}

func sameJSON(t *testing.T, a, b string) bool {
	t.Helper()
	var x, y any
	decode(t, a, &x)
	decode(t, b, &y)
	return reflect.DeepEqual(x, y)
}

// A token that has expired, was signed otherwise or makes no sense is refused
// by both in the same words.
func testRefusedTokens(t *testing.T, p pair) {
	now := time.Now().Unix()
	payloads := []map[string]any{
		{"a": "root", "t": now - 100, "d": 50},
		{"a": "root"},
		{"a": "root", "t": "now"},
		{"a": "root", "t": now, "d": "long"},
	}
	tokens := []string{"dstok_", "dstok_x.y", "dstok_" + strings.Repeat("A", 100)}
	for _, payload := range payloads {
		signed, err := signing.New(harness.Secret).Sign("token", payload)
		if err != nil {
			t.Fatal(err)
		}
		tokens = append(tokens, "dstok_"+signed, "dstok_"+signed+"x")
	}
	ofHost, ofPython := createTokens(t, [][]string{{"root", "--secret", "another"}})
	tokens = append(tokens, strings.TrimSpace(ofHost[0]), strings.TrimSpace(ofPython[0]))
	for _, token := range tokens {
		host, python := bearer(t, p.host, "/-/actor.json", token), bearer(t, p.python, "/-/actor.json", token)
		if host.StatusCode != http.StatusUnauthorized || python.StatusCode != http.StatusUnauthorized || !sameJSON(t, host.Text, python.Text) {
			t.Errorf("%s: the host answers %s %s, Python %s %s", token, host.Status, host.Text, python.Status, python.Text)
		}
	}
}

// A token with a short life made by either ends at the same second for both.
func testTokensExpire(t *testing.T, p pair) {
	ofHost, ofPython := createTokens(t, [][]string{{"root", "--secret", harness.Secret, "-e", "1"}})
	for _, token := range []string{ofHost[0], ofPython[0]} {
		for _, program := range []*harness.Process{p.host, p.python} {
			eventually(t, "the end of a token", func() bool {
				answer := bearer(t, program, "/-/actor.json", strings.TrimSpace(token))
				return answer.StatusCode == http.StatusUnauthorized && strings.Contains(answer.Text, "Token has expired")
			})
		}
	}
}

// A token of the page /-/create-token of one program works on the other.
func testTokensOfThePage(t *testing.T, p pair) {
	field := regexp.MustCompile(`value="(dstok_[^"]+)"`)
	p.bothWays(t, func(t *testing.T, from, to *harness.Process) {
		form := url.Values{"expire_type": {"minutes"}, "expire_duration": {"5"}, "all:manage-secrets": {"1"}}
		page := from.Do(t, harness.Request{Path: "/-/create-token", Actor: root(), Form: form})
		found := field.FindStringSubmatch(page.Text)
		if found == nil {
			t.Fatalf("no token on the page: %s", page.Status)
		}
		answer := to.Do(t, harness.Request{
			Path: "/-/secrets/EXAMPLE_SECRET", Form: url.Values{"secret": {"by token"}},
			Header: map[string]string{"Authorization": "Bearer " + found[1]},
		})
		if answer.StatusCode != http.StatusFound {
			t.Errorf("setting a secret with the token: %s\n%s", answer.Status, answer.Text)
		}
	})
}
