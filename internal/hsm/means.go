package hsm

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/internal/seal"
	"github.com/datasette-secrets/datasette-secrets/internal/token"
)

// maxPIN bounds a PIN, in bytes.
const maxPIN = 256

// Config says which key of which token is used, and how.
type Config struct {
	URI        string
	PIN        secrets.Value // goes over the URI's pin-source, if not empty
	Mechanism  string        // for new seals and keys; empty: the first that works
	AllowPKCS1 bool          // rsa-pkcs1 may be used
	Timeout    time.Duration // of one use of the token; 0: DefaultTimeout

	LookupEnv func(name string) (string, bool)                 // for pin-source=env:NAME; nil: none is set
	AskPIN    func(ctx context.Context) (secrets.Value, error) // when there is no other PIN; nil: nobody to ask
}

// Token is a key of a token. It is the means of a seal of the kind PKCS11, and
// safe for concurrent use.
type Token struct {
	helper *Helper
	cfg    Config
	uri    token.URI

	asking sync.Mutex
	asked  *secrets.Value // what AskPIN returned; it is asked once
}

var _ seal.Means = (*Token)(nil)

// Token returns the token that cfg means, and touches nothing yet.
func (h *Helper) Token(cfg Config) (*Token, error) {
	uri, err := token.ParseURI(cfg.URI)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", secrets.ErrInvalid, err)
	}
	return &Token{helper: h, cfg: cfg, uri: uri}, nil
}

// NamesPIN reports whether the URI says where the PIN is.
func (t *Token) NamesPIN() bool { return t.uri.PINFile != "" || t.uri.PINEnv != "" }

// Kind returns seal.PKCS11.
func (*Token) Kind() seal.Kind { return seal.PKCS11 }

// parameters is what a seal stores in clear. Only the mechanism counts; the
// rest tells people which key it was. Which module is loaded is never read
// from a database: whoever can write one could make the host load anything.
type parameters struct {
	Mechanism string `json:"mechanism"`
	Label     string `json:"label"`
	ID        string `json:"id"`
	Token     string `json:"token"`
	Serial    string `json:"serial"`
}

// Wrap implements seal.Means.
func (t *Token) Wrap(ctx context.Context, root []byte) (string, []byte, error) {
	result, err := t.use(ctx, token.Request{Op: token.OpWrap, Mechanism: t.cfg.Mechanism, Data: root})
	if err != nil {
		return "", nil, err
	}
	if result.Key == nil || len(result.Data) == 0 || bytes.Contains(result.Data, root) {
		return "", nil, errors.New("the process of the PKCS#11 module wrapped nothing")
	}
	p := parameters{result.Mechanism, result.Key.Label, result.Key.ID, result.Key.Token, result.Key.Serial}
	text, err := json.Marshal(p)
	if err != nil {
		return "", nil, fmt.Errorf("describing the seal: %w", err)
	}
	return string(text), result.Data, nil
}

// maxWrapped bounds a wrapped root key, in bytes.
const maxWrapped = 4096

// Unwrap implements seal.Means.
func (t *Token) Unwrap(ctx context.Context, text string, wrapped, root []byte) error {
	var p parameters
	if err := json.Unmarshal([]byte(text), &p); err != nil || p.Mechanism == "" || len(wrapped) == 0 || len(wrapped) > maxWrapped {
		return fmt.Errorf("%w: its parameters are not those of a PKCS#11 seal", secrets.ErrIntegrity)
	}
	result, err := t.use(ctx, token.Request{Op: token.OpUnwrap, Mechanism: p.Mechanism, Data: wrapped})
	if err != nil {
		return err
	}
	defer clear(result.Data)
	if copy(root, result.Data) != len(root) || len(result.Data) != len(root) {
		return fmt.Errorf("%w: what the token unwrapped has %d bytes", secrets.ErrIntegrity, len(result.Data))
	}
	return nil
}

// Init makes a new key on the token, which must have none of that label, and
// proves that it can wrap and unwrap.
func (t *Token) Init(ctx context.Context) (token.KeyInfo, string, error) {
	result, err := t.use(ctx, token.Request{Op: token.OpInit, Mechanism: t.cfg.Mechanism})
	if err != nil {
		return token.KeyInfo{}, "", err
	}
	if result.Key == nil {
		return token.KeyInfo{}, "", errors.New("the process of the PKCS#11 module made no key")
	}
	return *result.Key, result.Mechanism, nil
}

// Doctor looks at everything that a seal needs. The report holds what was found
// up to the error; without one, a seal would work.
func (t *Token) Doctor(ctx context.Context) (token.Report, error) {
	result, err := t.use(ctx, token.Request{Op: token.OpDoctor, Mechanism: t.cfg.Mechanism})
	if result.Report == nil {
		result.Report = &token.Report{}
		if err != nil {
			result.Report.Problems = []string{err.Error()}
		}
	}
	return *result.Report, err
}

func (t *Token) use(ctx context.Context, r token.Request) (token.Result, error) {
	pin, has, err := t.pin(ctx)
	if err != nil {
		return token.Result{}, err
	}
	r.URI, r.AllowPKCS1 = t.uri, t.cfg.AllowPKCS1
	r.PIN, r.HasPIN = pin.Reveal(), has
	return t.helper.use(ctx, r, t.cfg.Timeout)
}

// pin finds the PIN: given, from the file or variable of the URI, or asked for.
func (t *Token) pin(ctx context.Context) (pin secrets.Value, has bool, err error) {
	switch {
	case t.cfg.PIN.Len() > 0:
		pin = t.cfg.PIN
	case t.uri.PINFile != "":
		if pin, err = readPIN(t.uri.PINFile); err != nil {
			return secrets.Value{}, false, err
		}
	case t.uri.PINEnv != "":
		text, ok := "", false
		if t.cfg.LookupEnv != nil {
			text, ok = t.cfg.LookupEnv(t.uri.PINEnv)
		}
		if !ok {
			return secrets.Value{}, false, fmt.Errorf("%w: reading the PIN: the environment variable %s is not set", secrets.ErrUnavailable, t.uri.PINEnv)
		}
		pin = secrets.NewValue(text)
	case t.cfg.AskPIN != nil:
		if pin, err = t.ask(ctx); err != nil {
			return secrets.Value{}, false, err
		}
	default:
		return secrets.Value{}, false, nil
	}
	if pin.Len() == 0 || pin.Len() > maxPIN {
		return secrets.Value{}, false, fmt.Errorf("%w: the PIN has %d bytes, 1 to %d are allowed", secrets.ErrInvalid, pin.Len(), maxPIN)
	}
	return pin, true, nil
}

func (t *Token) ask(ctx context.Context) (secrets.Value, error) {
	t.asking.Lock()
	defer t.asking.Unlock()
	if t.asked == nil {
		pin, err := t.cfg.AskPIN(ctx)
		if err != nil {
			return secrets.Value{}, err
		}
		t.asked = &pin
	}
	return *t.asked, nil
}

// readPIN reads a PIN from a file, without the newline at its end.
func readPIN(path string) (secrets.Value, error) {
	f, err := os.Open(path)
	if err != nil {
		return secrets.Value{}, fmt.Errorf("%w: reading the PIN: %w", secrets.ErrUnavailable, err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxPIN+3))
	defer clear(data)
	if err != nil {
		return secrets.Value{}, fmt.Errorf("%w: reading the PIN: %w", secrets.ErrUnavailable, err)
	}
	return secrets.NewValue(strings.TrimRight(string(data), "\r\n")), nil
}
