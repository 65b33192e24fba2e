package vault_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	secrets "github.com/datasette-secrets/datasette-secrets"
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
