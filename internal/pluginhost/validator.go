package pluginhost

import (
	"context"
	"fmt"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/internal/pluginpb"
	"github.com/datasette-secrets/datasette-secrets/internal/pluginwire"
	"github.com/datasette-secrets/datasette-secrets/internal/vault"
)

// maxVerdict is how much of a plugin's message is read at all, in bytes.
const maxVerdict = 16 << 10

// Validators are the plugins that can try out a secret's value now: those that
// may read it, and that offer to.
func (h *Host) Validators(_ context.Context, name string) []string {
	var able []string
	for _, s := range h.plugins {
		l, giveBack := s.offering(vault.HookValidator)
		if l == nil {
			continue
		}
		giveBack()
		if h.cfg.Vault.MayHave(secrets.Caller{Plugin: s.name}, name) {
			able = append(able, s.name)
		}
	}
	return able
}

// TestSecret lets a plugin try out the value of a secret, for an administrator.
// It counts as a use of the secret. The plugin's message comes back as plain
// text without the value.
//
// Besides the errors of the vault there is ErrUnavailable, for a plugin that
// does not try it out, with the reason as a sentence for people.
func (h *Host) TestSecret(ctx context.Context, caller secrets.Caller, plugin, name string) (secrets.TestResult, error) {
	s, err := h.find(plugin)
	if err != nil {
		return secrets.TestResult{}, err
	}
	l, giveBack := s.offering(vault.HookValidator)
	if l == nil {
		return secrets.TestResult{}, fmt.Errorf("%w: it does not test values now", secrets.ErrUnavailable)
	}
	defer giveBack()
	found, err := h.cfg.Vault.Try(ctx, caller, plugin, name)
	if err != nil {
		return secrets.TestResult{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, l.timings.Call)
	defer cancel()
	value, redactor := found.Value.Reveal(), l.runner.journal.redactor
	redactor.learn(name, value)
	response, err := pluginpb.NewValidatorClient(l.conn).TestSecret(ctx, &pluginpb.TestSecretRequest{Name: name, Value: []byte(value)})
	if err != nil {
		return secrets.TestResult{}, fmt.Errorf("%w: %w", secrets.ErrUnavailable, l.explain("TestSecret", err))
	}
	return secrets.TestResult{Plugin: plugin, OK: response.GetOk(), Message: verdict(response.GetMessage(), redactor)}, nil
}

// verdict makes a plugin's message fit for a page.
func verdict(message string, r *redactor) string {
	if len(message) > maxVerdict {
		return ""
	}
	return r.fit(message, pluginwire.MaxTestMessage)
}
