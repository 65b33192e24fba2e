package keyring_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/internal/keymem"
	"github.com/datasette-secrets/datasette-secrets/internal/keyring"
)

const (
	keyA = "-LujHtwFWGaBpznrV1zduoZBmCnMOW7J0H5hmeXgAVo="
	keyB = "cw_0x689RpI-jtRR7oE8h_eQsKImvJapLeSbXpwF4e4="
	keyC = "zp1tjqFvTpbPXfCVLZwMG0lYjKxR0PsDyrdCHcYyV2E="
)

func TestVectors(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("testdata/fernet.json")
	if err != nil {
		t.Fatal(err)
	}
	var vectors []struct{ Key, Plaintext, Token string }
	if err := json.Unmarshal(data, &vectors); err != nil || len(vectors) == 0 {
		t.Fatalf("reading the vectors: %v", err)
	}
	for _, v := range vectors {
		ring := parse(t, v.Key)
		value, err := decrypt(ring, "default", []byte(v.Token))
		if err != nil || value.Reveal() != v.Plaintext {
			t.Errorf("%q: got %q, %v", v.Plaintext, value.Reveal(), err)
		}
	}
}

func TestParseNamesKeys(t *testing.T) {
	t.Parallel()
	named := func(name, key string) any { return map[string]any{"name": name, "key": key} }
	for _, test := range []struct {
		value any
		want  string
	}{
		{keyA, "default"},
		{"  " + keyA + "\n", "default"},
		{strings.NewReplacer("-", "+", "_", "/").Replace(keyA), "default"},
		{[]any{keyA}, "default"},
		{[]any{keyA, keyB}, "k2 default"},
		{[]any{keyA, keyB, keyC}, "k3 k2 default"},
		{[]any{named("2026", keyA), keyB}, "2026 default"},
		{[]any{keyA, named("old", keyB)}, "k2 old"},
	} {
		if got := strings.Join(parse(t, test.value).Names(), " "); got != test.want {
			t.Errorf("got %q, want %q", got, test.want)
		}
	}
}

func TestNotConfigured(t *testing.T) {
	t.Parallel()
	for _, value := range []any{nil, "", " \n", []any{}} {
		if ring, err := keyring.Parse(value); ring != nil || err != nil {
			t.Errorf("Parse(%q) = %v, %v", value, ring, err)
		}
	}
}

// A refusal says where and what, and never shows the key.
func TestParseRefuses(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		value any
		want  string
	}{
		{keyA[:43], "has 43"},
		{keyA + "AAAA", "has 48"},
		{"!" + keyA[1:], "character that is not"},
		{[]any{keyA, "short"}, "entry 2 of 2"},
		{[]any{keyA, nil}, "entry 2 of 2"},
		{[]any{keyA, 7}, "entry 2 of 2"},
		{[]any{map[string]any{"name": "a b", "key": keyA}}, "name must be"},
		{[]any{map[string]any{"key": nil}}, `"key" is missing`},
		{[]any{map[string]any{"key": keyA, "colour": "red"}}, `unknown field "colour"`},
		{[]any{map[string]any{"name": "x", "key": keyA}, map[string]any{"name": "x", "key": keyB}}, "used twice"},
		{map[string]any{"$env": "A", "x": 1}, "must be a key"},
		{true, "must be a key"},
	} {
		_, err := keyring.Parse(test.value)
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("Parse(%v): %v, want %q", test.value, err, test.want)
		}
		if err != nil && strings.Contains(err.Error(), keyA[1:40]) {
			t.Errorf("the error shows the key: %v", err)
		}
	}
}

func TestFirstEncryptsAllDecrypt(t *testing.T) {
	t.Parallel()
	oldRing, newRing := parse(t, keyA), parse(t, []any{keyB, keyA})
	old, name := encrypt(t, oldRing, "one")
	if value, err := decrypt(newRing, name, old); err != nil || value.Reveal() != "one" {
		t.Errorf("the old token: %v", err)
	}
	token, name := encrypt(t, newRing, "two")
	if name != "k2" {
		t.Errorf("encrypted with %q, want the first key", name)
	}
	if _, err := decrypt(oldRing, "default", token); !errors.Is(err, secrets.ErrIntegrity) {
		t.Errorf("the old ring opens a new token: %v", err)
	}
	// A key that moved in the list still opens what was made under its old name.
	if value, err := decrypt(parse(t, keyB), name, token); err != nil || value.Reveal() != "two" {
		t.Errorf("a renamed key: %v", err)
	}
}

func TestDecryptRefuses(t *testing.T) {
	t.Parallel()
	ring := parse(t, keyA)
	token, _ := encrypt(t, ring, "hunter2")
	for i := range token {
		damaged := append([]byte(nil), token...)
		damaged[i] ^= 0x10
		if value, err := decrypt(ring, "default", damaged); err == nil && value.Reveal() != "hunter2" {
			t.Fatalf("byte %d changed gives another value", i)
		}
	}
	for _, token := range [][]byte{nil, {}, []byte("gAAAAA"), []byte(strings.Repeat("A", 200))} {
		if _, err := decrypt(ring, "default", token); !errors.Is(err, secrets.ErrIntegrity) {
			t.Errorf("Decrypt(%q): %v", token, err)
		}
	}
	_, err := decrypt(ring, "2025", token[:len(token)-4])
	if err == nil || !strings.Contains(err.Error(), `"2025", which is not configured`) {
		t.Errorf("the missing key is not named: %v", err)
	}
}

func TestGenerate(t *testing.T) {
	t.Parallel()
	a, err := keyring.Generate()
	if err != nil {
		t.Fatal(err)
	}
	b, _ := keyring.Generate()
	if a == b || len(a) != 44 {
		t.Errorf("Generate gave keys of %d characters, equal: %t", len(a), a == b)
	}
	parse(t, a)
}

func FuzzParseKey(f *testing.F) {
	f.Add(keyA)
	f.Add("")
	f.Fuzz(func(t *testing.T, text string) {
		ring, err := keyring.Parse(text)
		if err != nil || ring == nil {
			return
		}
		token, name, err := ring.Encrypt(secrets.NewValue("v"), time.Unix(0, 0))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := decrypt(ring, name, token); err != nil {
			t.Fatal(err)
		}
	})
}

func parse(t *testing.T, value any) *keyring.Keyring {
	t.Helper()
	ring, err := keyring.Parse(value)
	if err != nil || ring == nil {
		t.Fatalf("Parse: %v, %v", ring, err)
	}
	return ring
}

// decrypt opens a token that stands nowhere.
func decrypt(ring *keyring.Keyring, keyName string, token []byte) (secrets.Value, error) {
	return ring.Open(keyring.Place{KeyName: keyName}, token, nil)
}

func encrypt(t *testing.T, ring *keyring.Keyring, text string) ([]byte, string) {
	t.Helper()
	token, name, err := ring.Encrypt(secrets.NewValue(text), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return token, name
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	fill := func(_ int, key []byte) error { copy(key, "0123456789abcdef0123456789abcdef"); return nil }
	for _, names := range [][]string{nil, {"a", "a"}, {"a b"}, {""}, make([]string, 101)} {
		if _, err := keyring.New(names, fill); err == nil {
			t.Errorf("a keyring of %d keys named %q", len(names), names)
		}
	}
	failed := errors.New("failed")
	if _, err := keyring.New([]string{"a"}, func(int, []byte) error { return failed }); !errors.Is(err, failed) {
		t.Errorf("got %v", err)
	}
}

// A key is lent out, not given away, and after Wipe there is none.
func TestUseKeyAndWipe(t *testing.T) {
	t.Parallel()
	ring := parse(t, []any{keyA, map[string]any{"name": "old", "key": keyB}})
	token, _ := encrypt(t, ring, "one")
	for name, want := range map[string]string{"k2": keyA, "old": keyB} {
		err := ring.UseKey(name, func(key []byte) error {
			if got := base64.URLEncoding.EncodeToString(key); got != want {
				t.Errorf("%s is another key", name)
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	}
	if err := ring.UseKey("nobody", nil); !errors.Is(err, secrets.ErrNotFound) {
		t.Errorf("got %v", err)
	}
	ring.Wipe()
	if _, err := decrypt(ring, "k2", token); !errors.Is(err, keymem.ErrWiped) {
		t.Errorf("decrypts after Wipe: %v", err)
	}
	if _, _, err := ring.Encrypt(secrets.NewValue("x"), time.Now()); !errors.Is(err, keymem.ErrWiped) {
		t.Errorf("encrypts after Wipe: %v", err)
	}
}
