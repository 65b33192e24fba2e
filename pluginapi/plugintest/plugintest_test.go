package plugintest_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/datasette-secrets/datasette-secrets/pluginapi"
	"github.com/datasette-secrets/datasette-secrets/pluginapi/plugintest"
)

// plugin is a plugin made of functions.
type plugin struct {
	declares []pluginapi.Secret
	start    func(context.Context, pluginapi.Host) error
}

func (p plugin) RegisterSecrets(context.Context) ([]pluginapi.Secret, error) { return p.declares, nil }
func (p plugin) Start(ctx context.Context, host pluginapi.Host) error        { return p.start(ctx, host) }

// hostOf runs a plugin that declares KEY and hands out its view of the host.
func hostOf(t *testing.T, options ...plugintest.Option) (*plugintest.Host, pluginapi.Host) {
	t.Helper()
	var view pluginapi.Host
	h := plugintest.New(t, plugin{
		declares: []pluginapi.Secret{{Name: "KEY", Description: "d", ObtainURL: "https://example.com/", ObtainLabel: "l"}},
		start: func(_ context.Context, host pluginapi.Host) error {
			view = host
			return nil
		},
	}, options...)
	if err := h.Wait(); err != nil {
		t.Fatal(err)
	}
	return h, view
}

func TestDeclared(t *testing.T) {
	t.Parallel()
	h, _ := hostOf(t)
	want := []pluginapi.Secret{{Name: "KEY", Description: "d", ObtainURL: "https://example.com/", ObtainLabel: "l"}}
	if got := h.Declared(); !slices.Equal(got, want) {
		t.Errorf("got %v", got)
	}
}

func TestGetSecret(t *testing.T) {
	t.Parallel()
	h, host := hostOf(t, plugintest.Secrets{"KEY": "hunter2", "OTHER": "swordfish"})
	ctx := t.Context()
	value, err := host.GetSecret(ctx, "KEY", "ann")
	if err != nil || value.Len() != len("hunter2") {
		t.Fatalf("got %d bytes, %v", value.Len(), err)
	}
	if got, want := h.Uses(), []plugintest.Use{{Name: "KEY", ActorID: "ann"}}; !slices.Equal(got, want) {
		t.Errorf("uses %v, want %v", got, want)
	}
	if _, err := host.GetSecret(ctx, "OTHER", "ann"); !errors.Is(err, pluginapi.ErrDenied) {
		t.Errorf("undeclared, with a value: %v", err)
	}
	if _, err := host.GetSecret(ctx, "NOWHERE", "ann"); !errors.Is(err, pluginapi.ErrDenied) {
		t.Errorf("undeclared, without a value: %v", err)
	}
	h.Unset("KEY")
	if _, err := host.GetSecret(ctx, "KEY", "ann"); !errors.Is(err, pluginapi.ErrNotSet) {
		t.Errorf("unset: %v", err)
	}
	h.Set("KEY", "new")
	h.Deny("KEY", "ann")
	if _, err := host.GetSecret(ctx, "KEY", "ann"); !errors.Is(err, pluginapi.ErrDenied) {
		t.Errorf("denied: %v", err)
	}
	if _, err := host.GetSecret(ctx, "KEY", "bob"); err != nil {
		t.Errorf("another actor: %v", err)
	}
	if n := len(h.Uses()); n != 2 {
		t.Errorf("%d uses, want 2", n)
	}
}

func TestCanAccessSecret(t *testing.T) {
	t.Parallel()
	h, host := hostOf(t)
	h.Deny("KEY", "ann")
	for _, c := range []struct {
		name, actor string
		want        bool
	}{{"KEY", "bob", true}, {"KEY", "ann", false}, {"OTHER", "bob", false}} {
		got, err := host.CanAccessSecret(t.Context(), c.name, c.actor)
		if err != nil || got != c.want {
			t.Errorf("%s for %s: %v, %v", c.name, c.actor, got, err)
		}
	}
	if len(h.Uses()) != 0 {
		t.Error("asking counted as a use")
	}
}

func TestListSecrets(t *testing.T) {
	t.Parallel()
	h, host := hostOf(t, plugintest.Secrets{"OTHER": "swordfish"})
	for _, want := range []pluginapi.SecretStatus{{Name: "KEY"}, {Name: "KEY", Set: true, Source: "database"}} {
		got, err := host.ListSecrets(t.Context())
		if err != nil || !slices.Equal(got, []pluginapi.SecretStatus{want}) {
			t.Errorf("got %v, %v; want %v", got, err, want)
		}
		h.Set("KEY", "hunter2")
	}
}

func TestConfig(t *testing.T) {
	t.Parallel()
	_, host := hostOf(t, plugintest.Config(map[string]any{"city": "Berlin", "pin": 4711}))
	var good struct{ City string }
	if err := host.Config(t.Context(), &good); err != nil || good.City != "Berlin" {
		t.Errorf("got %v, %v", good, err)
	}
	var wrong struct {
		Pin string `json:"pin"`
	}
	err := host.Config(t.Context(), &wrong)
	if err == nil || !strings.Contains(err.Error(), `"pin" must be of type string`) || strings.Contains(err.Error(), "4711") {
		t.Errorf("got %v", err)
	}
	var list []string
	if err := host.Config(t.Context(), &list); err == nil || !strings.Contains(err.Error(), "must be of type []string") {
		t.Errorf("got %v", err)
	}
}

func TestNoConfig(t *testing.T) {
	t.Parallel()
	_, host := hostOf(t)
	config := struct{ City string }{"the default"}
	if err := host.Config(t.Context(), &config); err != nil || config.City != "the default" {
		t.Errorf("got %v, %v", config, err)
	}
}

func TestFail(t *testing.T) {
	t.Parallel()
	h, host := hostOf(t, plugintest.Secrets{"KEY": "hunter2"})
	ctx := t.Context()
	calls := map[string]func() error{
		"GetSecret":       func() error { _, err := host.GetSecret(ctx, "KEY", ""); return err },
		"CanAccessSecret": func() error { _, err := host.CanAccessSecret(ctx, "KEY", ""); return err },
		"ListSecrets":     func() error { _, err := host.ListSecrets(ctx); return err },
		"Config":          func() error { return host.Config(ctx, new(any)) },
	}
	sentinels := []error{
		pluginapi.ErrNotSet, pluginapi.ErrDenied, pluginapi.ErrSealed, pluginapi.ErrUnavailable,
		pluginapi.ErrNotConfigured, pluginapi.ErrIntegrity,
	}
	for name, call := range calls {
		for _, sentinel := range sentinels {
			h.Fail(fmt.Errorf("a cause: %w", sentinel))
			if err := call(); !errors.Is(err, sentinel) || strings.Contains(err.Error(), "a cause") {
				t.Errorf("%s: got %v, want %v", name, err, sentinel)
			}
		}
		h.Fail(nil)
		if err := call(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestTheFirstDeclarationWins(t *testing.T) {
	t.Parallel()
	h := plugintest.New(t, plugin{
		declares: []pluginapi.Secret{{Name: "KEY", Description: "first"}, {Name: "KEY", Description: "second"}},
		start:    func(context.Context, pluginapi.Host) error { return nil },
	})
	if got := h.Declared(); len(got) != 1 || got[0].Description != "first" {
		t.Errorf("got %v", got)
	}
}

// fatal is a testing.TB that notes Fatalf.
type fatal struct {
	testing.TB
	message string
}

func (f *fatal) Fatalf(format string, args ...any) {
	f.message = fmt.Sprintf(format, args...)
	panic(f)
}

func TestABadPluginFailsTheTest(t *testing.T) {
	t.Parallel()
	tb := &fatal{TB: t}
	defer func() {
		if recover() != tb || !strings.Contains(tb.message, `cannot be named "no spaces"`) {
			t.Errorf("the test ended with %q", tb.message)
		}
	}()
	plugintest.New(tb, plugin{declares: []pluginapi.Secret{{Name: "no spaces"}}})
}
