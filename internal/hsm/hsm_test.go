package hsm_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"strings"
	"testing"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/internal/hsm"
	"github.com/datasette-secrets/datasette-secrets/internal/token"
	"github.com/datasette-secrets/datasette-secrets/tests/harness"
)

var ctx = context.Background()

func TestMain(m *testing.M) {
	token.Enter(os.Args) // does not return in a helper
	os.Exit(m.Run())
}

func helper(h *harness.SoftHSM, env ...string) *hsm.Helper {
	return &hsm.Helper{Entered: true, Env: harness.Env(append(env, h.Env...)...)}
}

func open(t testing.TB, h *hsm.Helper, cfg hsm.Config) *hsm.Token {
	t.Helper()
	opened, err := h.Token(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return opened
}

func root() []byte { return bytes.Repeat([]byte("root"), 8) }

// Each mechanism makes its key, wraps, unwraps, and refuses what was changed.
func TestMechanisms(t *testing.T) {
	t.Parallel()
	soft := harness.NewSoftHSM(t, "prod")
	for _, mechanism := range token.MechanismNames() {
		t.Run(mechanism, func(t *testing.T) { // one by one: SoftHSM reads a token while another process writes it
			k := open(t, helper(soft), hsm.Config{URI: soft.URI(harness.SoftHSMModule, "prod", "k-"+mechanism), Mechanism: mechanism, AllowPKCS1: true})
			info, used, err := k.Init(ctx)
			if mechanism == token.RSAOAEPSHA256 {
				if !errors.Is(err, secrets.ErrInvalid) { // SoftHSM does not have it
					t.Errorf("got %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if used != mechanism || info.Extractable || !info.Sensitive || !info.Local || info.Token != "prod" {
				t.Errorf("made %+v with %s", info, used)
			}
			parameters, wrapped, err := k.Wrap(ctx, root())
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(parameters, `"mechanism":"`+mechanism+`"`) || strings.Contains(parameters, harness.TokenPIN) {
				t.Errorf("parameters %s", parameters)
			}
			got := make([]byte, 32)
			if err := k.Unwrap(ctx, parameters, wrapped, got); err != nil || !bytes.Equal(got, root()) {
				t.Errorf("unwrapped %q, %v", got, err)
			}
			for _, i := range []int{0, len(wrapped) / 2, len(wrapped) - 1} {
				damaged := bytes.Clone(wrapped)
				damaged[i] ^= 1
				got := make([]byte, 32)
				err := k.Unwrap(ctx, parameters, damaged, got)
				if err == nil && bytes.Equal(got, root()) || err == nil && mechanism != token.RSAPKCS1 {
					t.Errorf("byte %d changed: %q, %v", i, got, err)
				}
			}
		})
	}
}

func TestDoctor(t *testing.T) {
	t.Parallel()
	soft := harness.NewSoftHSM(t, "prod", "other")
	k := open(t, helper(soft), hsm.Config{URI: soft.URI(harness.SoftHSMModule, "prod", "key")})
	report, err := k.Doctor(ctx)
	if !errors.Is(err, secrets.ErrInvalid) || len(report.Problems) != 1 || !strings.Contains(report.Problems[0], "hsm init") || report.Login != "works" {
		t.Errorf("without a key: %+v, %v", report, err)
	}
	if _, _, err := k.Init(ctx); err != nil {
		t.Fatal(err)
	}
	report, err = k.Doctor(ctx)
	if err != nil || len(report.Problems) != 0 || len(report.Trials) == 0 || !report.Trials[0].Works || report.Trials[0].Mechanism != token.AESGCM {
		t.Errorf("got %+v, %v", report, err)
	}
}
