package plugintest_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/datasette-secrets/datasette-secrets/pluginapi"
	"github.com/datasette-secrets/datasette-secrets/pluginapi/plugintest"
)

// hooked implements every optional interface. A field is an answer of its own.
type hooked struct {
	message string
	links   []pluginapi.MenuLink
	sender  pluginapi.Actor
	err     error
}

func (hooked) RegisterSecrets(context.Context) ([]pluginapi.Secret, error) {
	return []pluginapi.Secret{{Name: "KEY"}}, nil
}

func (p hooked) TestSecret(_ context.Context, name string, value pluginapi.Value) (pluginapi.TestResult, error) {
	return pluginapi.TestResult{OK: name == "KEY" && value.Reveal() == "good", Message: p.message}, p.err
}

func (p hooked) MenuLinks(ctx context.Context, actor pluginapi.Actor) ([]pluginapi.MenuLink, error) {
	if p.links != nil || p.err != nil {
		return p.links, p.err
	}
	_, err := pluginapi.HostFromContext(ctx).GetSecret(ctx, "KEY", "")
	return []pluginapi.MenuLink{{Href: "/for/" + actor.ID(), Label: fmt.Sprint(err)}}, nil
}

func (p hooked) ActorsFromIDs(_ context.Context, ids []string) (map[string]pluginapi.Actor, error) {
	actors := map[string]pluginapi.Actor{"none": nil}
	for _, id := range ids {
		actors[id] = pluginapi.Actor{"id": strings.TrimPrefix(id, "wrong-"), "name": strings.ToUpper(id)}
	}
	return actors, p.err
}

func (p hooked) ActorFromRequest(_ context.Context, r *pluginapi.RequestMeta) (pluginapi.Actor, error) {
	if p.sender == nil && r.Headers["x-user"] != "" {
		return pluginapi.Actor{"id": r.Headers["x-user"], "from": r.Method + " " + r.Path}, nil
	}
	return p.sender, p.err
}

func (p hooked) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	_, err := pluginapi.HostFromContext(r.Context()).GetSecret(r.Context(), "KEY", "")
	fmt.Fprintf(w, "%s %s %s by %s: %v", r.Method, r.URL, body, pluginapi.ActorFromContext(r.Context()).ID(), err)
}

func TestHooks(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := plugintest.New(t, hooked{message: "fine"}, plugintest.Secrets{"KEY": "v"})
		if result, err := h.TestSecret("KEY", "good"); err != nil || result != (pluginapi.TestResult{OK: true, Message: "fine"}) {
			t.Errorf("TestSecret: %v, %v", result, err)
		}
		if result, err := h.TestSecret("KEY", "bad"); err != nil || result.OK {
			t.Errorf("TestSecret: %v, %v", result, err)
		}
		links, err := h.MenuLinks(pluginapi.Actor{"id": "ada"})
		if err != nil || len(links) != 1 || links[0] != (pluginapi.MenuLink{Href: "/for/ada", Label: "<nil>"}) {
			t.Errorf("MenuLinks: %v, %v", links, err)
		}
		actors, err := h.ActorsFromIDs("ada", "bob")
		if err != nil || len(actors) != 2 || actors["ada"].Display() != "ADA" {
			t.Errorf("ActorsFromIDs: %v, %v", actors, err)
		}
		actor, err := h.ActorFromRequest(pluginapi.RequestMeta{Method: "GET", Path: "/x", Headers: map[string]string{"x-user": "eve"}})
		if err != nil || actor.ID() != "eve" || actor["from"] != "GET /x" {
			t.Errorf("ActorFromRequest: %v, %v", actor, err)
		}
		if actor, err := h.ActorFromRequest(pluginapi.RequestMeta{}); err != nil || actor != nil {
			t.Errorf("ActorFromRequest: %v, %v", actor, err)
		}
		for range 2 {
			r, err := http.NewRequest("POST", "/a%2Fb?c", strings.NewReader("body"))
			if err != nil {
				t.Fatal(err)
			}
			response := h.HTTP(pluginapi.Actor{"id": "ada"}, r)
			data, err := io.ReadAll(response.Body)
			if err != nil || string(data) != "POST /a%2Fb?c body by ada: <nil>" {
				t.Errorf("HTTP: %s, %v", data, err)
			}
		}
		synctest.Wait() // nothing of it keeps a test waiting
		for _, use := range h.Uses() {
			if use.ActorID != "ada" {
				t.Errorf("use %v", use)
			}
		}
	})
}

func TestHooksThatAHostWouldNotTake(t *testing.T) {
	t.Parallel()
	one := plugintest.New(t, hooked{message: "the value is hunter2", links: []pluginapi.MenuLink{{Href: "javascript:x", Label: "x"}}, sender: pluginapi.Actor{"id": "root"}})
	many := slices.Repeat([]pluginapi.MenuLink{{Href: "/", Label: "x"}}, 21)
	two := plugintest.New(t, hooked{message: strings.Repeat("x", 301), links: many, sender: pluginapi.Actor{"id": "x", "_r": nil}})
	_, oneTest := one.TestSecret("KEY", "hunter2")
	_, twoTest := two.TestSecret("KEY", "hunter2")
	_, oneLinks := one.MenuLinks(nil)
	_, twoLinks := two.MenuLinks(nil)
	_, oneSender := one.ActorFromRequest(pluginapi.RequestMeta{})
	_, twoSender := two.ActorFromRequest(pluginapi.RequestMeta{})
	_, known := one.ActorsFromIDs("wrong-id")
	for i, err := range []error{oneTest, twoTest, oneLinks, twoLinks, oneSender, twoSender, known} {
		if err == nil || !strings.HasPrefix(err.Error(), "plugintest: ") || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%d: %v", i, err)
		}
	}
}

func TestHooksThatFail(t *testing.T) {
	t.Parallel()
	h := plugintest.New(t, hooked{err: errors.New("no weather today")})
	_, test := h.TestSecret("KEY", "v")
	_, links := h.MenuLinks(nil)
	_, actors := h.ActorsFromIDs("ada")
	_, sender := h.ActorFromRequest(pluginapi.RequestMeta{})
	for i, err := range []error{test, links, actors, sender} {
		if err == nil || strings.Contains(err.Error(), "weather") {
			t.Errorf("%d: %v", i, err)
		}
	}
	if n := strings.Count(h.Log(), "no weather today"); n != 4 {
		t.Errorf("the log says it %d times: %s", n, h.Log())
	}
}
