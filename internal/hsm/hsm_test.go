package hsm_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
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

// A module has taken its helper over, and writes whatever it wants to the host.
func FuzzAnswers(f *testing.F) {
	f.Add([]byte(`{"Stage":"login"}` + "\n" + `{"Result":{"Data":"AAAA","Mechanism":"aes-gcm"}}`))
	f.Add([]byte(`{"Result":{"Failure":{"Class":"pin","Code":160,"Text":"x"}}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		result, _, err := hsm.ReadAnswers(bytes.NewReader(data))
		if err != nil && (result.Data != nil || result.Failure != nil) {
			t.Error("an answer that cannot be read counts")
		}
	})
}

// What a database says of a seal is not trusted before it has opened.
func TestParametersEdited(t *testing.T) {
	t.Parallel()
	soft := harness.NewSoftHSM(t, "prod")
	k := open(t, helper(soft), hsm.Config{URI: soft.URI(harness.SoftHSMModule, "prod", "key")})
	if _, _, err := k.Init(ctx); err != nil {
		t.Fatal(err)
	}
	_, wrapped, err := k.Wrap(ctx, root())
	if err != nil {
		t.Fatal(err)
	}
	for parameters, class := range map[string]error{
		``:                              secrets.ErrIntegrity,
		`{}`:                            secrets.ErrIntegrity,
		`[]`:                            secrets.ErrIntegrity,
		`{"mechanism":"rot13"}`:         secrets.ErrInvalid,
		`{"mechanism":"rsa-pkcs1"}`:     secrets.ErrInvalid, // not allowed
		`{"mechanism":"rsa-oaep-sha1"}`: secrets.ErrDenied,  // for keys of another kind
		`{"mechanism":"aes-gcm","module":"/tmp/evil.so"}`: nil, // what is not known is ignored, above all a module
	} {
		got := make([]byte, 32)
		if err := k.Unwrap(ctx, parameters, wrapped, got); !errors.Is(err, class) {
			t.Errorf("%s: %v, want %v", parameters, err, class)
		}
	}
	if err := k.Unwrap(ctx, `{"mechanism":"aes-gcm"}`, make([]byte, 5000), make([]byte, 32)); !errors.Is(err, secrets.ErrIntegrity) {
		t.Errorf("a huge wrapped key: %v", err)
	}
}

func TestTokenRefuses(t *testing.T) {
	t.Parallel()
	soft := harness.NewSoftHSM(t, "prod", "other")
	module := "?module-path=" + harness.SoftHSMModule
	for text, want := range map[string]string{
		"pkcs11:token=prod;object=k" + module:                                           "wants a PIN, and none was given",
		"pkcs11:token=prod;object=k":                                                    "no module-path",
		"pkcs11:object=k" + module:                                                      "fits several tokens",
		"pkcs11:token=nobody;object=k" + module:                                         "there are: token=",
		"pkcs11:token=prod;library-description=Other;object=k" + module:                 "the URI says another",
		"pkcs11:token=prod;object=k?module-path=/nowhere.so":                            "loading the PKCS#11 module",
		"pkcs11:token=prod;object=k?module-path=/etc/passwd":                            "loading the PKCS#11 module",
		"pkcs11:token=prod;object=k?module-path=" + libc(t):                             "it has no C_GetFunctionList",
		"pkcs11:token=prod" + module + "&pin-source=file:" + soft.Dir + "/pin":          "names no key",
		"pkcs11:token=prod;object=k" + module + "&pin-source=file:/nowhere/pin":         "reading the PIN",
		"pkcs11:token=prod;object=k" + module + "&pin-source=env:NOT_SET":               "NOT_SET is not set",
		"pkcs11:token=prod;object=k" + module + "&pin-source=file:" + soft.Dir + "/pin": "no AES or private RSA key",
	} {
		_, _, err := open(t, helper(soft), hsm.Config{URI: text}).Wrap(ctx, root())
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
	stranger := &hsm.Helper{Env: helper(soft).Env} // its main calls no Enter
	if _, _, err := open(t, stranger, hsm.Config{URI: soft.URI(harness.SoftHSMModule, "prod", "k")}).Wrap(ctx, root()); err == nil || !strings.Contains(err.Error(), "host.Enter") {
		t.Errorf("without Enter: %v", err)
	}
}

// A key that somebody put into the token, and can take out again, protects
// nothing.
func TestExtractableKeyIsRefused(t *testing.T) {
	t.Parallel()
	soft := harness.NewSoftHSM(t, "prod")
	if out, err := soft.Tool(t, "prod", "--keygen", "--key-type", "AES:32", "--label", "loose", "--extractable", "--usage-decrypt"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	k := open(t, helper(soft), hsm.Config{URI: soft.URI(harness.SoftHSMModule, "prod", "loose")})
	if _, _, err := k.Wrap(ctx, root()); !errors.Is(err, secrets.ErrInvalid) || !strings.Contains(err.Error(), "can be taken out") {
		t.Errorf("got %v", err)
	}
	if report, err := k.Doctor(ctx); err == nil || len(report.Problems) == 0 {
		t.Errorf("the doctor finds nothing wrong: %+v", report)
	}
}

// libc is a library that is no PKCS#11 module.
func libc(t *testing.T) string {
	t.Helper()
	found, err := filepath.Glob("/lib/*-linux-gnu/libc.so.6")
	if err != nil || len(found) == 0 {
		t.Fatalf("there is no libc: %v", err)
	}
	return found[0]
}
