package vault_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/internal/access"
	"github.com/datasette-secrets/datasette-secrets/internal/vault"
)

// acted is a vault with a few acts: three by root, one use and one refused.
func acted(t *testing.T) *world {
	t.Helper()
	w := open(t)
	declare(t, w, "weather", "A", "B")
	for _, name := range []string{"A", "B", "A"} {
		put(t, w, name, "value of "+name, "")
	}
	if _, err := w.Get(ctx, plugin("weather", "alice"), "A"); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Put(ctx, mallory, "B", secrets.NewValue("x"), ""); !errors.Is(err, secrets.ErrDenied) {
		t.Fatal(err)
	}
	return w
}

func actions(found vault.LogFound) (all []string) {
	for _, row := range found.Entries {
		all = append(all, row.Action+" "+row.Name)
	}
	return all
}

func TestReadLog(t *testing.T) {
	t.Parallel()
	w := acted(t)
	no := false
	for what, c := range map[string]struct {
		filter vault.LogFilter
		want   []string
	}{
		"a secret":  {vault.LogFilter{Name: "A"}, []string{"get A", "put A", "put A", "first-use A"}},
		"a plugin":  {vault.LogFilter{Plugin: "weather", Action: "get"}, []string{"get A"}},
		"an actor":  {vault.LogFilter{Actor: "alice"}, []string{"get A"}},
		"refused":   {vault.LogFilter{Allowed: &no}, []string{"put B"}},
		"an action": {vault.LogFilter{Action: "put", Name: "B"}, []string{"put B", "put B"}},
		"a time":    {vault.LogFilter{Since: w.time.Add(time.Second)}, nil},
	} {
		found, err := w.OlderLog(ctx, root, c.filter, 0, 100)
		if got := actions(found); err != nil || !slices.Equal(got, c.want) || found.More {
			t.Errorf("%s: %q, %v; want %q", what, got, err, c.want)
		}
		slices.Reverse(c.want)
		found, err = w.NewerLog(ctx, root, c.filter, 0, 100)
		if got := actions(found); err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%s, oldest first: %q, %v; want %q", what, got, err, c.want)
		}
	}
	days, err := w.UsesPerDay(ctx, root, "A", w.time.AddDate(0, 0, -1), 3)
	if err != nil || !slices.Equal(days, []int64{0, 1, 0}) {
		t.Errorf("uses: %v, %v", days, err)
	}
	stats, err := w.LogStats(ctx, root, vault.LogFilter{Name: "B"}, 1000)
	if err != nil || stats.Entries != 3 || stats.ByAction[0] != (vault.LogCount{Text: "put", Allowed: 1, Refused: 1}) {
		t.Errorf("stats: %+v, %v", stats, err)
	}
	before, err := w.OlderLog(ctx, root, vault.LogFilter{}, 0, vault.MaxLogPage+1)
	if err != nil {
		t.Fatal(err)
	}
	after, err := w.OlderLog(ctx, root, vault.LogFilter{}, 0, vault.MaxLogPage)
	if err != nil || len(after.Entries) != len(before.Entries) {
		t.Errorf("reading the log leaves a trace: %d entries, then %d, %v", len(before.Entries), len(after.Entries), err)
	}
}

// Only who manages secrets reads the log. A plugin never does, whoever it says
// it asks for.
func TestReadLogNeedsPermission(t *testing.T) {
	t.Parallel()
	w := acted(t)
	for what, caller := range map[string]secrets.Caller{
		"nobody": anonymous, "mallory": mallory, "a plugin for root": plugin("weather", "root"),
		"a plugin that says it is local": {Plugin: "weather", Actor: root.Actor, Proof: secrets.ProofLocal},
		"a client that says so":          {Client: "billing", Actor: root.Actor, Proof: secrets.ProofLocal},
		"a client":                       {Client: "billing"},
	} {
		for _, filter := range []vault.LogFilter{{}, {Name: "A"}, {Plugin: "weather"}} {
			found, err := w.OlderLog(ctx, caller, filter, 0, 10)
			if !errors.Is(err, secrets.ErrDenied) || len(found.Entries) > 0 {
				t.Errorf("%s: %d entries, %v", what, len(found.Entries), err)
			}
			if _, err := w.NewerLog(ctx, caller, filter, 0, 10); !errors.Is(err, secrets.ErrDenied) {
				t.Errorf("%s: %v", what, err)
			}
			if _, err := w.LogStats(ctx, caller, filter, 10); !errors.Is(err, secrets.ErrDenied) {
				t.Errorf("%s: %v", what, err)
			}
		}
		for _, id := range []int64{1, 1 << 60, -1} {
			if row, err := w.LogRow(ctx, caller, id); err == nil || row.ID != 0 {
				t.Errorf("%s reads %+v", what, row)
			}
		}
		if _, err := w.UsesPerDay(ctx, caller, "A", w.time, 1); !errors.Is(err, secrets.ErrDenied) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if row, err := w.LogRow(ctx, root, 1); err != nil || row.ID != 1 || row.Action == "" {
		t.Errorf("%+v, %v", row, err)
	}
	if _, err := w.LogRow(ctx, root, 1<<62); !errors.Is(err, secrets.ErrNotFound) {
		t.Error(err)
	}
}

// Who manages one secret reads what the log says of it, and nothing else; and
// who manages all others reads nothing of it.
func TestReadLogOfOneSecret(t *testing.T) {
	t.Parallel()
	w := open(t)
	for range 3 {
		put(t, w, "API_KEY", "value", "")
		put(t, w, "PASSWORD", "value", "")
	}
	if _, err := w.SignHead(ctx); err != nil {
		t.Fatal(err)
	}
	w.policy(t, access.Config{
		Permissions: map[string]any{"manage-secrets": map[string]any{"id": "root"}},
		Secrets: map[string]access.SecretConfig{
			"API_KEY": {Permissions: map[string]any{"manage-secrets": map[string]any{"id": "mallory"}}},
		},
	})
	found, err := w.OlderLog(ctx, mallory, vault.LogFilter{Name: "API_KEY"}, 0, 100)
	if err != nil || len(found.Entries) < 3 {
		t.Errorf("%q, %v", actions(found), err)
	}
	if counts, err := w.UsesPerDay(ctx, mallory, "API_KEY", w.time, 1); err != nil || len(counts) != 1 {
		t.Errorf("%v, %v", counts, err)
	}
	for _, filter := range []vault.LogFilter{{}, {Name: "PASSWORD"}, {Name: "api_key"}, {Name: "API_KEY "}, {Plugin: "demo"}, {Actor: "mallory"}, {Action: "put"}} {
		if found, err := w.OlderLog(ctx, mallory, filter, 0, 100); !errors.Is(err, secrets.ErrDenied) || len(found.Entries) > 0 {
			t.Errorf("%+v: %q, %v", filter, actions(found), err)
		}
		if _, err := w.LogStats(ctx, mallory, filter, 100); !errors.Is(err, secrets.ErrDenied) {
			t.Errorf("%+v: %v", filter, err)
		}
	}
	all, err := w.OlderLog(ctx, secrets.Caller{Proof: secrets.ProofLocal}, vault.LogFilter{}, 0, 1000)
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, row := range all.Entries {
		_, err := w.LogRow(ctx, mallory, row.ID)
		if (err == nil) != (row.Name == "API_KEY") {
			t.Errorf("mallory and the entry %+v: %v", row, err)
		}
		_, err = w.LogRow(ctx, root, row.ID)
		if (err == nil) != (row.Name != "API_KEY") {
			t.Errorf("root and the entry %+v: %v", row, err)
		}
	}
	for from, more := int64(0), true; more; {
		found, err := w.OlderLog(ctx, root, vault.LogFilter{}, from, 2)
		if err != nil {
			t.Fatal(err)
		}
		for _, row := range found.Entries {
			if seen++; row.Name == "API_KEY" {
				t.Errorf("root reads %+v", row)
			}
		}
		from, more = found.Next, found.More
	}
	if own := len(found.Entries); seen != len(all.Entries)-own {
		t.Errorf("root reads %d entries of %d, without %d", seen, len(all.Entries), own)
	}
	_, head := w.LogHead(ctx, mallory)
	_, keys := w.LogKeys(ctx, mallory)
	_, verified := w.VerifyLog(ctx, mallory, nil, nil)
	_, _, proof := w.ProveEntry(ctx, mallory, 1)
	for what, err := range map[string]error{"LogHead": head, "LogKeys": keys, "VerifyLog": verified, "ProveEntry": proof} {
		if !errors.Is(err, secrets.ErrDenied) {
			t.Errorf("%s: %v", what, err)
		}
	}
}
