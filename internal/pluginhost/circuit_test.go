package pluginhost_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/datasette-secrets/datasette-secrets/internal/pluginhost"
)

func TestCircuit(t *testing.T) {
	t.Parallel()
	var c pluginhost.Circuit
	now := time.Now()
	allowed := func(want bool, after time.Duration) {
		t.Helper()
		if c.Allows(now.Add(after)) != want {
			t.Errorf("after %s: allowed is %t", after, !want)
		}
	}
	late := func(want bool, after time.Duration) {
		t.Helper()
		if c.Note(true, now.Add(after)) != want {
			t.Errorf("after %s: news is %t", after, !want)
		}
	}
	late(false, 0)
	late(false, 0)
	c.Note(false, now) // in time, so that it starts again
	late(false, 0)
	late(false, 0)
	allowed(true, 0)
	late(true, 0)
	allowed(false, 0)
	allowed(false, 29*time.Second)
	// One call tries, and nobody else meanwhile.
	allowed(true, 30*time.Second)
	allowed(false, 31*time.Second)
	late(false, 31*time.Second)
	allowed(false, 60*time.Second)
	allowed(true, 61*time.Second)
	c.Note(false, now.Add(61*time.Second))
	allowed(true, 61*time.Second)
	allowed(true, 61*time.Second)
}

func TestKeptAnswers(t *testing.T) {
	t.Parallel()
	k := pluginhost.NewKept[int]()
	now := time.Now()
	k.Put("a", 1, now)
	if v, ok := k.Get("a", now.Add(4*time.Second)); v != 1 || !ok {
		t.Errorf("got %d, %t", v, ok)
	}
	if _, ok := k.Get("a", now.Add(5*time.Second)); ok {
		t.Error("an answer is kept for too long")
	}
	if _, ok := k.Get("b", now); ok {
		t.Error("an answer to nothing")
	}
	k.Put(fmt.Sprintf("%20000d", 0), 1, now)
	for i := range 1000 {
		k.Put(fmt.Sprint(i), i, now)
	}
	if n := k.Len(); n > 256 {
		t.Errorf("%d answers are kept", n)
	}
	if v, ok := k.Get("999", now); v != 999 || !ok {
		t.Errorf("got %d, %t", v, ok)
	}
}
