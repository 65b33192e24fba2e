package hsm_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/internal/hsm"
	"github.com/datasette-secrets/datasette-secrets/internal/seal"
	"github.com/datasette-secrets/datasette-secrets/internal/token"
	"github.com/datasette-secrets/datasette-secrets/tests/harness"
)

// broken is a token behind the shim, with one key for each mechanism of use.
type broken struct {
	soft *harness.SoftHSM
	shim string
	dir  string
	made map[string]sealed // by mechanism
}

type sealed struct {
	parameters string
	wrapped    []byte
}

// mechanismsOfFaults use every function of a module that is used at all.
func mechanismsOfFaults() []string {
	return []string{token.AESGCM, token.AESKeyWrap, token.AESCBCHMAC, token.RSAOAEPSHA1}
}

func newBroken(t *testing.T) *broken {
	t.Helper()
	b := &broken{soft: harness.NewSoftHSM(t, "prod"), shim: harness.Shim(t), dir: t.TempDir(), made: map[string]sealed{}}
	for _, mechanism := range mechanismsOfFaults() {
		k := b.token(t, mechanism, "")
		if _, _, err := k.Init(ctx); err != nil {
			t.Fatal(err)
		}
		parameters, wrapped, err := k.Wrap(ctx, root())
		if err != nil {
			t.Fatal(err)
		}
		b.made[mechanism] = sealed{parameters, wrapped}
	}
	return b
}

// token is the key of a mechanism behind the shim with a fault, or none. Every
// call has a helper of its own, which has not yet learned of any refused PIN.
func (b *broken) token(t *testing.T, mechanism, fault string, env ...string) *hsm.Token {
	t.Helper()
	return b.named(t, "k-"+mechanism, mechanism, fault, env...)
}

func (b *broken) named(t *testing.T, label, mechanism, fault string, env ...string) *hsm.Token {
	t.Helper()
	env = append(env, "SHIM_TARGET="+harness.SoftHSMModule, "SHIM_FAULT="+fault)
	return open(t, helper(b.soft, env...), hsm.Config{
		URI: b.soft.URI(b.shim, "prod", label), Mechanism: mechanism, AllowPKCS1: true, Timeout: time.Minute,
	})
}

func (b *broken) unwrap(k *hsm.Token, mechanism string) error {
	got := make([]byte, 32)
	err := k.Unwrap(ctx, b.made[mechanism].parameters, b.made[mechanism].wrapped, got)
	if err == nil && !bytes.Equal(got, root()) {
		err = fmt.Errorf("unwrapped something else")
	}
	return err
}

// calls counts the calls of a function in a log of the shim.
func calls(t *testing.T, log, function string) int {
	t.Helper()
	data, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Count(string(data), function+"\n")
}

// use is a function of the module, and what uses it.
type use struct {
	function  string
	mechanism string
	op        string
}

func uses() []use {
	return []use{
		{"C_Initialize", token.AESGCM, "unwrap"}, {"C_GetInfo", token.AESGCM, "unwrap"},
		{"C_GetSlotList", token.AESGCM, "unwrap"}, {"C_GetSlotInfo", token.AESGCM, "unwrap"},
		{"C_GetTokenInfo", token.AESGCM, "unwrap"}, {"C_OpenSession", token.AESGCM, "unwrap"},
		{"C_Login", token.AESGCM, "unwrap"}, {"C_FindObjectsInit", token.AESGCM, "unwrap"},
		{"C_FindObjects", token.AESGCM, "unwrap"}, {"C_FindObjectsFinal", token.AESGCM, "unwrap"},
		{"C_GetAttributeValue", token.AESGCM, "unwrap"}, {"C_DecryptInit", token.AESGCM, "unwrap"},
		{"C_Decrypt", token.AESGCM, "unwrap"}, {"C_Decrypt", token.RSAOAEPSHA1, "unwrap"},
		{"C_UnwrapKey", token.AESKeyWrap, "unwrap"}, {"C_DestroyObject", token.AESKeyWrap, "unwrap"},
		{"C_SignInit", token.AESCBCHMAC, "unwrap"}, {"C_Sign", token.AESCBCHMAC, "unwrap"},
		{"C_GetMechanismList", token.AESGCM, "wrap"}, {"C_EncryptInit", token.AESGCM, "wrap"},
		{"C_Encrypt", token.AESGCM, "wrap"}, {"C_CreateObject", token.AESKeyWrap, "wrap"},
		{"C_WrapKey", token.AESKeyWrap, "wrap"},
		{"C_GenerateKey", token.AESGCM, "init"}, {"C_GenerateKeyPair", token.RSAOAEPSHA1, "init"},
	}
}

// codes are return values of every class, with the error that each becomes; nil
// for any class.
func codes() []struct {
	code  uint
	class error
} {
	return []struct {
		code  uint
		class error
	}{
		{0x05, nil},                    // CKR_GENERAL_ERROR
		{0x30, secrets.ErrUnavailable}, // CKR_DEVICE_ERROR
		{0xA0, seal.ErrPIN},            // CKR_PIN_INCORRECT
		{0x02, nil},                    // CKR_HOST_MEMORY
		{0xB3, secrets.ErrUnavailable}, // CKR_SESSION_HANDLE_INVALID
		{0xE0, secrets.ErrUnavailable}, // CKR_TOKEN_NOT_PRESENT
		{0xA4, seal.ErrPIN},            // CKR_PIN_LOCKED
		{0x07, nil},                    // CKR_ARGUMENTS_BAD
		{0x40, nil},                    // CKR_ENCRYPTED_DATA_INVALID
		{0x101, nil},                   // CKR_USER_NOT_LOGGED_IN
		{0x32, secrets.ErrUnavailable}, // CKR_DEVICE_REMOVED
		{0x70, nil},                    // CKR_MECHANISM_INVALID
		{0x71, nil},                    // CKR_MECHANISM_PARAM_INVALID
		{0x60, nil},                    // CKR_KEY_HANDLE_INVALID
		{0x68, nil},                    // CKR_KEY_FUNCTION_NOT_PERMITTED
		{0x54, nil},                    // CKR_FUNCTION_NOT_SUPPORTED
		{0x06, nil},                    // CKR_FUNCTION_FAILED
		{0x150, nil},                   // CKR_BUFFER_TOO_SMALL
		{0x190, nil},                   // CKR_CRYPTOKI_NOT_INITIALIZED
		{0xA3, seal.ErrPIN},            // CKR_PIN_EXPIRED
		{0x31, nil},                    // CKR_DEVICE_MEMORY
		{0xE1, nil},                    // CKR_TOKEN_NOT_RECOGNIZED
		{0xB0, secrets.ErrUnavailable}, // CKR_SESSION_CLOSED
		{0x80000001, nil},              // one of the vendor's own
	}
}

// Whatever a module returns from whichever call, the host gets an error that
// says what happened, gives the PIN at most twice and after a refusal not
// again, and everything works when the fault is over.
func TestFaults(t *testing.T) {
	t.Parallel()
	b := newBroken(t)
	for i, use := range uses() {
		for j, code := range codes() {
			if !harness.Soak() && j != i%len(codes()) {
				continue
			}
			t.Run(fmt.Sprintf("%s %s %#x", use.op, use.function, code.code), func(t *testing.T) {
				log := filepath.Join(t.TempDir(), "log")
				label := map[bool]string{true: fmt.Sprintf("new-%d-%d", i, j), false: "k-" + use.mechanism}[use.op == "init"]
				k := b.named(t, label, use.mechanism,
					fmt.Sprintf("%s:1:%x", use.function, code.code), "SHIM_LOG="+log)
				err := b.do(k, use)
				if triedInAnotherWay(use, code.code) {
					return
				}
				if err == nil {
					t.Fatal("there is no error")
				}
				if text := err.Error(); !strings.Contains(text, use.function) || !strings.Contains(text, "CKR_") && !strings.Contains(text, "0x") || strings.Contains(text, harness.TokenPIN) {
					t.Errorf("the error is %q", text)
				}
				if code.class != nil && use.op == "unwrap" && !errors.Is(err, code.class) {
					t.Errorf("the error is of another class: %v", err)
				}
				if !slices.ContainsFunc([]error{secrets.ErrUnavailable, secrets.ErrInvalid, secrets.ErrDenied}, func(class error) bool { return errors.Is(err, class) }) {
					t.Errorf("the error has no class: %v", err)
				}
				logins := calls(t, log, "C_Login")
				if logins > 2 || errors.Is(err, seal.ErrPIN) && logins > 1 {
					t.Errorf("%d logins", logins)
				}
			})
		}
	}
}

// triedInAnotherWay: after these, another IV or another template is tried, which
// the shim lets pass.
func triedInAnotherWay(u use, code uint) bool {
	encrypts := u.function == "C_EncryptInit" || u.function == "C_Encrypt"
	return encrypts && (code == 0x71 || code == 0x07) || u.function == "C_GenerateKeyPair"
}

func (b *broken) do(k *hsm.Token, u use) error {
	switch u.op {
	case "unwrap":
		return b.unwrap(k, u.mechanism)
	case "wrap":
		_, _, err := k.Wrap(ctx, root())
		return err
	}
	_, _, err := k.Init(ctx)
	return err
}

// A wrong PIN is given to the token once: not by the same process, whatever is
// tried, with whichever key of that token.
func TestWrongPINIsGivenOnce(t *testing.T) {
	t.Parallel()
	b := newBroken(t)
	log := filepath.Join(b.dir, "log")
	h := helper(b.soft, "SHIM_TARGET="+harness.SoftHSMModule, "SHIM_LOG="+log)
	wrong := secrets.NewValue("000000")
	for range 3 {
		for _, mechanism := range mechanismsOfFaults() {
			k := open(t, h, hsm.Config{URI: b.soft.URI(b.shim, "prod", "k-"+mechanism), PIN: wrong})
			if err := b.unwrap(k, mechanism); !errors.Is(err, seal.ErrPIN) {
				t.Fatalf("got %v", err)
			}
			if _, _, err := k.Wrap(ctx, root()); !errors.Is(err, seal.ErrPIN) {
				t.Fatalf("got %v", err)
			}
		}
	}
	if n := calls(t, log, "C_Login"); n != 1 {
		t.Errorf("%d logins, want 1", n)
	}
	// The right one is another one.
	k := open(t, h, hsm.Config{URI: b.soft.URI(b.shim, "prod", "k-"+token.AESGCM)})
	if err := b.unwrap(k, token.AESGCM); err != nil {
		t.Error(err)
	}
}

// What goes away for a moment is tried once more, in a new process.
func TestRecovers(t *testing.T) {
	t.Parallel()
	b := newBroken(t)
	for i, fault := range []string{"C_OpenSession:1:e0", "C_Decrypt:1:30", "C_DecryptInit:1:b3", "C_GetTokenInfo:1:32", "C_FindObjects:1:crash", "C_Initialize:1:crash"} {
		once := filepath.Join(b.dir, fmt.Sprint("once", i))
		if err := os.WriteFile(once, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := b.unwrap(b.token(t, token.AESGCM, fault, "SHIM_ONCE="+once), token.AESGCM); err != nil {
			t.Errorf("%s, once: %v", fault, err)
		}
	}
}

// A module that hangs or crashes costs one error, at whatever call.
func TestHangsAndCrashes(t *testing.T) {
	t.Parallel()
	b := newBroken(t)
	for i, use := range uses() {
		if !harness.Soak() && i%8 != 0 {
			continue
		}
		label := map[bool]string{true: "new", false: "k-" + use.mechanism}[use.op == "init"]
		log := filepath.Join(b.dir, fmt.Sprint("log", i))
		err := b.do(b.named(t, label, use.mechanism, use.function+":1:crash", "SHIM_LOG="+log), use)
		if !errors.Is(err, secrets.ErrUnavailable) || !strings.Contains(err.Error(), "crashed") {
			t.Errorf("%s crashes: %v", use.function, err)
		}
		if want := map[bool]int{true: 1, false: 2}[use.function == "C_Login"]; calls(t, log, use.function) != want {
			t.Errorf("%s crashes: called %d times, want %d", use.function, calls(t, log, use.function), want)
		}
		k := open(t, helper(b.soft, "SHIM_TARGET="+harness.SoftHSMModule, "SHIM_FAULT="+use.function+":1:hang"),
			hsm.Config{URI: b.soft.URI(b.shim, "prod", label), Mechanism: use.mechanism, Timeout: time.Second})
		if err := b.do(k, use); !errors.Is(err, secrets.ErrUnavailable) || !strings.Contains(err.Error(), "did not answer within 1s") {
			t.Errorf("%s hangs: %v", use.function, err)
		}
	}
	if err := b.unwrap(b.token(t, token.AESGCM, "C_Login:1:crash"), token.AESGCM); err == nil || !strings.Contains(err.Error(), "with the PIN on its way") {
		t.Errorf("a crash in C_Login: %v", err)
	}
	// A module that does not end once it has answered does no harm.
	if err := b.unwrap(b.token(t, token.AESGCM, "C_Finalize:1:hang"), token.AESGCM); err != nil {
		t.Error(err)
	}
	if err := b.unwrap(b.token(t, token.AESGCM, ""), token.AESGCM); err != nil {
		t.Errorf("after all that: %v", err)
	}
}

// A module that lies makes no seal that opens nothing.
func TestGarbage(t *testing.T) {
	t.Parallel()
	b := newBroken(t)
	for _, test := range []struct{ fault, mechanism string }{
		{"C_Encrypt:2:garbage", token.AESGCM}, {"C_Decrypt:2:garbage", token.AESGCM},
		{"C_WrapKey:2:garbage", token.AESKeyWrap}, {"C_Decrypt:2:garbage", token.RSAOAEPSHA1},
	} {
		if _, _, err := b.token(t, test.mechanism, test.fault).Wrap(ctx, root()); err == nil {
			t.Errorf("%s, %s: a root key is wrapped", test.mechanism, test.fault)
		}
	}
}

// The token is taken out and put back in.
func TestTokenGoesAndComes(t *testing.T) {
	t.Parallel()
	b := newBroken(t)
	k := b.token(t, token.AESGCM, "")
	show := b.soft.Hide(t)
	if err := b.unwrap(k, token.AESGCM); !errors.Is(err, secrets.ErrUnavailable) || !strings.Contains(err.Error(), "no token") {
		t.Errorf("without the token: %v", err)
	}
	show()
	if err := b.unwrap(k, token.AESGCM); err != nil {
		t.Errorf("with the token: %v", err)
	}
}
