package seal_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"filippo.io/age"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/internal/seal"
)

var ctx = context.Background()

const (
	keyText   = "-LujHtwFWGaBpznrV1zduoZBmCnMOW7J0H5hmeXgAVo="
	otherText = "cw_0x689RpI-jtRR7oE8h_eQsKImvJapLeSbXpwF4e4="
)

func passphrase(t testing.TB, text string) seal.Means {
	t.Helper()
	means, err := seal.ByPassphrase(secrets.NewValue(text), seal.MinWorkFactor)
	if err != nil {
		t.Fatal(err)
	}
	return means
}

func key(t testing.TB, text string) seal.Means {
	t.Helper()
	means, err := seal.ByKey(secrets.NewValue(text))
	if err != nil {
		t.Fatal(err)
	}
	return means
}

func newRoot(t testing.TB) *seal.Root {
	t.Helper()
	root, err := seal.NewRoot()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(root.Wipe)
	return root
}

func makeSeal(t testing.TB, name string, means seal.Means, root *seal.Root) seal.Record {
	t.Helper()
	record, err := seal.Make(ctx, name, means, root)
	if err != nil {
		t.Fatal(err)
	}
	return record
}

// pairs are the software means: the right ones of a seal, and wrong ones of the
// same kind.
func pairs(t testing.TB) map[string][2]seal.Means {
	return map[string][2]seal.Means{
		"passphrase": {passphrase(t, "correct horse battery"), passphrase(t, "correct horse batterz")},
		"key":        {key(t, keyText), key(t, otherText)},
	}
}

func TestSealOpens(t *testing.T) {
	t.Parallel()
	for name, means := range pairs(t) {
		root := newRoot(t)
		record := makeSeal(t, name, means[0], root)
		opened, err := record.Open(ctx, means[0])
		if err != nil || opened.ID() != root.ID() {
			t.Fatalf("%s: %v", name, err)
		}
		wrapped, err := root.WrapKey(1, "default", bytes.Repeat([]byte{7}, 32))
		if err != nil {
			t.Fatal(err)
		}
		got := make([]byte, 32)
		if err := opened.UnwrapKey(1, "default", wrapped, got); err != nil || !bytes.Equal(got, bytes.Repeat([]byte{7}, 32)) {
			t.Errorf("%s: the opened root key is another: %v", name, err)
		}
		if _, err := record.Open(ctx, means[1]); !errors.Is(err, secrets.ErrDenied) {
			t.Errorf("%s: wrong means: %v", name, err)
		}
	}
	record := makeSeal(t, "a", key(t, keyText), newRoot(t))
	if _, err := record.Open(ctx, passphrase(t, "correct horse battery")); !errors.Is(err, secrets.ErrInvalid) {
		t.Errorf("means of another kind: %v", err)
	}
}

// Two seals of one root key have nothing in common that can be seen.
func TestSealsDiffer(t *testing.T) {
	t.Parallel()
	root := newRoot(t)
	for name, means := range pairs(t) {
		a, b := makeSeal(t, "a", means[0], root), makeSeal(t, "a", means[0], root)
		if bytes.Equal(a.Wrapped, b.Wrapped) {
			t.Errorf("%s: the same root key gives the same text", name)
		}
	}
}

// Whatever is changed about a stored seal, the right means do not open it.
func TestSealEdited(t *testing.T) {
	t.Parallel()
	root := newRoot(t)
	for name, means := range pairs(t) {
		record := makeSeal(t, "paper", means[0], root)
		other := makeSeal(t, "paper", means[0], newRoot(t))
		edits := map[string]func(r *seal.Record){
			"name":             func(r *seal.Record) { r.Name = "papes" },
			"parameters":       func(r *seal.Record) { r.Parameters = `{"x":1}` },
			"root":             func(r *seal.Record) { r.RootID = other.RootID },
			"mac":              func(r *seal.Record) { r.MAC = other.MAC },
			"no mac":           func(r *seal.Record) { r.MAC = nil },
			"wrapped of other": func(r *seal.Record) { r.Wrapped = other.Wrapped },
			"wrapped short":    func(r *seal.Record) { r.Wrapped = r.Wrapped[:len(r.Wrapped)-1] },
			"wrapped long":     func(r *seal.Record) { r.Wrapped = append(slices.Clone(r.Wrapped), 0) },
			"wrapped empty":    func(r *seal.Record) { r.Wrapped = nil },
			"wrapped huge":     func(r *seal.Record) { r.Wrapped = append(slices.Clone(r.Wrapped), make([]byte, 5000)...) },
		}
		for i := range 8 {
			edits[fmt.Sprintf("wrapped byte %d of 8", i)] = func(r *seal.Record) {
				r.Wrapped = slices.Clone(r.Wrapped)
				r.Wrapped[i*(len(r.Wrapped)-1)/7] ^= 4
			}
		}
		for what, edit := range edits {
			edited := record
			edit(&edited)
			opened, err := edited.Open(ctx, means[0])
			if opened != nil || !errors.Is(err, secrets.ErrIntegrity) && !errors.Is(err, secrets.ErrDenied) {
				t.Errorf("%s, %s: %v", name, what, err)
			}
		}
	}
}

func TestWrappedKeyEdited(t *testing.T) {
	t.Parallel()
	root := newRoot(t)
	wrapped, err := root.WrapKey(3, "default", bytes.Repeat([]byte{7}, 32))
	if err != nil {
		t.Fatal(err)
	}
	try := func(r *seal.Root, number int64, name string, wrapped []byte) error {
		got := make([]byte, 32)
		err := r.UnwrapKey(number, name, wrapped, got)
		if err != nil && bytes.Equal(got, bytes.Repeat([]byte{7}, 32)) {
			t.Error("the key is there in spite of the error")
		}
		return err
	}
	if err := try(root, 3, "default", wrapped); err != nil {
		t.Fatal(err)
	}
	for i := range wrapped {
		damaged := slices.Clone(wrapped)
		damaged[i] ^= 1
		if err := try(root, 3, "default", damaged); !errors.Is(err, secrets.ErrIntegrity) {
			t.Fatalf("byte %d: %v", i, err)
		}
	}
	for what, err := range map[string]error{
		"number":   try(root, 4, "default", wrapped),
		"name":     try(root, 3, "defaulu", wrapped),
		"root key": try(newRoot(t), 3, "default", wrapped),
		"length":   try(root, 3, "default", wrapped[:len(wrapped)-1]),
		"nothing":  try(root, 3, "default", nil),
	} {
		if !errors.Is(err, secrets.ErrIntegrity) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := root.WrapKey(1, "short", make([]byte, 31)); err == nil {
		t.Error("wraps a short key")
	}
}

// The sealed root key is an ordinary file of age, which the program age opens
// in an emergency.
func TestPassphraseIsAge(t *testing.T) {
	t.Parallel()
	record := makeSeal(t, "paper", passphrase(t, "correct horse battery"), newRoot(t))
	identity, err := age.NewScryptIdentity("correct horse battery")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := age.Decrypt(bytes.NewReader(record.Wrapped), identity); err != nil {
		t.Error(err)
	}
}

// Somebody who edits the database cannot make the host work for hours.
func TestWorkIsBounded(t *testing.T) {
	t.Parallel()
	record := makeSeal(t, "paper", passphrase(t, "correct horse battery"), newRoot(t))
	header := bytes.Replace(record.Wrapped, []byte(" 10\n"), []byte(" 30\n"), 1)
	if bytes.Equal(header, record.Wrapped) {
		t.Fatal("the work factor is not where it was expected")
	}
	record.Wrapped = header
	if _, err := record.Open(ctx, passphrase(t, "correct horse battery")); !errors.Is(err, secrets.ErrIntegrity) {
		t.Errorf("got %v", err)
	}
}

func TestMeansRefuse(t *testing.T) {
	t.Parallel()
	const secret = "hunter2hunter2hunter2"
	for _, text := range []string{"", secret, keyText + "AAAA", "!" + keyText[1:], keyText[:43]} {
		_, err := seal.ByKey(secrets.NewValue(text))
		if !errors.Is(err, secrets.ErrInvalid) || strings.Contains(err.Error(), secret) {
			t.Errorf("a key of %d characters: %v", len(text), err)
		}
	}
	for _, test := range []struct {
		text string
		work int
	}{{"", 0}, {strings.Repeat("x", 1025), 0}, {secret, 9}, {secret, 21}, {secret, -1}} {
		_, err := seal.ByPassphrase(secrets.NewValue(test.text), test.work)
		if !errors.Is(err, secrets.ErrInvalid) || strings.Contains(err.Error(), secret) {
			t.Errorf("a passphrase of %d bytes, work %d: %v", len(test.text), test.work, err)
		}
	}
	for _, text := range []string{"too short", "long enough but \xff"} {
		if _, err := seal.Make(ctx, "a", passphrase(t, text), newRoot(t)); !errors.Is(err, secrets.ErrInvalid) {
			t.Errorf("%q makes a seal: %v", text, err)
		}
	}
	for _, name := range []string{"", "a b", "a/b", strings.Repeat("x", 65), "é"} {
		if _, err := seal.Make(ctx, name, key(t, keyText), newRoot(t)); !errors.Is(err, secrets.ErrInvalid) {
			t.Errorf("a seal named %q: %v", name, err)
		}
	}
}

// A seal that does not open what it wrapped is never made.
func TestMakeProves(t *testing.T) {
	t.Parallel()
	_, err := seal.Make(ctx, "broken", forgetful{key(t, keyText)}, newRoot(t))
	if err == nil || !strings.Contains(err.Error(), "proving") {
		t.Errorf("got %v", err)
	}
}

// forgetful is means that wrap something else.
type forgetful struct{ seal.Means }

func (f forgetful) Wrap(ctx context.Context, _ []byte) (string, []byte, error) {
	return f.Means.Wrap(ctx, make([]byte, 32))
}

func TestRootShowsNothing(t *testing.T) {
	t.Parallel()
	if text := fmt.Sprintf("%v %+v %#v %s", newRoot(t), newRoot(t), newRoot(t), newRoot(t)); strings.Trim(text, " ") != strings.Repeat("[root key] ", 3)+"[root key]" {
		t.Errorf("prints %q", text)
	}
	if a, b := newRoot(t).ID(), newRoot(t).ID(); a == b || len(a) != 32 {
		t.Errorf("the ids are %q and %q", a, b)
	}
}

// Whatever a database holds as a seal, opening it ends with an error or with
// the root key that was sealed.
func FuzzOpen(f *testing.F) {
	root := newRoot(f)
	for _, means := range pairs(f) {
		record := makeSeal(f, "a", means[0], root)
		f.Add(record.Wrapped, record.Parameters)
	}
	f.Fuzz(func(t *testing.T, wrapped []byte, parameters string) {
		if bytes.Contains(wrapped, []byte("scrypt")) {
			return // each try would take long; the bound has a test of its own
		}
		for _, means := range pairs(t) {
			record := seal.Record{Name: "a", Kind: means[0].Kind(), Parameters: parameters, Wrapped: wrapped, RootID: root.ID()}
			if opened, err := record.Open(ctx, means[0]); err == nil && opened.ID() != root.ID() {
				t.Fatal("opened another root key")
			}
		}
	})
}

func TestKeyTextIsBase64(t *testing.T) {
	t.Parallel()
	standard := base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{0xfb, 0xff}, 16))
	urlSafe := base64.URLEncoding.EncodeToString(bytes.Repeat([]byte{0xfb, 0xff}, 16))
	record := makeSeal(t, "a", key(t, " "+standard+"\n"), newRoot(t))
	if _, err := record.Open(ctx, key(t, urlSafe)); err != nil {
		t.Error(err)
	}
}

// A seal that is made anew with the same passphrase is as much work as before.
func TestWorkStays(t *testing.T) {
	t.Parallel()
	root := newRoot(t)
	record := makeSeal(t, "paper", passphrase(t, "correct horse battery"), root)
	again, err := seal.ByPassphrase(secrets.NewValue("correct horse battery"), 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := record.Open(ctx, again); err != nil {
		t.Fatal(err)
	}
	if made := makeSeal(t, "paper", again, root); !bytes.Contains(made.Wrapped, []byte(" 10\n")) {
		t.Errorf("made\n%s", made.Wrapped[:80])
	}
}
