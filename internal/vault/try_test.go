package vault_test

import (
	"errors"
	"testing"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/internal/vault"
)

func TestTry(t *testing.T) {
	t.Parallel()
	w := open(t)
	for _, in := range []vault.Introduction{
		{Plugin: "tester", Hooks: []string{vault.HookValidator}, Declarations: []secrets.Declaration{{Name: "TOKEN"}, {Name: "UNSET"}, {Name: "API_KEY"}}},
		{Plugin: "silent", Declarations: []secrets.Declaration{{Name: "QUIET"}}},
	} {
		if err := w.Introduce(ctx, in); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"TOKEN", "API_KEY", "QUIET"} {
		if _, err := w.Put(ctx, alice, name, secrets.NewValue("hunter2"), ""); err != nil {
			t.Fatal(err)
		}
	}
	found, err := w.Try(ctx, alice, "tester", "TOKEN")
	if err != nil || found.Value.Reveal() != "hunter2" || found.Source != vault.SourceDatabase {
		t.Errorf("got %v, %v", found, err)
	}
	if shown, _, err := w.Show(ctx, root, "TOKEN"); err != nil || shown.LastUsedBy != "alice" {
		t.Errorf("used by %q, %v", shown.LastUsedBy, err)
	}
	cases := []struct {
		what         string
		caller       secrets.Caller
		plugin, name string
		want         error
	}{
		{"nobody", anonymous, "tester", "TOKEN", secrets.ErrDenied},
		{"no manager", mallory, "tester", "TOKEN", secrets.ErrDenied},
		{"a plugin", plugin("tester", "alice"), "tester", "TOKEN", secrets.ErrDenied},
		{"no such plugin", alice, "nobody", "TOKEN", secrets.ErrNotApproved},
		{"one that does not offer it", alice, "silent", "QUIET", secrets.ErrNotApproved},
		{"a secret of others", alice, "tester", "QUIET", secrets.ErrNotDeclared},
		{"a secret that waits for approval", alice, "tester", "API_KEY", secrets.ErrNotApproved},
		{"no value", alice, "tester", "UNSET", secrets.ErrNotSet},
	}
	for _, c := range cases {
		if found, err := w.Try(ctx, c.caller, c.plugin, c.name); !errors.Is(err, c.want) || found.Value.Len() > 0 {
			t.Errorf("%s: got %v, %v; want %v", c.what, found, err, c.want)
		}
	}
	if _, err := w.Refuse(ctx, root, "tester", vault.Request{Kind: vault.RequestHook, Name: vault.HookValidator}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Try(ctx, alice, "tester", "TOKEN"); !errors.Is(err, secrets.ErrNotApproved) {
		t.Errorf("after a refusal: %v", err)
	}
	for _, name := range []string{"API_KEY", "QUIET"} {
		if shown, _, err := w.Show(ctx, root, name); err != nil || shown.LastUsedAt != "" {
			t.Errorf("%s counts as used at %q, %v", name, shown.LastUsedAt, err)
		}
	}
}
