package vault_test

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/internal/vault"
)

func imported(name, value string) vault.Imported {
	return vault.Imported{Name: name, Note: "of " + name, Value: secrets.NewValue(value)}
}

// Only who runs commands on the host's machine imports.
func TestImportIsForOperators(t *testing.T) {
	t.Parallel()
	w := open(t)
	callers := map[string]secrets.Caller{
		"an administrator": root, "nobody": anonymous, "a plugin": plugin("demo", "root"),
		"a client":          {Client: "billing", Actor: secrets.NewActor("root"), Proof: secrets.ProofLocal},
		"nobody, local":     {Proof: secrets.ProofLocal},
		"a plugin as local": {Plugin: "demo", Actor: secrets.NewActor("root"), Proof: secrets.ProofLocal},
	}
	for who, caller := range callers {
		_, err := w.Import(ctx, caller, []vault.Imported{imported("API_KEY", "hunter2")}, vault.ImportOptions{})
		if !errors.Is(err, secrets.ErrDenied) {
			t.Errorf("%s: %v", who, err)
		}
	}
	if _, err := w.Get(ctx, plugin("demo", "root"), "API_KEY"); !errors.Is(err, secrets.ErrNotSet) {
		t.Errorf("after refused imports: %v", err)
	}
}

// All are stored or none.
func TestImportIsOneAct(t *testing.T) {
	t.Parallel()
	w := open(t)
	run := func(options vault.ImportOptions, all ...vault.Imported) (vault.ImportReport, error) {
		return w.Import(ctx, operator, all, options)
	}
	bad := map[string]vault.Imported{
		"an empty value":   imported("B", ""),
		"a large value":    imported("B", strings.Repeat("x", vault.MaxValue+1)),
		"no UTF-8":         imported("B", "\xff"),
		"an empty name":    imported("", "x"),
		"a long name":      imported(strings.Repeat("x", 256), "x"),
		"a name of noise":  imported("\xff", "x"),
		"a note too long":  {Name: "B", Note: strings.Repeat("n", vault.MaxNote+1), Value: secrets.NewValue("x")},
		"another API_KEY":  imported("API_KEY", "hunter3"),
		"again in the set": imported("PASSWORD", "hunter3"),
	}
	if _, err := run(vault.ImportOptions{}, imported("API_KEY", "hunter2")); err != nil {
		t.Fatal(err)
	}
	for what, one := range bad {
		_, err := run(vault.ImportOptions{}, imported("PASSWORD", "hunter2"), one)
		if !errors.Is(err, secrets.ErrInvalid) || strings.Contains(err.Error(), "hunter") {
			t.Errorf("%s: %v", what, err)
		}
		if _, err := w.Get(ctx, plugin("demo", "root"), "PASSWORD"); !errors.Is(err, secrets.ErrNotSet) {
			t.Errorf("%s: the one before was stored: %v", what, err)
		}
	}
	got, err := run(vault.ImportOptions{Replace: true}, imported("API_KEY", "hunter2"), imported("PASSWORD", "p"), imported("odd name", "o"))
	want := vault.ImportReport{Added: []string{"PASSWORD", "odd name"}, Same: []string{"API_KEY"}}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, %v", got, err)
	}
	got, err = run(vault.ImportOptions{Replace: true, DryRun: true}, imported("API_KEY", "hunter4"))
	if want := (vault.ImportReport{Replaced: []string{"API_KEY"}}); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("dry run: %+v, %v", got, err)
	}
	wantValue(t, w, "API_KEY", "hunter2")
}
