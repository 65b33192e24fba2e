package pluginapi_test

import (
	"bytes"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/datasette-secrets/datasette-secrets/pluginapi"
)

func keeps(t *testing.T, c *pluginapi.Cache, name, actorID, want string) {
	t.Helper()
	if got, ok := c.Get(name, actorID); got != want || ok != (want != "") {
		t.Errorf("%s for %q: %q, %t; want %q", name, actorID, got, ok, want)
	}
}

func TestCacheForgets(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		fill := func() *pluginapi.Cache {
			c := &pluginapi.Cache{}
			c.Enable()
			c.Ask("KEY", "ann")("one", time.Minute)
			c.Ask("KEY", "bob")("two", time.Minute)
			c.Ask("OTHER", "ann")("three", time.Minute)
			keeps(t, c, "KEY", "ann", "one")
			keeps(t, c, "KEY", "bob", "two")
			keeps(t, c, "KEY", "", "")
			return c
		}
		for name, test := range map[string]struct {
			end  func(*pluginapi.Cache)
			left int
		}{
			"updated":  {func(c *pluginapi.Cache) { c.Purge(pluginapi.Change{Kind: pluginapi.Updated, Name: "KEY"}) }, 1},
			"revoked":  {func(c *pluginapi.Cache) { c.Purge(pluginapi.Change{Kind: pluginapi.Revoked, Name: "KEY"}) }, 1},
			"resync":   {func(c *pluginapi.Cache) { c.Purge(pluginapi.Change{Kind: pluginapi.Resync}) }, 0},
			"opened":   {func(c *pluginapi.Cache) { c.Purge(pluginapi.Change{Kind: pluginapi.Opened}) }, 0},
			"broken":   {func(c *pluginapi.Cache) { c.Disable() }, 0},
			"time":     {func(c *pluginapi.Cache) { time.Sleep(time.Minute); synctest.Wait() }, 0},
			"not mine": {func(c *pluginapi.Cache) { c.Purge(pluginapi.Change{Kind: pluginapi.Updated, Name: "ELSE"}) }, 3},
		} {
			c := fill()
			kept := c.Kept()
			test.end(c)
			wiped := 0
			for _, text := range kept {
				if bytes.Equal(text, make([]byte, len(text))) {
					wiped++
				}
			}
			if left := len(c.Kept()); left != test.left || wiped != 3-test.left {
				t.Errorf("%s: %d are left, want %d; %d are wiped", name, left, test.left, wiped)
			}
			if test.left == 1 {
				keeps(t, c, "OTHER", "ann", "three")
				keeps(t, c, "KEY", "ann", "")
			}
			c.Disable()
		}
	})
}

// What changed while it was asked for may be the value before the change.
func TestCacheKeepsNothingDoubtful(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := &pluginapi.Cache{}
		early := c.Ask("KEY", "") // before changes are told
		c.Enable()
		early("early", time.Hour)
		keeps(t, c, "KEY", "", "")

		crossed := c.Ask("KEY", "")
		c.Purge(pluginapi.Change{Kind: pluginapi.Updated, Name: "KEY"})
		crossed("old", time.Hour)
		keeps(t, c, "KEY", "", "")

		broken := c.Ask("KEY", "")
		c.Disable()
		c.Enable()
		broken("old", time.Hour)
		keeps(t, c, "KEY", "", "")

		c.Ask("KEY", "")("forbidden", 0)
		keeps(t, c, "KEY", "", "")

		slow := c.Ask("KEY", "")
		time.Sleep(time.Minute)
		slow("late", time.Minute)
		keeps(t, c, "KEY", "", "")

		c.Ask("KEY", "")("good", time.Hour)
		c.Ask("KEY", "")("better", time.Hour)
		keeps(t, c, "KEY", "", "better")
		c.Disable()
		c.Ask("KEY", "")("late", time.Hour)
		keeps(t, c, "KEY", "", "")
		if len(c.Kept()) != 0 {
			t.Error("something is kept that nobody gets")
		}
	})
}

func TestCacheIsBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := &pluginapi.Cache{}
		c.Enable()
		for i := range 5000 {
			c.Ask("KEY", fmt.Sprint(i))("x", time.Hour)
		}
		keeps(t, c, "KEY", "4999", "x")
		if n := len(c.Kept()); n != 1000 {
			t.Errorf("%d values are kept", n)
		}
		c.Disable()
	})
}
