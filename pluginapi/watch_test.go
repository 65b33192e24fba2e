package pluginapi_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/datasette-secrets/datasette-secrets/pluginapi"
	"github.com/datasette-secrets/datasette-secrets/pluginapi/plugintest"
)

// names declares secrets.
type names []string

func (n names) RegisterSecrets(context.Context) (declared []pluginapi.Secret, err error) {
	for _, name := range n {
		declared = append(declared, pluginapi.Secret{Name: name})
	}
	return declared, nil
}

// held hands out its view of the host, and lives until it is to stop.
type held struct {
	names
	host chan pluginapi.Host
}

func (h held) Start(ctx context.Context, host pluginapi.Host) error {
	h.host <- host
	<-ctx.Done()
	return nil
}

// hold starts a plugin that declares some names.
func hold(t *testing.T, declared names, options ...plugintest.Option) (*plugintest.Host, pluginapi.Host) {
	t.Helper()
	p := held{declared, make(chan pluginapi.Host, 1)}
	h := plugintest.New(t, p, options...)
	return h, <-p.host
}

// seen collects what a watch tells.
type seen struct {
	mu  sync.Mutex
	all []string
}

func (s *seen) add(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all = append(s.all, text)
}

// tells waits until everybody waits, and checks what came since the last time.
func (s *seen) tells(t *testing.T, want ...string) {
	t.Helper()
	synctest.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	if !slices.Equal(s.all, want) {
		t.Errorf("got %q, want %q", s.all, want)
	}
	s.all = nil
}

// follow collects what a watch tells, in the background.
func follow(ctx context.Context, host pluginapi.Host, names ...string) *seen {
	s := &seen{}
	go func() {
		for change, err := range host.Watch(ctx, names...) {
			if err != nil {
				s.add(fmt.Sprint("error ", err, errors.Is(err, pluginapi.ErrDenied)))
				continue
			}
			s.add(strings.TrimSpace(fmt.Sprintf("%s %s %d", change.Kind, change.Name, change.Version)))
		}
		s.add("over")
	}()
	return s
}

func TestWatch(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h, host := hold(t, names{"KEY", "OTHER"}, plugintest.Secrets{"KEY": "one"})
		ctx, cancel := context.WithCancel(t.Context())
		all, one := follow(ctx, host), follow(ctx, host, "OTHER")
		all.tells(t, "opened  0")
		one.tells(t, "opened  0")
		h.Set("KEY", "two")
		h.Set("OTHER", "one")
		h.Set("NOT_MINE", "x")
		h.Unset("OTHER")
		h.Unset("OTHER")
		h.Resync()
		all.tells(t, "updated KEY 2", "updated OTHER 1", "revoked OTHER 2", "resync  0")
		one.tells(t, "updated OTHER 1", "revoked OTHER 2", "resync  0")
		cancel()
		all.tells(t, "over")
		one.tells(t, "over")
	})
}

// A watch that breaks goes on where it was, however long the host is away.
func TestWatchGoesOn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h, host := hold(t, names{"KEY"})
		ctx, cancel := context.WithCancel(t.Context())
		s := follow(ctx, host)
		s.tells(t, "opened  0")
		for i, away := range []time.Duration{0, time.Second, time.Hour} {
			h.Fail(pluginapi.ErrUnavailable)
			h.Set("KEY", fmt.Sprint(i))
			time.Sleep(away)
			h.Fail(nil)
			time.Sleep(15 * time.Second)
			s.tells(t, fmt.Sprintf("updated KEY %d", i+1))
		}
		h.Fail(pluginapi.ErrUnavailable)
		time.Sleep(time.Minute)
		cancel() // while it waits for the next try
		s.tells(t, "over")
		if n := strings.Count(h.Log(), "a watch broke"); n == 0 || n > 4 {
			t.Errorf("the log says so %d times: %s", n, h.Log())
		}
	})
}

func TestWatchThatIsRefused(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		_, host := hold(t, names{"KEY"})
		s := follow(t.Context(), host, "KEY", "NOT_MINE")
		s.tells(t, "error watching secrets: permission denied: secret not declared by this plugin true", "over")
	})
}

func TestLeavingTheLoopEndsTheWatch(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h, host := hold(t, names{"KEY"})
		for change, err := range host.Watch(t.Context()) {
			if err != nil || change.Kind != pluginapi.Opened {
				t.Errorf("got %v, %v", change, err)
			}
			break
		}
		h.Set("KEY", "x")
		synctest.Wait() // would not return if a goroutine of the watch went on in a loop
	})
}

func TestTheEndOfThePluginEndsItsWatches(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var s *seen
		t.Cleanup(func() { s.tells(t, "over") }) // runs after the plugin was stopped
		_, host := hold(t, names{"KEY"}, plugintest.MaxAge(time.Hour), plugintest.Secrets{"KEY": "x"})
		if _, err := host.GetSecret(t.Context(), "KEY", ""); err != nil {
			t.Error(err)
		}
		s = follow(context.WithoutCancel(t.Context()), host)
		s.tells(t, "opened  0")
	})
}

func TestGetSecrets(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var many names
		values := plugintest.Secrets{}
		for i := range 250 {
			name := fmt.Sprintf("KEY_%d", i)
			many = append(many, name)
			values[name] = fmt.Sprint("value ", i)
		}
		delete(values, "KEY_7")
		h, host := hold(t, many, values)
		found, err := host.GetSecrets(t.Context(), append(slices.Clone(many), "NOT_MINE", "KEY_1", "KEY_1"), "ann")
		if len(found) != 249 || found["KEY_123"].Reveal() != "value 123" || found["KEY_1"].Reveal() != "value 1" {
			t.Errorf("%d are found", len(found))
		}
		if _, ok := found["KEY_7"]; ok {
			t.Error("one is found that is not set")
		}
		if !errors.Is(err, pluginapi.ErrNotSet) || !errors.Is(err, pluginapi.ErrDenied) || errors.Is(err, pluginapi.ErrSealed) {
			t.Errorf("got %v", err)
		}
		if text := err.Error(); !strings.Contains(text, `"KEY_7"`) || !strings.Contains(text, `"NOT_MINE"`) || strings.Contains(text, "KEY_8") {
			t.Errorf("got %v", err)
		}
		uses := h.Uses()
		if len(uses) != 249 || uses[0] != (plugintest.Use{Name: "KEY_0", ActorID: "ann"}) {
			t.Errorf("%d uses", len(uses))
		}
		if found, err := host.GetSecrets(t.Context(), nil, ""); len(found) != 0 || err != nil {
			t.Errorf("of none: %v, %v", found, err)
		}
		h.Fail(pluginapi.ErrSealed)
		if found, err := host.GetSecrets(t.Context(), many, ""); len(found) != 0 || !errors.Is(err, pluginapi.ErrSealed) {
			t.Errorf("of a sealed host: %v, %v", found, err)
		}
	})
}

// get reads KEY and tells how often the host was asked so far.
func get(t *testing.T, h *plugintest.Host, host pluginapi.Host, actor, want string) (asked int) {
	t.Helper()
	value, err := host.GetSecret(t.Context(), "KEY", actor)
	if err != nil || value.Reveal() != want {
		t.Errorf("got %q, %v; want %q", value.Reveal(), err, want)
	}
	synctest.Wait()
	return len(h.Uses())
}

func asked(t *testing.T, got, want int) {
	t.Helper()
	if got != want {
		t.Errorf("the host was asked %d times, want %d", got, want)
	}
}

// Without the host's leave, every read asks the host.
func TestNothingIsKeptUnasked(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h, host := hold(t, names{"KEY"}, plugintest.Secrets{"KEY": "one"})
		for i := range 5 {
			asked(t, get(t, h, host, "ann", "one"), i+1)
		}
	})
}

func TestKeptValuesAreNeverOld(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h, host := hold(t, names{"KEY", "OTHER"}, plugintest.Secrets{"KEY": "one"}, plugintest.MaxAge(time.Minute))
		asked(t, get(t, h, host, "ann", "one"), 1) // opens the watch
		asked(t, get(t, h, host, "ann", "one"), 2)
		for range 5 {
			asked(t, get(t, h, host, "ann", "one"), 2)
		}
		asked(t, get(t, h, host, "bob", "one"), 3) // another actor may be refused
		asked(t, get(t, h, host, "bob", "one"), 3)
		found, err := host.GetSecrets(t.Context(), []string{"KEY", "OTHER"}, "ann")
		if found["KEY"].Reveal() != "one" || !errors.Is(err, pluginapi.ErrNotSet) {
			t.Errorf("got %v, %v", found, err)
		}
		asked(t, len(h.Uses()), 3)

		h.Set("OTHER", "x")
		synctest.Wait()
		asked(t, get(t, h, host, "ann", "one"), 3)
		h.Set("KEY", "two")
		synctest.Wait()
		asked(t, get(t, h, host, "ann", "two"), 4)
		asked(t, get(t, h, host, "ann", "two"), 4)

		time.Sleep(time.Minute)
		asked(t, get(t, h, host, "ann", "two"), 5)

		h.Deny("KEY", "ann")
		synctest.Wait()
		if value, err := host.GetSecret(t.Context(), "KEY", "ann"); !errors.Is(err, pluginapi.ErrDenied) {
			t.Errorf("got %q, %v", value.Reveal(), err)
		}
		asked(t, get(t, h, host, "bob", "two"), 6)

		// While changes are not told, nothing is kept.
		h.Fail(pluginapi.ErrSealed)
		synctest.Wait()
		if value, err := host.GetSecret(t.Context(), "KEY", "bob"); !errors.Is(err, pluginapi.ErrSealed) {
			t.Errorf("got %q, %v", value.Reveal(), err)
		}
		h.Fail(nil)
		asked(t, get(t, h, host, "bob", "two"), 7)
		asked(t, get(t, h, host, "bob", "two"), 8)
		time.Sleep(time.Minute) // the watch is open again
		asked(t, get(t, h, host, "bob", "two"), 9)
		asked(t, get(t, h, host, "bob", "two"), 9)
		h.Unset("KEY")
		synctest.Wait()
		if _, err := host.GetSecret(t.Context(), "KEY", "bob"); !errors.Is(err, pluginapi.ErrNotSet) {
			t.Errorf("got %v", err)
		}
	})
}

// Whoever hears of a change in a watch of their own reads the new value.
func TestAWatchIsNeverAheadOfWhatIsKept(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h, host := hold(t, names{"KEY"}, plugintest.Secrets{"KEY": "0"}, plugintest.MaxAge(time.Hour))
		get(t, h, host, "", "0")
		get(t, h, host, "", "0")
		go func() {
			for i := range 100 {
				time.Sleep(time.Millisecond)
				h.Set("KEY", fmt.Sprint(i+1))
			}
		}()
		for change, err := range host.Watch(t.Context(), "KEY") {
			if err != nil {
				t.Fatal(err)
			}
			if change.Kind != pluginapi.Updated {
				continue
			}
			value, err := host.GetSecret(t.Context(), "KEY", "")
			var n uint64
			if _, scanErr := fmt.Sscan(value.Reveal(), &n); err != nil || scanErr != nil || n+1 < change.Version {
				t.Errorf("version %d was told, and then read %q, %v, %v", change.Version, value.Reveal(), err, scanErr)
			}
			if n == 100 {
				break
			}
		}
	})
}
