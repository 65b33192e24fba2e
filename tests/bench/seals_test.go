//go:build bench

package bench

import (
	"bytes"
	"context"
	"io"
	"path/filepath"
	"testing"
	"time"

	"filippo.io/age"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/internal/seal"
	"github.com/datasette-secrets/datasette-secrets/internal/vault"
)

// unsealing is what a host waits for at its start when its keys are sealed: by
// a key, and by a passphrase beside what age itself takes for it.
func unsealing(t *testing.T) []row {
	const passphrase = "correct horse battery staple"
	file := filepath.Join(t.TempDir(), "sealed.db")
	fill(t, file, 1, 1)
	v, closeVault := open(t, file)
	defer closeVault()
	ctx, operator := context.Background(), secrets.Caller{Actor: secrets.NewActor("op"), Proof: secrets.ProofLocal}
	key, err := seal.ByKey(secrets.NewValue("cw_0x689RpI-jtRR7oE8h_eQsKImvJapLeSbXpwF4e4="))
	must(t, err)
	paper, err := seal.ByPassphrase(secrets.NewValue(passphrase), 0)
	must(t, err)
	must(t, v.AdoptKeys(ctx, operator, "key", key))
	must(t, v.AddSeal(ctx, operator, []vault.Opening{{Means: key}}, "paper", paper))
	unseal := func(means seal.Means) time.Duration {
		v.Seal()
		began := time.Now()
		_, err := v.Unseal(ctx, operator, []vault.Opening{{Means: means}})
		must(t, err)
		return time.Since(began)
	}
	byKey := median(21, func() time.Duration { return unseal(key) })

	_, wrapped, err := paper.Wrap(ctx, make([]byte, 32))
	must(t, err)
	var passphrases, alone []time.Duration
	for range 7 { // side by side, for the machine changes its pace
		passphrases = append(passphrases, unseal(paper))
		began := time.Now()
		identity, err := age.NewScryptIdentity(passphrase)
		must(t, err)
		plain, err := age.Decrypt(bytes.NewReader(wrapped), identity)
		must(t, err)
		_, err = io.Copy(io.Discard, plain)
		must(t, err)
		alone = append(alone, time.Since(began))
	}
	byPassphrase, byAge := middle(passphrases), middle(alone)
	return []row{
		{"unsealing by a key, recorded", ms(byKey), "", "", "≤ 5 ms"},
		{"unsealing by a passphrase; age alone", ms(byPassphrase), ms(byAge), ratio(byPassphrase, byAge), "≤ 5 ms more"},
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
