package ui

import (
	"errors"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"time"

	"golang.org/x/time/rate"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/internal/access"
	"github.com/datasette-secrets/datasette-secrets/internal/seal"
	"github.com/datasette-secrets/datasette-secrets/internal/signing"
	"github.com/datasette-secrets/datasette-secrets/internal/vault"
)

// How often unsealing can be tried by pages, whoever does it: triesAtOnce, and
// then one more every tryEvery. Each try costs a second and much memory.
const (
	triesAtOnce = 5
	tryEvery    = 15 * time.Second
)

func newTries() *rate.Limiter { return rate.NewLimiter(rate.Every(tryEvery), triesAtOnce) }

// unsealPage is /-/unseal.
type unsealPage struct {
	basePage
	Sealed     bool
	Seals      []sealRow
	Passphrase bool // one of the seals is a passphrase
	Configured bool // the configuration has something to try
	Action     string
	SecretsURL string
}

func (unsealPage) file() string { return "unseal.html" }

type sealRow struct {
	Name, Kind string
	Made       when
}

func (s *site) unsealForm(w http.ResponseWriter, r *request) error {
	if err := s.mayUnseal(r); err != nil {
		return err
	}
	seals, err := s.Vault.Seals(r.Context(), r.caller)
	if err != nil {
		return err
	}
	page := unsealPage{
		basePage:   s.page(r, "Unseal", s.secretsCrumb()),
		Sealed:     s.Vault.Sealed(),
		Configured: len(s.openings()) > 0,
		Action:     s.url("/-/unseal"),
		SecretsURL: s.url("/-/secrets"),
	}
	for _, one := range seals {
		page.Passphrase = page.Passphrase || one.Kind == seal.Passphrase
		page.Seals = append(page.Seals, sealRow{one.Name, string(one.Kind), newWhen(one.CreatedAt, one.CreatedBy)})
	}
	return s.show(w, r, page)
}

// unseal tries what was typed or, if the form asks for it, what the
// configuration has.
func (s *site) unseal(w http.ResponseWriter, r *request) error {
	if err := s.mayUnseal(r); err != nil {
		return err
	}
	fields, err := s.readForm(w, r)
	if err != nil {
		return err
	}
	if !s.Vault.Sealed() {
		r.flash(signing.Info, "This host is not sealed")
		return s.redirect(w, r, s.url("/-/secrets"))
	}
	openings := s.openings()
	if fields["configured"] == "" {
		means, err := seal.ByPassphrase(secrets.NewValue(fields["passphrase"]), 0)
		if err != nil {
			return s.again(w, r, "A passphrase is required")
		}
		openings = []vault.Opening{{Means: means}}
	}
	if now := s.Now(); !s.tries.AllowN(now, 1) {
		seconds := int(math.Ceil((1 - s.tries.TokensAt(now)) * tryEvery.Seconds()))
		w.Header().Set("Retry-After", strconv.Itoa(seconds))
		return &problem{
			status: http.StatusTooManyRequests,
			text:   "Unsealing was tried too often",
			hint:   fmt.Sprintf("Wait %d seconds before the next try.", seconds),
		}
	}
	name, err := s.Vault.Unseal(r.Context(), r.caller, openings)
	switch {
	case errors.Is(err, secrets.ErrIntegrity):
		return err
	case errors.Is(err, secrets.ErrDenied), errors.Is(err, secrets.ErrSealed):
		s.Log.Warn("unsealing failed", "actor", r.caller.Actor.ID(), "error", err)
		return s.again(w, r, "That does not open any of the seals")
	case errors.Is(err, secrets.ErrUnavailable):
		s.Log.Warn("unsealing failed", "actor", r.caller.Actor.ID(), "error", err)
		return s.again(w, r, "That could not be tried now: the database or a device is not available. The log of the host says more.")
	case err != nil:
		return err
	}
	s.Log.Info("unsealed", "actor", r.caller.Actor.ID(), "seal", name)
	r.flash(signing.Info, fmt.Sprintf("This host is unsealed by the seal %s", name))
	return s.redirect(w, r, s.url("/-/secrets"))
}

// mayUnseal allows the page to people who manage secrets and have a name.
func (s *site) mayUnseal(r *request) error {
	if err := s.require(r, access.ManageSecrets); err != nil {
		return err
	}
	if r.caller.Actor.ID() == "" {
		return denied("You must be signed in to unseal", "")
	}
	return nil
}

func (s *site) openings() []vault.Opening {
	if s.Openings == nil {
		return nil
	}
	return s.Openings()
}
