package main

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/datasette-secrets/datasette-secrets/pluginapi"
	"github.com/datasette-secrets/datasette-secrets/pluginapi/plugintest"
)

// in runs story against a demo plugin, in a time of its own.
func in(t *testing.T, story func(h *plugintest.Host), options ...plugintest.Option) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := plugintest.New(t, Demo{Every: time.Minute}, options...)
		synctest.Wait()
		story(h)
	})
}

func minute() {
	time.Sleep(time.Minute)
	synctest.Wait()
}

func TestDeclarations(t *testing.T) {
	in(t, func(h *plugintest.Host) {
		declared := h.Declared()
		if len(declared) != 2 || declared[0].Name != "DEMO_API_KEY" || declared[1].Name != "DEMO_PASSWORD" {
			t.Fatalf("declared %v", declared)
		}
		if declared[0].ObtainURL == "" || declared[0].ObtainLabel == "" {
			t.Error("the key has no link that says where to get one")
		}
		for _, d := range declared {
			if d.Description == "" {
				t.Errorf("%s has no description", d.Name)
			}
		}
	})
}

func TestUsesTheKeyAtStartAndOnceAMinute(t *testing.T) {
	in(t, func(h *plugintest.Host) {
		if n := len(h.Uses()); n != 1 {
			t.Fatalf("%d uses at the start, want 1", n)
		}
		minute()
		minute()
		if n := len(h.Uses()); n != 3 {
			t.Errorf("%d uses after two minutes, want 3", n)
		}
		for _, use := range h.Uses() {
			if use != (plugintest.Use{Name: "DEMO_API_KEY", ActorID: "demo"}) {
				t.Errorf("use %v", use)
			}
		}
	}, plugintest.Secrets{"DEMO_API_KEY": "hunter2", "DEMO_PASSWORD": "swordfish"})
}

func TestLogsTheLengthAndNotTheKey(t *testing.T) {
	in(t, func(h *plugintest.Host) {
		if log := h.Log(); !strings.Contains(log, `"length":7`) || strings.Contains(log, "hunter2") {
			t.Errorf("log: %s", log)
		}
	}, plugintest.Secrets{"DEMO_API_KEY": "hunter2"})
}

func TestSaysOnceWhatToDo(t *testing.T) {
	in(t, func(h *plugintest.Host) {
		minute()
		minute()
		log := h.Log()
		if n := strings.Count(log, "set DEMO_API_KEY at /-/secrets/DEMO_API_KEY"); n != 1 {
			t.Errorf("said it %d times: %s", n, log)
		}
		if !strings.Contains(log, `"@level":"info"`) {
			t.Errorf("log: %s", log)
		}
		h.Set("DEMO_API_KEY", "hunter2")
		minute()
		if n := len(h.Uses()); n != 1 {
			t.Errorf("%d uses after the value was set, want 1", n)
		}
		h.Unset("DEMO_API_KEY")
		minute()
		if n := strings.Count(h.Log(), "set DEMO_API_KEY at"); n != 2 {
			t.Errorf("a value that was taken away again was mentioned %d times", n-1)
		}
	})
}

func TestGoesOnAfterAnError(t *testing.T) {
	in(t, func(h *plugintest.Host) {
		h.Fail(pluginapi.ErrUnavailable)
		minute()
		h.Fail(nil)
		minute()
		if log := h.Log(); !strings.Contains(log, "temporarily unavailable") {
			t.Errorf("log: %s", log)
		}
		if n := len(h.Uses()); n != 2 {
			t.Errorf("%d uses, want 2", n)
		}
	}, plugintest.Secrets{"DEMO_API_KEY": "hunter2"})
}
