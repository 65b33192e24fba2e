package harness

import (
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/pluginapi"
)

// KeepValues are the arguments of a host for CheckKeptValues.
func KeepValues() []string {
	return []string{"-s", "plugins.datasette-secrets.plugins.probe.max-age", "1h"}
}

// CheckKeptValues checks the cache of an SDK with a probe in Python or Node,
// called probe, that declared KEY and OTHER: it keeps values, and never gives an
// old one after the host has told of a new one.
func CheckKeptValues(t testing.TB, host *Process, probe *Probe) {
	t.Helper()
	root := secrets.Actor{"id": "root"}
	told := func(want pluginapi.Change) {
		t.Helper()
		for deadline := time.Now().Add(patience); !slices.Contains(probe.Changes(t), want); time.Sleep(5 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("the plugin was told %v, which lacks %v\n%s", probe.Changes(t), want, host.Stderr)
			}
		}
	}
	reads := func(actor, want string) {
		t.Helper()
		if got, err := probe.Get(t, "KEY", actor); err != nil || got != want {
			t.Errorf("%s got %q, %v; want %q", actor, got, err, want)
		}
	}
	lastUser := func() string {
		t.Helper()
		_, after, _ := strings.Cut(host.Get(t, "/-/secrets/KEY", root).Text, "<dt>Last used</dt>")
		text, _, _ := strings.Cut(after, "</dd>")
		return text
	}

	told(pluginapi.Change{Kind: pluginapi.Opened})
	for version, value := range []string{"first", "second", "third"} {
		host.SetSecret(t, "KEY", value, "", root)
		told(pluginapi.Change{Kind: pluginapi.Updated, Name: "KEY", Version: uint64(version + 1)})
		for range 3 {
			reads("ann", value)
		}
	}
	// The host hears nothing of what is kept: bea is the last that it knows of.
	for deadline := time.Now().Add(patience); ; {
		reads("bea", "third")
		reads("ann", "third")
		if strings.Contains(lastUser(), "bea") {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("no value is kept: last used %s", lastUser())
		}
	}
	values, failures := probe.Many(t, "ann", "KEY", "OTHER", "UNDECLARED")
	if want := map[string]string{"KEY": "third"}; !reflect.DeepEqual(values, want) {
		t.Errorf("many values: %v, want %v", values, want)
	}
	want := map[string]string{"OTHER": pluginapi.ErrNotSet.Error(), "UNDECLARED": pluginapi.ErrDenied.Error()}
	if !reflect.DeepEqual(failures, want) {
		t.Errorf("errors of many values: %v, want %v", failures, want)
	}
	host.Do(t, Request{Path: "/-/secrets/KEY/-/delete", Actor: root, Form: url.Values{}})
	told(pluginapi.Change{Kind: pluginapi.Revoked, Name: "KEY", Version: 4})
	if got, err := probe.Get(t, "KEY", "ann"); err != pluginapi.ErrNotSet {
		t.Errorf("after it was deleted: %q, %v", got, err)
	}
}
