package access_test

import (
	"testing"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/internal/access"
)

// FuzzMatches asks about any two JSON values: nothing panics, what is no allow
// block grants nothing, and a policy made of the block agrees with Matches.
func FuzzMatches(f *testing.F) {
	for _, v := range vectors(f) {
		f.Add(show(v.Actor), show(v.Allow))
	}
	f.Add(`{"id":1e999,"_r":{"a":["manage-secrets"]}}`, `{"id":[1e400,null,[]]}`)
	f.Fuzz(func(t *testing.T, actorText, allowText string) {
		actorTree, err := decode(actorText)
		if err != nil {
			return
		}
		allow, err := decode(allowText)
		if err != nil {
			return
		}
		actor := actorOf(actorTree)
		got := access.Matches(actor, allow)
		checkMatch(t, actor, allow, got)
		checkPolicy(t, actor, allow, got)
	})
}

func checkMatch(t *testing.T, actor secrets.Actor, allow any, got bool) {
	t.Helper()
	block, isBlock := allow.(map[string]any)
	if !isBlock {
		if want := allow == nil || allow == true; got != want {
			t.Errorf("%s %s: got %v", show(actor), show(allow), got)
		}
		return
	}
	if actor == nil && got != (block["unauthenticated"] == true) {
		t.Errorf("anonymous %s: got %v", show(allow), got)
	}
	if got && actor != nil && !sharesKey(actor, block) {
		t.Errorf("%s %s: granted without a common key", show(actor), show(allow))
	}
}

func sharesKey(actor secrets.Actor, block map[string]any) bool {
	for key := range block {
		if _, ok := actor[key]; ok {
			return true
		}
	}
	return false
}

func checkPolicy(t *testing.T, actor secrets.Actor, allow any, match bool) {
	t.Helper()
	p, err := access.New(access.Config{
		Permissions: map[string]any{access.ManageSecrets: allow, access.DatasetteSecret: allow}, Allow: allow,
	})
	if err != nil {
		return
	}
	for _, action := range access.Actions() {
		d := p.Decide(actor, action.Name)
		if d.Reason == "" {
			t.Errorf("%s %s: no reason", show(actor), show(allow))
		}
		if _, isBlock := allow.(map[string]any); isBlock && d.Allowed && !match {
			t.Errorf("%s %s: %s granted: %s", show(actor), show(allow), action.Name, d.Reason)
		}
	}
}
