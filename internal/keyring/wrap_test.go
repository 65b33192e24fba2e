package keyring_test

import (
	"errors"
	"testing"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/internal/keyring"
)

// What is wrapped is opened by any of the keys, with the same label only, and
// not once it was changed; as a Fernet token it opens nothing.
func TestWrap(t *testing.T) {
	t.Parallel()
	first, second := generated(t), generated(t)
	old, now := parse(t, first), parse(t, []any{second, first})
	wrapped, name, err := old.Wrap("key of the log", []byte("text"))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := now.Unwrap("key of the log", name, wrapped); err != nil || string(got) != "text" {
		t.Errorf("the same key: %q, %v", got, err)
	}
	if _, err := parse(t, second).Unwrap("key of the log", name, wrapped); !errors.Is(err, secrets.ErrIntegrity) {
		t.Errorf("another key: %v", err)
	}
	if _, err := old.Unwrap("another thing", name, wrapped); !errors.Is(err, secrets.ErrIntegrity) {
		t.Errorf("another label: %v", err)
	}
	for i := range wrapped {
		changed := append([]byte(nil), wrapped...)
		changed[i] ^= 1
		if _, err := old.Unwrap("key of the log", name, changed); !errors.Is(err, secrets.ErrIntegrity) {
			t.Errorf("byte %d changed: %v", i, err)
		}
	}
	if _, err := old.Unwrap("key of the log", name, nil); !errors.Is(err, secrets.ErrIntegrity) {
		t.Errorf("nothing: %v", err)
	}
	if _, err := old.Open(keyring.Place{Name: "A", Version: 1, KeyName: name}, wrapped, nil); !errors.Is(err, secrets.ErrIntegrity) {
		t.Errorf("in the place of a secret: %v", err)
	}
}

func generated(t *testing.T) string {
	t.Helper()
	key, err := keyring.Generate()
	if err != nil {
		t.Fatal(err)
	}
	return key
}
