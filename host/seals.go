package host

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/internal/config"
	"github.com/datasette-secrets/datasette-secrets/internal/control"
	"github.com/datasette-secrets/datasette-secrets/internal/hsm"
	"github.com/datasette-secrets/datasette-secrets/internal/keymem"
	"github.com/datasette-secrets/datasette-secrets/internal/seal"
	"github.com/datasette-secrets/datasette-secrets/internal/vault"
)

// unsealAtStart tries the configured means on the seals of the database, if it
// has any. A host that stays sealed starts all the same: its pages say so, and
// it can be unsealed later.
func (h *Host) unsealAtStart(ctx context.Context, b *base) error {
	has, err := b.door.HasSeals(ctx)
	if err != nil || !has {
		return err
	}
	if b.keys != nil {
		h.warnings = append(h.warnings, `plugins.datasette-secrets.encryption-key is ignored, because the keys of this database are sealed; remove it from the configuration when "datasette-secrets seal verify" is content`)
	}
	b.door.Seal()
	_, err = b.door.Unseal(ctx, secrets.Caller{Proof: secrets.ProofLocal}, h.openings(b, "")())
	if err != nil {
		b.tryLater = !errors.Is(err, secrets.ErrDenied)
		h.log.Warn("the host is sealed: stored secrets can be neither read nor changed until it is unsealed", "error", err)
	}
	return nil
}

// warnOfMemory warns of keys that may be written to swap.
func (h *Host) warnOfMemory(door *vault.Vault) {
	if door.KeyMemory() == keymem.Unlocked {
		h.warnings = append(h.warnings, "the encryption keys are in memory that may be written to swap, because the limit on locked memory is too small; raise it (ulimit -l, or LimitMEMLOCK= of systemd) to 1 MB or more")
	}
}

// How long a sealed host waits before it tries again what the configuration
// has: twice as long each time.
const (
	firstPause   = 2 * time.Second
	longestPause = 10 * time.Minute
)

// unsealLater tries again and again what the configuration has, until ctx ends:
// a token may be slower to start than the host, or a file not be mounted yet. It
// ends when a seal refuses what it is given, because then more tries are of no
// use.
func (h *Host) unsealLater(ctx context.Context, b *base) {
	for pause := firstPause; ; pause = min(2*pause, longestPause) {
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
		openings := h.openings(b, "")()
		if !b.door.Sealed() {
			return
		}
		if len(openings) == 0 {
			continue
		}
		name, err := b.door.Unseal(ctx, secrets.Caller{Proof: secrets.ProofLocal}, openings)
		if err == nil {
			h.log.Info("unsealed", "seal", name)
			return
		}
		if !errors.Is(err, secrets.ErrUnavailable) || errors.Is(err, secrets.ErrDenied) {
			return
		}
	}
}

// openings returns a function that makes means of what the configuration has
// for seals. What cannot be used at the moment is logged and left out.
// pin is for tokens that have none, and may be empty.
func (h *Host) openings(b *base, pin string) func() []vault.Opening {
	return func() []vault.Opening {
		configured, err := b.loaded.Seals()
		if err != nil {
			h.log.Warn("reading what opens the seals", "error", err)
		}
		var all []vault.Opening
		for _, c := range configured {
			if c.Way == config.SealURI && pin != "" && !h.hasPIN(c, b) {
				c.PIN = pin
			}
			means, err := h.means(c, b.lookup)
			if err != nil {
				h.log.Warn("a seal cannot be tried", "seal", c.Name, "error", err)
				continue
			}
			all = append(all, vault.Opening{Seal: c.Name, Means: means})
		}
		return all
	}
}

func (h *Host) means(c config.SealMeans, lookup func(string) (string, bool)) (seal.Means, error) {
	if c.Err != nil {
		return nil, c.Err
	}
	switch c.Way {
	case config.SealPassphrase:
		// A file ends in a newline that nobody typed.
		return seal.ByPassphrase(secrets.NewValue(strings.TrimRight(c.Text, "\n")), 0)
	case config.SealKey:
		return seal.ByKey(secrets.NewValue(c.Text))
	}
	return h.tokens.Token(hsm.Config{
		URI: c.Text, PIN: secrets.NewValue(strings.TrimRight(c.PIN, "\n")),
		AllowPKCS1: c.AllowPKCS1, Timeout: c.Timeout, LookupEnv: lookup,
	})
}

// hasPIN reports whether the configuration says where the PIN of a token is.
func (h *Host) hasPIN(c config.SealMeans, b *base) bool {
	t, err := h.tokens.Token(hsm.Config{URI: c.Text, LookupEnv: b.lookup})
	return c.PIN != "" || err == nil && t.NamesPIN()
}

// NewTokens returns what starts the processes that use PKCS#11 modules, for
// commands about tokens.
func NewTokens(cfg Config) *hsm.Helper {
	return &hsm.Helper{Entered: cfg.Entry != Entry{}, Env: cfg.HelperEnv}
}

// Keys is an open database for commands about its keys: there are no plugins
// and no pages.
type Keys struct {
	host   *Host
	base   *base
	sealed bool // the database has a sealed keyring
}

// OpenKeys reads the configuration and opens the database, whose keys stay
// sealed if they are.
func OpenKeys(ctx context.Context, cfg Config) (*Keys, error) {
	cfg = cfg.withDefaults()
	h := &Host{log: cfg.Log}
	base, err := h.prepare(ctx, cfg)
	if err != nil {
		return nil, errors.Join(err, h.Close(ctx))
	}
	has, err := base.door.HasSeals(ctx)
	if err != nil {
		return nil, errors.Join(err, h.Close(ctx))
	}
	if has {
		base.door.Seal()
	}
	return &Keys{h, base, has}, nil
}

// Door is the vault over the database.
func (k *Keys) Door() *vault.Vault { return k.base.door }

// Tokens starts the processes that use PKCS#11 modules.
func (k *Keys) Tokens() *hsm.Helper { return k.host.tokens }

// Configured are the means that the configuration has for seals.
func (k *Keys) Configured() []vault.Opening { return k.host.openings(k.base, "")() }

// Leave gives up the seals in favour of the configured encryption key; see
// vault.LeaveSeals.
func (k *Keys) Leave(ctx context.Context, openings []vault.Opening) error {
	if k.base.keys == nil {
		return fmt.Errorf("%w: export the keys with seal export-key and put them into plugins.datasette-secrets.encryption-key first", secrets.ErrNotConfigured)
	}
	return k.base.door.LeaveSeals(ctx, Operator(), openings, k.base.keys)
}

// Ephemeral reports whether the database is a temporary one.
func (k *Keys) Ephemeral() bool { return k.host.Ephemeral() }

// Warnings are sentences for the operator.
func (k *Keys) Warnings() []string { return k.host.Warnings() }

// Close closes the database and takes the keys from memory.
func (k *Keys) Close(ctx context.Context) error { return k.host.Close(ctx) }

// Operator is the caller of a command on the machine of the host: the user
// that runs it.
func Operator() secrets.Caller {
	return control.Operator(os.Getuid())
}
