package vault_test

import (
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"testing"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/internal/vault"
)

func TestGetMany(t *testing.T) {
	t.Parallel()
	w := open(t)
	declare(t, w, "batcher", "BATCH_KEY", "EMPTY", "FROM_ENV", "BROKEN")
	put(t, w, "BATCH_KEY", "one", "")
	put(t, w, "BATCH_KEY", "two", "")
	w.env["DATASETTE_SECRETS_FROM_ENV"] = "outside"
	spoil(t, w, "BROKEN")

	results, err := w.GetMany(ctx, plugin("batcher", "bob"), []string{"BATCH_KEY", "EMPTY", "NOT_MINE", "FROM_ENV", "BROKEN", "BATCH_KEY"})
	if err != nil {
		t.Fatal(err)
	}
	want := []struct {
		name, text string
		source     vault.Source
		version    int64
		err        error
	}{
		{"BATCH_KEY", "two", vault.SourceDatabase, 2, nil},
		{"EMPTY", "", "", 0, secrets.ErrNotSet},
		{"NOT_MINE", "", "", 0, secrets.ErrNotDeclared},
		{"FROM_ENV", "outside", vault.SourceEnvironment, 0, nil},
		{"BROKEN", "", "", 0, secrets.ErrIntegrity},
		{"BATCH_KEY", "two", vault.SourceDatabase, 2, nil},
	}
	for i, r := range results {
		want := want[i]
		if r.Name != want.name || r.Found.Value.Reveal() != want.text || r.Found.Source != want.source ||
			r.Found.Version != want.version || !errors.Is(r.Err, want.err) {
			t.Errorf("%d: got %+v, want %+v", i, r, want)
		}
	}
	if len(results) != len(want) {
		t.Errorf("%d results", len(results))
	}
	if secret, _ := show(t, w, "BATCH_KEY"); secret.LastUsedBy != "bob" || secret.LastUsedAt == "" {
		t.Errorf("the use is not recorded: %+v", secret)
	}
	if secret, _ := show(t, w, "BROKEN"); secret.LastUsedAt != "" {
		t.Errorf("a use is recorded that was none: %+v", secret)
	}
}

func TestGetManyWithoutKeys(t *testing.T) {
	t.Parallel()
	w := open(t)
	put(t, w, "API_KEY", "one", "")
	w.env["DATASETTE_SECRETS_PASSWORD"] = "outside"
	w.Seal()
	results, err := w.GetMany(ctx, plugin("demo", ""), []string{"API_KEY", "PASSWORD"})
	if err != nil || !errors.Is(results[0].Err, secrets.ErrSealed) || results[1].Found.Value.Reveal() != "outside" {
		t.Errorf("got %+v, %v", results, err)
	}
}

func TestGetManyIsBounded(t *testing.T) {
	t.Parallel()
	w := open(t)
	tooMany := make([]string, vault.MaxBatch+1)
	if _, err := w.GetMany(ctx, plugin("demo", ""), tooMany); !errors.Is(err, secrets.ErrInvalid) || !strings.Contains(err.Error(), "101 names") {
		t.Errorf("too many names: %v", err)
	}
	put(t, w, "API_KEY", strings.Repeat("x", vault.MaxValue), "")
	names := []string{"API_KEY", "API_KEY", "API_KEY"}
	results, err := w.GetMany(ctx, plugin("demo", ""), names)
	if err != nil || len(results) != 3 {
		t.Fatalf("three of 1 MiB: %d results, %v", len(results), err)
	}
	w.env["DATASETTE_SECRETS_PASSWORD"] = strings.Repeat("x", vault.MaxValue)
	for _, more := range []string{"API_KEY", "PASSWORD"} {
		results, err := w.GetMany(ctx, plugin("demo", ""), append(names, more))
		if !errors.Is(err, secrets.ErrInvalid) || !strings.Contains(err.Error(), "ask for fewer") || results != nil {
			t.Errorf("four of 1 MiB: %d results, %v", len(results), err)
		}
	}
}

// What cannot be recorded does not happen, for any of the values.
func TestGetManyNeedsItsRecord(t *testing.T) {
	t.Parallel()
	w := open(t)
	put(t, w, "API_KEY", "one", "")
	execute(t, w, `create trigger refuse before update on datasette_secrets begin select raise(abort, 'no'); end`)
	results, err := w.GetMany(ctx, plugin("demo", ""), []string{"API_KEY"})
	if err == nil || results != nil {
		t.Errorf("got %v, %v", results, err)
	}
}

func TestGetManyIsForPlugins(t *testing.T) {
	t.Parallel()
	w := open(t)
	put(t, w, "API_KEY", "one", "")
	for _, caller := range []secrets.Caller{root, anonymous} {
		results, err := w.GetMany(ctx, caller, []string{"API_KEY"})
		if err != nil || !errors.Is(results[0].Err, secrets.ErrDenied) || results[0].Found.Value.Len() != 0 {
			t.Errorf("%v got %v, %v", caller, fmt.Sprint(results), err)
		}
	}
}

// spoil stores a value under a key that the vault does not have.
func spoil(t *testing.T, w *world, name string) {
	t.Helper()
	token, _, err := keys(t, keyB).Encrypt(secrets.NewValue("x"), w.time)
	if err != nil {
		t.Fatal(err)
	}
	execute(t, w, "insert into datasette_secrets (name, version, encrypted, encryption_key_name) values (?, 1, ?, 'default')", name, token)
}

// execute changes the file as another program does.
func execute(t *testing.T, w *world, statement string, args ...any) {
	t.Helper()
	file, err := sql.Open("sqlite3", w.path+"?_busy_timeout=10000")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if _, err := file.Exec(statement, args...); err != nil {
		t.Fatal(err)
	}
}
