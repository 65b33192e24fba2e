package pluginhost_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/internal/pluginhost"
	"github.com/datasette-secrets/datasette-secrets/internal/pluginwire"
	"github.com/datasette-secrets/datasette-secrets/internal/signing"
	"github.com/datasette-secrets/datasette-secrets/internal/vault"
)

func root() secrets.Caller {
	return secrets.Caller{Actor: secrets.NewActor("root"), Proof: secrets.ProofSignedIn}
}

// patient are timings of a host that waits for hooks as long as a test does.
func patient() pluginhost.Timings {
	timings := quick()
	timings.Menu, timings.Actors, timings.Authenticate = patience, patience, patience
	return timings
}

// hurried are timings of a host that waits for hooks no longer than it must.
func hurried() pluginhost.Timings {
	timings := quick()
	timings.Menu, timings.Actors, timings.Authenticate, timings.Page, timings.Call =
		20*time.Millisecond, 20*time.Millisecond, 20*time.Millisecond, 2*time.Second, time.Second
	return timings
}

// withHooks starts plugins with hooks, and approves that they sign people in.
func withHooks(t *testing.T, timings pluginhost.Timings, names ...string) *world {
	t.Helper()
	grants := map[string]pluginhost.Grant{}
	for _, name := range names {
		grants[name] = pluginhost.Grant{Headers: []string{"x-user", "x-answer", "cookie", "authorization"}}
	}
	w := startWith(t, pluginhost.Config{Dir: pluginsDir(t, names...), Timings: timings, Grants: grants, Signer: signing.New("of the tests")})
	for _, name := range names {
		w.isReady(name)
		w.approve(name, vault.HookAuthenticator)
	}
	return w
}

func (w *world) approve(plugin, hook string) {
	w.t.Helper()
	if slices.Contains(w.status(plugin).Hooks, hook) {
		if _, err := w.vault.Approve(context.Background(), root(), plugin, vault.Request{Kind: vault.RequestHook, Name: hook}); err != nil {
			w.t.Fatal(err)
		}
	}
}

func (w *world) refuse(plugin, hook string) {
	w.t.Helper()
	if _, err := w.vault.Refuse(context.Background(), root(), plugin, vault.Request{Kind: vault.RequestHook, Name: hook}); err != nil {
		w.t.Fatal(err)
	}
}

// header makes the headers of a request from names and values.
func header(pairs ...string) http.Header {
	h := http.Header{}
	for i := 0; i < len(pairs); i += 2 {
		h.Add(pairs[i], pairs[i+1])
	}
	return h
}

func TestHooksAreNamed(t *testing.T) {
	t.Parallel()
	w := withHooks(t, patient(), "hooks", "healthy")
	if hooks := w.status("hooks").Hooks; !slices.Equal(hooks, []string{"actors", "authenticator", "http", "menu", "register_secrets", "start", "validator"}) {
		t.Errorf("hooks %v", hooks)
	}
	if hooks := w.status("healthy").Hooks; !slices.Equal(hooks, []string{"register_secrets", "start"}) {
		t.Errorf("hooks %v", hooks)
	}
}

// What a plugin serves without saying so, or without approval, is not called.
func TestHooksThatAreNotCalled(t *testing.T) {
	t.Parallel()
	w := withHooks(t, patient(), "healthy", "hooks")
	for _, hook := range []string{vault.HookMenu, vault.HookActors, vault.HookAuthenticator, vault.HookHTTP, vault.HookValidator} {
		w.refuse("hooks", hook)
	}
	ctx := t.Context()
	if links := w.MenuLinks(ctx, nil); len(links) > 0 {
		t.Errorf("links %v", links)
	}
	if actors := w.ActorsFromIDs(ctx, []string{"person"}); len(actors) > 0 {
		t.Errorf("actors %v", actors)
	}
	if actor := w.ActorFromRequest(ctx, "GET", "/", header("X-User", "all")); actor != nil {
		t.Errorf("signed in %v", actor)
	}
	if able := w.Validators(ctx, "HEALTHY_KEY"); len(able) > 0 {
		t.Errorf("validators %v", able)
	}
	for _, name := range []string{"healthy", "hooks"} {
		if _, err := w.TestSecret(ctx, root(), name, "HEALTHY_KEY"); !errors.Is(err, secrets.ErrUnavailable) {
			t.Errorf("%s: test of a secret: %v", name, err)
		}
		if _, err := w.Page(name, "/p", nil, httptest.NewRequest("GET", "/", nil)); !errors.Is(err, secrets.ErrNotFound) {
			t.Errorf("%s: page: %v", name, err)
		}
	}
	if _, err := w.Page("nobody", "/p", nil, httptest.NewRequest("GET", "/", nil)); !errors.Is(err, secrets.ErrNotFound) {
		t.Errorf("page of an unknown plugin: %v", err)
	}
	if _, err := w.TestSecret(ctx, root(), "nobody", "HEALTHY_KEY"); !errors.Is(err, secrets.ErrNotFound) {
		t.Errorf("test by an unknown plugin: %v", err)
	}
	w.close()
	if log := w.log.text(); strings.Contains(log, "called ") {
		t.Errorf("a plugin was called: %s", log)
	}
}

func TestMenuLinks(t *testing.T) {
	t.Parallel()
	w := withHooks(t, patient(), "hooks", "hooks2", "fails", "lies")
	links := w.MenuLinks(t.Context(), secrets.Actor{"id": "ada"})
	if len(links) != 22 {
		t.Fatalf("%d links: %v", len(links), links)
	}
	if links[0] != (secrets.MenuLink{Plugin: "hooks", URL: "/-/plugins/hooks/", Label: `{"id":"ada"} with a token: true`}) || links[1].Plugin != "hooks2" {
		t.Errorf("links %v", links[:2])
	}
	for i, link := range links[2:] {
		if link != (secrets.MenuLink{Plugin: "lies", URL: "/", Label: fmt.Sprint("link ", i)}) {
			t.Errorf("link %v", link)
		}
	}
	if links := w.MenuLinks(t.Context(), nil); links[0].Label != " with a token: false" {
		t.Errorf("for nobody: %v", links[0])
	}
	w.MenuLinks(t.Context(), nil)
	w.refuse("hooks", vault.HookMenu)
	if links := w.MenuLinks(t.Context(), nil); links[0].Plugin != "hooks2" {
		t.Errorf("what was refused is still there: %v", links[0])
	}
}

func TestActorsFromIDs(t *testing.T) {
	t.Parallel()
	w := withHooks(t, patient(), "fails", "hooks", "hooks2", "lies")
	ids := []string{"person", "person", "root", "stranger", "large", "broken", "", strings.Repeat("x", 256), "\xff"}
	for range 2 {
		actors := w.ActorsFromIDs(t.Context(), ids)
		if len(actors) != 1 || actors["person"].Display() != "hooks knows person" {
			t.Errorf("actors %v", actors)
		}
	}
	many := make([]string, 700)
	for i := range many {
		many[i] = fmt.Sprintf("person%04d", i)
	}
	if n := len(w.ActorsFromIDs(t.Context(), many)); n != 500 {
		t.Errorf("%d of many actors", n)
	}
	w.close()
	// Five of each plugin, but for the one that fails at the first.
	if n := strings.Count(w.log.text(), "called ActorsFromIDs with 100 ids"); n != 16 {
		t.Errorf("%d questions with 100 ids", n)
	}
	if strings.Contains(w.log.text(), "hunter2") {
		t.Error("the log repeats a plugin's error")
	}
}

func TestActorFromRequest(t *testing.T) {
	t.Parallel()
	w := withHooks(t, patient(), "fails", "hooks", "hooks2", "lies")
	ask := func(pairs ...string) secrets.Actor {
		return w.ActorFromRequest(t.Context(), "POST", "/a%2Fb", header(pairs...))
	}
	if actor := ask(); actor != nil {
		t.Errorf("a request that says nothing comes from %v", actor)
	}
	if actor := ask("X-User", "hooks2-ada"); actor.ID() != "hooks2-ada" || actor["by"] != "hooks2" || actor["method"] != "POST" || actor["path"] != "/a%2Fb" {
		t.Errorf("got %v", actor)
	}
	if actor := ask("X-User", "all"); actor["by"] != "hooks" {
		t.Errorf("the first by name does not decide: %v", actor)
	}
	actor := ask("X-User", "hooks-ada", "X-Secret", "hidden", "X-Forwarded-User", "hidden", "Authorization", "Basic eDp5", "Authorization", "Bearer dstok_abc",
		"Cookie", "a=b; ds_actor=hidden; c", "Cookie", "ds_messages=x; d=e", "Cookie", `"; ds_actor=hidden`)
	headers, _ := json.Marshal(actor["headers"])
	if string(headers) != `{"authorization":"Basic eDp5","cookie":"a=b; c; d=e; \"","x-user":"hooks-ada"}` {
		t.Errorf("it saw %s", headers)
	}
	if actor := ask("X-User", "hooks-a", "X-User", "hooks-b"); actor.ID() != "hooks-a, hooks-b" {
		t.Errorf("of two headers it saw %v", actor)
	}
	for _, claim := range []string{`{"id":"root"}`, `{"id":"ROOT"}`, `{"id":"x","_r":{}}`, `{"id":"x","token":"dstok"}`, `{}`, `[]`, `null`, `x`, `{"id":1}`} {
		if actor := ask("X-Answer", claim); actor != nil {
			t.Errorf("%s signs in %v", claim, actor)
		}
	}
	if actor := ask("X-Answer", `{"id":"x"}`); actor.ID() != "x" {
		t.Errorf("got %v", actor)
	}
	w.refuse("hooks2", vault.HookAuthenticator)
	if actor := ask("X-User", "hooks2-ada"); actor != nil {
		t.Errorf("what was refused signs in %v", actor)
	}
}

// A plugin that signs people in needs an approval by name.
func TestAnAuthenticatorIsNotTrustedOnFirstUse(t *testing.T) {
	t.Parallel()
	w := startWith(t, pluginhost.Config{
		Dir: pluginsDir(t, "hooks"), Timings: patient(), Grants: map[string]pluginhost.Grant{"hooks": {Headers: []string{"x-user"}}},
	})
	w.isReady("hooks")
	if actor := w.ActorFromRequest(t.Context(), "GET", "/", header("X-User", "all")); actor != nil {
		t.Errorf("signs in %v", actor)
	}
	if links := w.MenuLinks(t.Context(), nil); len(links) != 1 {
		t.Errorf("links %v", links)
	}
	w.approve("hooks", vault.HookAuthenticator)
	if actor := w.ActorFromRequest(t.Context(), "GET", "/", header("X-User", "all")); actor.ID() != "all" {
		t.Errorf("signs in %v", actor)
	}
}

// A plugin that hangs delays a few pages, and then none.
func TestHooksThatHang(t *testing.T) {
	t.Parallel()
	w := withHooks(t, hurried(), "hangs")
	began := time.Now()
	for range 100 {
		if links := w.MenuLinks(t.Context(), nil); len(links) > 0 {
			t.Errorf("links %v", links)
		}
		if actor := w.ActorFromRequest(t.Context(), "GET", "/", nil); actor != nil {
			t.Errorf("signed in %v", actor)
		}
		if actors := w.ActorsFromIDs(t.Context(), []string{"person"}); len(actors) > 0 {
			t.Errorf("actors %v", actors)
		}
	}
	if took := time.Since(began); took > patience {
		t.Errorf("300 questions took %s", took)
	}
	w.close()
	for _, call := range []string{"called MenuLinks", "called ActorFromRequest", "called ActorsFromIDs"} {
		if n := strings.Count(w.log.text(), call); n > 3 {
			t.Errorf("%s %d times", call, n)
		}
	}
	if n := strings.Count(w.log.text(), "is not asked for a while"); n != 3 {
		t.Errorf("the log says %d times that it is not asked", n)
	}
}

func TestTestSecret(t *testing.T) {
	t.Parallel()
	w := withHooks(t, patient(), "hooks", "hooks2", "lies", "fails")
	ctx := t.Context()
	if able := w.Validators(ctx, "HEALTHY_KEY"); !slices.Equal(able, []string{"hooks"}) {
		t.Errorf("able: %v", able)
	}
	result, err := w.TestSecret(ctx, root(), "hooks", "HEALTHY_KEY")
	if err != nil || result != (secrets.TestResult{Plugin: "hooks", Message: "22 bytes"}) {
		t.Errorf("got %v, %v", result, err)
	}
	used, _, err := w.vault.Show(ctx, root(), "HEALTHY_KEY")
	if err != nil || used.LastUsedBy != "root" || used.LastUsedAt == "" {
		t.Errorf("used by %q at %q, %v", used.LastUsedBy, used.LastUsedAt, err)
	}
	if _, err := w.vault.Put(ctx, root(), "HEALTHY_KEY", secrets.NewValue("good"), ""); err != nil {
		t.Fatal(err)
	}
	if result, err := w.TestSecret(ctx, root(), "hooks", "HEALTHY_KEY"); err != nil || !result.OK {
		t.Errorf("got %v, %v", result, err)
	}
	// A value goes only to a plugin that may read it, for somebody who may manage it.
	refusals := map[string]error{}
	_, refusals["not declared"] = w.TestSecret(ctx, root(), "hooks2", "HEALTHY_KEY")
	_, refusals["not signed in"] = w.TestSecret(ctx, secrets.Caller{}, "hooks", "HEALTHY_KEY")
	_, refusals["no manager"] = w.TestSecret(ctx, secrets.Caller{Actor: secrets.NewActor("ada"), Proof: secrets.ProofSignedIn}, "hooks", "HEALTHY_KEY")
	_, refusals["through a plugin"] = w.TestSecret(ctx, secrets.Caller{Actor: secrets.NewActor("root"), Plugin: "hooks2"}, "hooks", "HEALTHY_KEY")
	for name, err := range refusals {
		if !errors.Is(err, secrets.ErrDenied) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := w.TestSecret(ctx, root(), "hooks2", "OTHER_KEY"); !errors.Is(err, secrets.ErrNotSet) {
		t.Errorf("without a value: %v", err)
	}
	for _, name := range []string{"LIES_KEY", "FAILS_KEY"} {
		if _, err := w.vault.Put(ctx, root(), name, secrets.NewValue("hunter2"), ""); err != nil {
			t.Fatal(err)
		}
	}
	result, err = w.TestSecret(ctx, root(), "lies", "LIES_KEY")
	if err != nil || strings.Contains(result.Message, "hunter2") || strings.ContainsAny(result.Message, "\x1b\ufffd") || len(result.Message) > pluginwire.MaxTestMessage {
		t.Errorf("got %q, %v", result.Message, err)
	}
	if _, err = w.TestSecret(ctx, root(), "fails", "FAILS_KEY"); !errors.Is(err, secrets.ErrUnavailable) || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("got %v", err)
	}
	w.close() // what a plugin says is in the log a moment later
	if n := strings.Count(w.log.text(), `"called TestSecret" plugin=hooks`); n != 2 {
		t.Errorf("hooks and hooks2 were called %d times", n)
	}
}

func TestTestSecretThatHangs(t *testing.T) {
	t.Parallel()
	w := withHooks(t, hurried(), "hangs")
	if _, err := w.vault.Put(t.Context(), root(), "HANGS_KEY", secrets.NewValue("hunter2"), ""); err != nil {
		t.Fatal(err)
	}
	_, err := w.TestSecret(t.Context(), root(), "hangs", "HANGS_KEY")
	if !errors.Is(err, secrets.ErrUnavailable) || !strings.Contains(err.Error(), "did not answer TestSecret") {
		t.Errorf("got %v", err)
	}
}

// page asks a plugin for a page.
func (w *world) page(plugin, target string, actor secrets.Actor, change func(*http.Request)) (status int, header http.Header, body string, err error) {
	w.t.Helper()
	r := httptest.NewRequest("GET", target, nil)
	if change != nil {
		change(r)
	}
	response, err := w.Page(plugin, "/base/-/plugins/"+plugin, actor, r)
	if err != nil {
		return 0, nil, "", err
	}
	defer response.Body.Close()
	data, err := io.ReadAll(response.Body)
	return response.StatusCode, response.Header, string(data), err
}

func TestPages(t *testing.T) {
	t.Parallel()
	w := withHooks(t, patient(), "hooks")
	actor := secrets.Actor{"id": "ada", "token_expires": time.Now().Add(time.Minute).Unix()}
	status, _, body, err := w.page("hooks", "/a%2Fb/%C3%A9?x=%20&y", actor, func(r *http.Request) {
		r.Method, r.Body, r.ContentLength = "POST", io.NopCloser(strings.NewReader("hello")), 5
		r.Header = header("Cookie", "ds_actor=hidden; session=x", "Authorization", "Bearer dstok_hidden", "Content-Type", "text/plain",
			"X-Forwarded-For", "hidden", "X-Forwarded-User", "hidden", "Forwarded", "hidden", "Proxy-Authorization", "hidden", "X-Real-Ip", "hidden",
			"Connection", "upgrade, x-user", "Upgrade", "websocket", "Te", "trailers", "Trailer", "X", "Transfer-Encoding", "gzip", "Keep-Alive", "1",
			"Datasette-Secrets-Actor", "hidden", "datasette-secrets-actor", "hidden", "Datasette_Secrets_Actor", "hidden", "X-Amzn-Oidc-Data", "hidden",
			"Host", "hidden", "Content-Length", "999", "Expect", "100-continue", "Referer", "http://hidden/", "Origin", "http://hidden", "X-User", "ada")
	})
	if err != nil || status != 200 || strings.Contains(body, "hidden") {
		t.Fatalf("%d %s, %v", status, body, err)
	}
	var echo struct {
		Method, Target, Host, Body, Prefix string
		Headers                            http.Header
		Key                                []byte
	}
	if err := json.Unmarshal([]byte(body), &echo); err != nil {
		t.Fatal(err)
	}
	if echo.Method != "POST" || echo.Target != "/a%2Fb/%C3%A9?x=%20&y" || echo.Host != "localhost" || echo.Body != "hello" || echo.Prefix != "/base/-/plugins/hooks" || len(echo.Key) != 32 {
		t.Errorf("%+v", echo)
	}
	handover, err := pluginwire.ReadHandover(echo.Key, echo.Headers.Get("Datasette-Secrets-Actor"), "POST", echo.Target, time.Now())
	if err != nil || handover.Actor.ID() != "ada" || len(echo.Headers["Datasette-Secrets-Actor"]) != 1 || time.Until(handover.Expires) > time.Minute {
		t.Errorf("handed over %v, %v", handover, err)
	}
	proven, err := signing.New("of the tests").ReadActorToken(handover.Token, "hooks", time.Now())
	if err != nil || proven["id"] != "ada" {
		t.Errorf("the token proves %v, %v", proven, err)
	}
	if _, err := signing.New("of the tests").ReadActorToken(handover.Token, "hooks", time.Now().Add(time.Minute)); err == nil {
		t.Error("the proof outlives the API token of the actor")
	}
	names := []string{}
	for name := range echo.Headers {
		names = append(names, name)
	}
	slices.Sort(names)
	if !slices.Equal(names, []string{"Connection", "Content-Length", "Content-Type", "Cookie", "Datasette-Secrets-Actor", "X-User"}) || echo.Headers.Get("Cookie") != "session=x" || echo.Headers.Get("Connection") != "close" {
		t.Errorf("headers %v", echo.Headers)
	}
	if _, _, body, err = w.page("hooks", "/", nil, nil); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(body), &echo); err != nil {
		t.Fatal(err)
	}
	if h, err := pluginwire.ReadHandover(echo.Key, echo.Headers.Get("Datasette-Secrets-Actor"), "GET", "/", time.Now()); err != nil || h.Actor != nil || h.Token != "" {
		t.Errorf("of nobody: %v, %v", h, err)
	}
	_, _, _, err = w.page("hooks", "/", nil, func(r *http.Request) { r.Header.Set("X-User", strings.Repeat("x", 40<<10)) })
	if !errors.Is(err, secrets.ErrInvalid) {
		t.Errorf("huge headers: %v", err)
	}
	_, _, _, err = w.page("hooks", "/", secrets.Actor{"id": "ada", "x": strings.Repeat("x", 40<<10)}, nil)
	if !errors.Is(err, secrets.ErrInvalid) {
		t.Errorf("a huge actor: %v", err)
	}
	if _, _, _, err = w.page("hooks", "/?"+strings.Repeat("x", 40<<10), nil, nil); !errors.Is(err, secrets.ErrInvalid) {
		t.Errorf("a huge query: %v", err)
	}
	w.close()
	if n := strings.Count(w.log.text(), "called Listen"); n != 1 {
		t.Errorf("asked to listen %d times", n)
	}
}

// What a plugin answers never becomes more than one bounded answer.
func TestPagesThatAreOdd(t *testing.T) {
	t.Parallel()
	w := withHooks(t, patient(), "pages", "nohttp", "fails")
	for _, path := range []string{"nothing", "garbage", "upgrade", "headers", "hintless"} {
		if status, _, body, err := w.page("pages", "/"+path, nil, nil); !errors.Is(err, secrets.ErrUnavailable) {
			t.Errorf("%s: %d %q %v", path, status, body, err)
		}
	}
	for _, path := range []string{"hints", "two", "trailer"} {
		status, header, body, err := w.page("pages", "/"+path, nil, nil)
		if err != nil || status != 200 || body != "ok" || header.Get("Set-Cookie") != "" {
			t.Errorf("%s: %d %v %q %v", path, status, header, body, err)
		}
	}
	if _, _, body, err := w.page("pages", "/short", nil, nil); err == nil {
		t.Errorf("a page that ends early: %q", body)
	}
	for _, plugin := range []string{"nohttp", "fails"} {
		_, _, _, err := w.page(plugin, "/", nil, nil)
		if !errors.Is(err, secrets.ErrUnavailable) || strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), "/plugin-dir") {
			t.Errorf("%s: %v", plugin, err)
		}
	}
}

// A plugin that puts something else in place of its socket makes the host talk
// to nobody.
func TestPagesOfSomebodyElse(t *testing.T) {
	t.Parallel()
	w := withHooks(t, patient(), "socket")
	for range 50 {
		if status, _, body, err := w.page("socket", "/", nil, nil); !errors.Is(err, secrets.ErrUnavailable) {
			t.Fatalf("%d %q %v", status, body, err)
		}
	}
	if strings.Contains(w.log.text(), "found [") {
		t.Error("the plugin did not find the host's socket, and so proved nothing")
	}
}

func TestPagesThatHang(t *testing.T) {
	t.Parallel()
	w := withHooks(t, hurried(), "hangs")
	if _, _, _, err := w.page("hangs", "/", nil, nil); !errors.Is(err, secrets.ErrUnavailable) || !strings.Contains(err.Error(), "did not answer within") {
		t.Errorf("got %v", err)
	}
	if _, _, body, err := w.page("hangs", "/half", nil, nil); err == nil || body != "half" {
		t.Errorf("got %q, %v", body, err)
	}
	// Only so many wait at once.
	var refused sync.WaitGroup
	errs := make(chan error, 200)
	for range 200 {
		refused.Go(func() {
			_, _, _, err := w.page("hangs", "/", nil, nil)
			errs <- err
		})
	}
	refused.Wait()
	close(errs)
	full := 0
	for err := range errs {
		if err != nil && strings.Contains(err.Error(), "too many requests") {
			full++
		}
	}
	if full == 0 {
		t.Error("200 requests may wait for one plugin")
	}
	// A visitor who leaves ends the request.
	ctx, leave := context.WithCancel(t.Context())
	leave()
	if _, _, _, err := w.page("hangs", "/", nil, func(r *http.Request) { *r = *r.WithContext(ctx) }); err == nil {
		t.Error("nobody waits, and yet there is an answer")
	}
}
