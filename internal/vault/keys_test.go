package vault_test

import (
	"errors"
	"testing"

	secrets "github.com/datasette-secrets/datasette-secrets"
)

// A sealed vault shows what is there, answers from the environment, and says
// to everything else that it is sealed. With the keys back it goes on.
func TestSealed(t *testing.T) {
	t.Parallel()
	w := open(t)
	put(t, w, "API_KEY", "one", "a note")
	w.env["DATASETTE_SECRETS_PASSWORD"] = "from env"
	w.Seal()
	if !w.Sealed() || !w.Configured() {
		t.Errorf("sealed %t, configured %t", w.Sealed(), w.Configured())
	}
	wantValue(t, w, "PASSWORD", "from env")
	if secret, versions := show(t, w, "API_KEY"); len(versions) != 1 || secret.Note != "a note" {
		t.Errorf("got %+v", secret)
	}
	status, err := w.Status(ctx, plugin("demo", ""))
	if err != nil || !status[0].Set {
		t.Errorf("got %+v, %v", status, err)
	}
	_, err = w.Get(ctx, plugin("demo", "bob"), "API_KEY")
	wantError(t, err, secrets.ErrSealed)
	_, err = w.Put(ctx, root, "API_KEY", secrets.NewValue("two"), "")
	wantError(t, err, secrets.ErrSealed)
	_, err = w.Annotate(ctx, root, "API_KEY", "other")
	wantError(t, err, secrets.ErrSealed)
	wantError(t, w.Delete(ctx, root, "API_KEY"), secrets.ErrSealed)
	_, err = w.Restore(ctx, root, "API_KEY", 1)
	wantError(t, err, secrets.ErrSealed)

	// Being sealed is no answer to those who may not ask.
	if err := w.Delete(ctx, mallory, "API_KEY"); !errors.Is(err, secrets.ErrDenied) || errors.Is(err, secrets.ErrSealed) {
		t.Errorf("got %v", err)
	}
	_, err = w.Get(ctx, plugin("other", "bob"), "API_KEY")
	wantError(t, err, secrets.ErrNotDeclared)

	w.UseKeys(keys(t, keyA))
	wantValue(t, w, "API_KEY", "one")
	put(t, w, "API_KEY", "two", "")
}
