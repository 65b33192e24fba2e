package keyring_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"testing"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/internal/keyring"
)

// The token of "hunter2" that Python made under keyA, in the first version of
// a secret.
const hunter2 = "gAAAAABlU_EAAAECAwQFBgcICQoLDA0OD_e5LOVX57WdHSUxrwACKujH-S_j2UIkXEvZ306by0KuUqRpnGm75WObpffYpF4imA=="

var first = keyring.Place{Name: "API_KEY", Version: 1, KeyName: "default"}

// The codes stay what they are: files hold them. These were made with Python's
// hmac as the comment in bind.go says.
func TestCodesStay(t *testing.T) {
	t.Parallel()
	ties, err := parse(t, keyA).Tie(first, []byte(hunter2))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := hex.EncodeToString(ties.Binding), "65934f1c6759f304c7a7b3400e638db1ef79a209d478d3d56fc9fbf91c79b15e"; got != want {
		t.Errorf("the binding is %s, want %s", got, want)
	}
	if got, want := hex.EncodeToString(ties.Mark), "6faef5ca02cbb3f4e9e8ea335e8cdae98625e4aa524e78d93e3d12a4cc1857e5"; got != want {
		t.Errorf("the mark is %s, want %s", got, want)
	}
}

// A binding fits one token in one place under one key, and nothing else.
func TestBindingFitsOnePlace(t *testing.T) {
	t.Parallel()
	ring := parse(t, []any{keyB, keyA})
	ties, err := ring.Tie(first, []byte(hunter2))
	if err != nil {
		t.Fatal(err)
	}
	bound := func(ring *keyring.Keyring, at keyring.Place, token string, binding []byte) bool {
		t.Helper()
		_, err := ring.Open(at, []byte(token), binding)
		if err != nil && !errors.Is(err, secrets.ErrIntegrity) {
			t.Fatal(err)
		}
		return err == nil
	}
	if !bound(ring, first, hunter2, ties.Binding) || !bound(parse(t, keyA), first, hunter2, ties.Binding) {
		t.Error("the binding does not fit its own place")
	}
	if bound(parse(t, keyB), first, hunter2, ties.Binding) {
		t.Error("another key vouches for it")
	}
	for _, at := range []keyring.Place{
		{Name: "API_KEY2", Version: 1, KeyName: "default"},
		{Name: "API_KEY", Version: 2, KeyName: "default"},
		{Name: "API_KEY", Version: 1, KeyName: "k2"},
		{Name: "API_KEY", Version: 1, KeyName: "default", Deleted: true},
		{Name: "API_KEY1", KeyName: "default"},            // what moves from one field
		{Name: "API_KE", Version: 1, KeyName: "Ydefault"}, // to the next
	} {
		if bound(ring, at, hunter2, ties.Binding) {
			t.Errorf("the binding fits %+v", at)
		}
	}
	for _, binding := range [][]byte{{}, ties.Binding[1:], append(bytes.Clone(ties.Binding), 0), ties.Mark} {
		if bound(ring, first, hunter2, binding) {
			t.Errorf("fits: %x", binding)
		}
	}
	if bound(ring, first, hunter2[1:], ties.Binding) {
		t.Error("the binding fits another token")
	}
}

func TestMarkFitsOneVersion(t *testing.T) {
	t.Parallel()
	ring := parse(t, []any{keyB, keyA})
	ties, err := ring.Tie(first, []byte(hunter2))
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name    string
		version int64
		mark    []byte
		want    bool
	}{
		{"API_KEY", 1, ties.Mark, true},
		{"API_KEY", 2, ties.Mark, false},
		{"API_KEY1", 1, ties.Mark, false},
		{"API_KEY", 1, ties.Binding, false},
		{"API_KEY", 1, nil, false},
	} {
		if got, err := ring.Marked(test.name, test.version, test.mark); got != test.want || err != nil {
			t.Errorf("%s, %d: %t, %v", test.name, test.version, got, err)
		}
	}
}

// What no key opens gets no ties, nor does a second spelling of a token, which
// a lenient decoder takes for the first.
func TestTieRefuses(t *testing.T) {
	t.Parallel()
	ring := parse(t, keyA)
	other, _ := encrypt(t, parse(t, keyB), "x")
	for what, token := range map[string][]byte{
		"another key":  other,
		"nothing":      nil,
		"a line break": []byte(hunter2[:20] + "\n" + hunter2[20:]),
		"more behind":  []byte(hunter2 + "!"),
		"less behind":  []byte(hunter2[:len(hunter2)-1]),
		"unused bits":  []byte(hunter2[:len(hunter2)-3] + "B=="),
	} {
		if _, err := ring.Tie(first, token); !errors.Is(err, secrets.ErrIntegrity) {
			t.Errorf("%s: %v", what, err)
		}
	}
}
