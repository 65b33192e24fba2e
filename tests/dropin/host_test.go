package dropin_test

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/datasette-secrets/datasette-secrets/tests/harness"
)

// What datasette-secrets does, it does with the values of a host: the rows of
// get_secret and register_secrets, one after the other.
func TestRowsThroughTheHost(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "ALPHA", "BETA", "DEMO_ONE", "LATER")
	env := append(onlyOurs(), "DATASETTE_SECRETS_FROM_ENV=  envval\n", "DATASETTE_SECRETS_BETA=", "DATASETTE_SECRETS_UNDECLARED=x")
	datasette := w.datasetteWith(t, w.socket, env)
	names := func(names ...string) {
		t.Helper()
		if r := datasette.Do(t, harness.Request{Method: http.MethodPost, Path: "/-/declare?" + url.Values{"name": names}.Encode()}); r.StatusCode != 200 {
			t.Fatal(r.Status, r.Text)
		}
	}

	want(t, "declared and not set", read(t, datasette, "ALPHA", "root"), "None")
	w.set(t, "ALPHA", "one")
	want(t, "set", read(t, datasette, "ALPHA"), "=one")
	w.set(t, "ALPHA", "two")
	want(t, "the newest version", read(t, datasette, "ALPHA", "ann"), "=two")
	w.set(t, "BETA", "a\r\nb")
	want(t, "an empty variable is none, and lines stay as they are", read(t, datasette, "BETA", "7"), "=a\r\nb")
	want(t, "an actor without name is nobody", read(t, datasette, "BETA", ""), "=a\r\nb")
	delete := w.Do(t, harness.Request{Path: "/-/secrets/BETA/-/delete", Actor: root(), Form: url.Values{"version": {"1"}, "confirm": {"BETA"}, "name": {"BETA"}}})
	if delete.StatusCode == http.StatusFound {
		want(t, "deleted", read(t, datasette, "BETA"), "None")
	} else {
		t.Errorf("deleting: %s\n%s", delete.Status, delete.Text)
	}

	// Declaring decides, whatever the environment or the host has.
	want(t, "undeclared, in the environment", read(t, datasette, "UNDECLARED"), "None")
	want(t, "granted, and not declared", read(t, datasette, "LATER"), "None")
	want(t, "not declared", read(t, datasette, "FROM_ENV"), "None")
	names("ALPHA", "LATER", "FROM_ENV", "WAITS", "no name", "DEMO_ONE")
	want(t, "the environment goes before, as it is", read(t, datasette, "FROM_ENV", "root"), "=  envval\n")
	want(t, "granted, and declared by now", read(t, datasette, "LATER"), "None")
	w.set(t, "LATER", "later")
	want(t, "set by now", read(t, datasette, "LATER"), "=later")
	want(t, "BETA is not declared any more", read(t, datasette, "BETA"), "None")
	want(t, "a name that the host cannot have", read(t, datasette, "no name"), "None")
	w.set(t, "WAITS", "waits")
	want(t, "not approved", read(t, datasette, "WAITS"), "None")
	w.client(t, "approve", "datasette", "WAITS")
	want(t, "approved", read(t, datasette, "WAITS"), "=waits")
	want(t, "nobody's secret", read(t, datasette, "EXAMPLE_SECRET"), "None")

	// The first declaration of a name counts: the demo was registered before
	// this, but the other comes last by its own wish.
	page := w.Get(t, "/-/secrets/DEMO_ONE", root()).Text
	if !strings.Contains(page, "The first of the demo") || strings.Contains(page, "A secret of the tests") {
		t.Errorf("DEMO_ONE is described by the wrong plugin:\n%s", page)
	}

	log := w.log(t)
	for _, entry := range []string{
		"get ALPHA datasette None true", "get ALPHA datasette ann true", "get BETA datasette 7 true", "get WAITS datasette None false",
		"get WAITS datasette None true",
	} {
		if !slices.Contains(log, entry) {
			t.Errorf("the host's log lacks %q:\n%s", entry, strings.Join(log, "\n"))
		}
	}
	for _, entry := range log {
		if strings.Contains(entry, "FROM_ENV") || strings.Contains(entry, "UNDECLARED") || strings.Contains(entry, "no name") {
			t.Errorf("the host was asked for what it should not: %s", entry)
		}
	}

	// What the host cannot say is an error, and never None.
	w.Stop(t)
	other := strings.TrimSpace(harness.Run(t, "", "generate-encryption-key").Stdout)
	w.again(t, "-s", "plugins.datasette-secrets.encryption-key", other)
	want(t, "another key", read(t, datasette, "ALPHA"), "SecretDamaged")
	w.Stop(t)
	w.again(t)
	want(t, "the right key", read(t, datasette, "ALPHA"), "=two")
	w.client(t, "revoke", "datasette")
	want(t, "revoked", read(t, datasette, "ALPHA"), "TokenRefused")
}

// A host that is killed and started again under many calls: each ends in a
// value or in an error of the drop-in, none in a wrong value, and it recovers
// by itself.
func TestHostRestarts(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "ALPHA", "BETA", "DEMO_ONE")
	datasette := w.datasette(t, w.URL)
	for _, name := range []string{"ALPHA", "BETA"} {
		want(t, "not set", read(t, datasette, name), "None")
		w.set(t, name, "value of "+name)
	}
	const times = 25
	manyOf := func(p *harness.Process) (values, errors int) {
		var all []outcome
		decode(t, p.Get(t, fmt.Sprintf("/-/many?name=ALPHA&name=BETA&times=%d", times), nil).Text, &all)
		if len(all) != 2*times {
			t.Fatalf("%d outcomes", len(all))
		}
		for i, o := range all {
			switch name := []string{"ALPHA", "BETA"}[i%2]; {
			case o.Value != nil && *o.Value == "value of "+name:
				values++
			case o.Value == nil && o.Error == "HostUnavailable" && o.Typed:
				errors++
			default:
				t.Errorf("%s: %v %s", name, o, o.Text)
			}
		}
		return values, errors
	}
	many := func() (values, errors int) { return manyOf(datasette) }
	if values, _ := many(); values != 2*times {
		t.Errorf("%d values of a host that runs", values)
	}
	for range 2 {
		asked := make(chan [2]int)
		go func() {
			var all [2]int
			for range 4 {
				values, errors := many()
				all[0], all[1] = all[0]+values, all[1]+errors
			}
			asked <- all
		}()
		w.Kill()
		w.again(t)
		if all := <-asked; all[0]+all[1] != 4*2*times {
			t.Errorf("%d values and %d errors", all[0], all[1])
		} else {
			t.Logf("%d values, %d errors", all[0], all[1])
		}
	}
	if values, _ := many(); values != 2*times {
		t.Errorf("%d values after the host is back", values)
	}

	// One that waits for a second gets errors instead, and values afterwards.
	hasty := w.datasette(t, w.URL, "-s", "plugins.datasette-secrets.timeout", "1s")
	w.Kill()
	if values, errors := manyOf(hasty); values != 0 || errors != 2*times {
		t.Errorf("%d values and %d errors of a host that is down", values, errors)
	}
	w.again(t)
	deadline := time.Now().Add(time.Minute)
	for values := 0; values < 2*times && !t.Failed(); values, _ = manyOf(hasty) {
		if time.Now().After(deadline) {
			t.Error("it does not recover")
		}
	}
	if log := datasette.Stderr.String() + hasty.Stderr.String(); strings.Contains(log, "Traceback") || strings.Contains(log, "value of") {
		t.Errorf("logged\n%s", log)
	}
}
