package pluginhost_test

import (
	"errors"
	"maps"
	"strings"
	"testing"
	"time"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/internal/pluginhost"
	"github.com/datasette-secrets/datasette-secrets/internal/signing"
)

func token(t *testing.T, signer signing.Signer, actor secrets.Actor, plugin string, lasts time.Duration) string {
	t.Helper()
	text, err := signer.SignActorToken(actor, plugin, time.Now().Add(lasts))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// badTokens prove nothing about "ann" to the plugin "forger".
func badTokens(t *testing.T, signer signing.Signer) map[string]string {
	t.Helper()
	ann := secrets.Actor{"id": "ann"}
	good := token(t, signer, ann, "forger", time.Hour)
	signIn, err := signer.SignActor(ann, time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	return map[string]string{
		"garbage":      "garbage",
		"dot":          ".",
		"long":         strings.Repeat("x", 1<<16),
		"cut":          good[:len(good)-1],
		"changed":      "x" + good[1:],
		"expired":      token(t, signer, ann, "forger", -time.Minute),
		"other-actor":  token(t, signer, secrets.Actor{"id": "bob"}, "forger", time.Hour),
		"other-plugin": token(t, signer, ann, "forger2", time.Hour),
		"other-host":   token(t, signing.New("another"), ann, "forger", time.Hour),
		"empty-secret": token(t, signing.New("x"), ann, "forger", time.Hour),
		"not-an-id":    token(t, signer, secrets.Actor{"name": "ann"}, "forger", time.Hour),
		"a-sign-in":    signIn,
	}
}

func TestProofOfAnActor(t *testing.T) {
	t.Parallel()
	signer := signing.New("a secret of this test")
	ann := secrets.Actor{"id": "ann", "role": "admin"}
	good := token(t, signer, ann, "forger", time.Hour)
	caller, err := pluginhost.Caller(signer, "forger", "ann", good)
	if err != nil || caller.Proof != secrets.ProofProven || !maps.Equal(caller.Actor, ann) || caller.Plugin != "forger" {
		t.Errorf("got %+v, %v", caller, err)
	}
	number := token(t, signer, secrets.Actor{"id": 7}, "forger", time.Hour)
	if caller, err := pluginhost.Caller(signer, "forger", "7", number); err != nil || caller.Proof != secrets.ProofProven {
		t.Errorf("an id that is a number: %+v, %v", caller, err)
	}
	if caller, err := pluginhost.Caller(signer, "forger", "ann", ""); err != nil || caller.Proof != secrets.ProofAsserted {
		t.Errorf("without a token: %+v, %v", caller, err)
	}
	for name, bad := range badTokens(t, signer) {
		if caller, err := pluginhost.Caller(signer, "forger", "ann", bad); !errors.Is(err, secrets.ErrDenied) || caller.Actor != nil {
			t.Errorf("%s: got %+v, %v", name, caller, err)
		}
	}
	for _, id := range []string{"", "Ann", "ann ", "root"} {
		if _, err := pluginhost.Caller(signer, "forger", id, good); !errors.Is(err, secrets.ErrDenied) {
			t.Errorf("ann's token for %q: %v", id, err)
		}
	}
	if _, err := pluginhost.Caller(signing.Signer{}, "forger", "ann", good); !errors.Is(err, secrets.ErrDenied) {
		t.Errorf("a host without a secret: %v", err)
	}
}

// A token that proves nothing is refused in every call, never taken for the
// plugin's word.
func TestForgedTokens(t *testing.T) {
	t.Parallel()
	signer := signing.New("a secret of this test")
	tokens := badTokens(t, signer)
	tokens["good"] = token(t, signer, secrets.Actor{"id": "ann"}, "forger", time.Hour)
	w := startWith(t, pluginhost.Config{
		Dir: pluginsDir(t, "forger"), Timings: quick(), Signer: signer,
		Settings: func(string) (any, error) { return tokens, nil },
	})
	for name := range tokens {
		want := []string{" get PermissionDenied.", " can false PermissionDenied.", " many PermissionDenied."}
		if name == "good" {
			want = []string{" get NotFound.", " can true OK.", " many OK."}
		}
		for _, text := range want {
			w.says(`"` + name + text)
		}
	}
	for _, text := range tokens {
		if len(text) > 40 && strings.Contains(w.log.text(), text) {
			t.Error("a token is in the log")
		}
	}
}
