package keyring_test

import (
	"errors"
	"testing"
	"time"

	"github.com/fernet/fernet-go"

	secrets "github.com/datasette-secrets/datasette-secrets"
)

// A token of another key becomes one of the first key, with the same text and
// the time of hunter2, which Python made.
func TestRenew(t *testing.T) {
	t.Parallel()
	old, both := parse(t, keyA), parse(t, []any{keyB, keyA})
	ties, err := old.Tie(first, []byte(hunter2))
	if err != nil {
		t.Fatal(err)
	}
	renewed, err := both.Renew(first, []byte(hunter2), ties.Binding)
	if err != nil || renewed.KeyName != "k2" {
		t.Fatalf("got %+v, %v", renewed, err)
	}
	after := first
	after.KeyName = "k2"
	value, err := both.Open(after, renewed.Token, renewed.Ties.Binding)
	if err != nil || value.Reveal() != "hunter2" {
		t.Errorf("got %q, %v", value.Reveal(), err)
	}
	newest, err := fernet.DecodeKey(keyB)
	if err != nil {
		t.Fatal(err)
	}
	// A token of 2023 is too old for a day and not for ten years.
	if fernet.VerifyAndDecrypt(renewed.Token, 24*time.Hour, []*fernet.Key{newest}) != nil {
		t.Error("the token has a new time")
	}
	again, err := both.Renew(after, renewed.Token, renewed.Ties.Binding)
	if err != nil || again != nil {
		t.Errorf("renewed twice: %+v, %v", again, err)
	}
	if marked, err := both.Marked(first.Name, first.Version, renewed.Ties.Mark); !marked || err != nil {
		t.Errorf("the mark does not fit: %v", err)
	}

	// A row that names the key in another way keeps its token.
	alone := parse(t, keyB)
	named, err := alone.Renew(after, renewed.Token, renewed.Ties.Binding)
	if err != nil || named.KeyName != "default" || string(named.Token) != string(renewed.Token) {
		t.Errorf("got %+v, %v", named, err)
	}
}

func TestRenewRefuses(t *testing.T) {
	t.Parallel()
	both := parse(t, []any{keyB, keyA})
	ties, err := both.Tie(first, []byte(hunter2))
	if err != nil {
		t.Fatal(err)
	}
	elsewhere := first
	elsewhere.Version = 2
	ofB, _ := encrypt(t, parse(t, keyB), "hunter2")
	tiesB, err := parse(t, keyB).Tie(first, ofB)
	if err != nil {
		t.Fatal(err)
	}
	for what, renew := range map[string]func() error{
		"another place":        func() error { _, err := both.Renew(elsewhere, []byte(hunter2), ties.Binding); return err },
		"another token":        func() error { _, err := both.Renew(first, ofB, ties.Binding); return err },
		"another key's code":   func() error { _, err := both.Renew(first, []byte(hunter2), tiesB.Binding); return err },
		"no token":             func() error { _, err := both.Renew(first, nil, ties.Binding); return err },
		"a key that is absent": func() error { _, err := parse(t, keyC).Renew(first, []byte(hunter2), ties.Binding); return err },
	} {
		if err := renew(); !errors.Is(err, secrets.ErrIntegrity) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := both.Renew(first, []byte(hunter2), nil); err == nil {
		t.Error("a row without a binding is renewed")
	}
}

// The key that opens a token must be the one that vouches for its place.
func TestOpener(t *testing.T) {
	t.Parallel()
	both := parse(t, []any{keyB, keyA})
	for _, at := range []string{"default", "k2", "nosuch"} {
		place := first
		place.KeyName = at // what a row says proves nothing
		if name, err := both.Opener(place, []byte(hunter2), nil); name != "default" || err != nil {
			t.Errorf("%s: %q, %v", at, name, err)
		}
	}
	if _, err := parse(t, keyB).Opener(first, []byte(hunter2), nil); !errors.Is(err, secrets.ErrIntegrity) {
		t.Errorf("got %v", err)
	}
}

func TestIDs(t *testing.T) {
	t.Parallel()
	id := func(value any, name string) string {
		t.Helper()
		id, err := parse(t, value).ID(name)
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	if a, b := id(keyA, "default"), id([]any{keyA, keyB}, "k2"); a != b || len(a) != 8 {
		t.Errorf("one key has the ids %q and %q", a, b)
	}
	if id(keyA, "default") == id(keyB, "default") {
		t.Error("two keys have the same id")
	}
	if _, err := parse(t, keyA).ID("k2"); !errors.Is(err, secrets.ErrNotFound) {
		t.Errorf("got %v", err)
	}
}

func TestEqual(t *testing.T) {
	t.Parallel()
	a := parse(t, []any{keyA, keyB})
	if !a.Equal(parse(t, []any{keyA, keyB})) {
		t.Error("equal keyrings differ")
	}
	for _, other := range []any{keyA, []any{keyB, keyA}, []any{map[string]any{"name": "x", "key": keyA}, keyB}} {
		if a.Equal(parse(t, other)) {
			t.Errorf("equals %d keys", len(parse(t, other).Names()))
		}
	}
	if a.Equal(nil) {
		t.Error("equals nothing")
	}
}
