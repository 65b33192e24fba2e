package batch_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/datasette-secrets/datasette-secrets/internal/batch"
)

// What waits during one run is done by the next one, each item once.
func TestWaitersShareARun(t *testing.T) {
	t.Parallel()
	begun, goOn := make(chan struct{}), make(chan struct{})
	var runs [][]int
	g := batch.New(func(_ context.Context, items []int) {
		runs = append(runs, items)
		if items[0] == 0 {
			close(begun)
			<-goOn
		}
	})
	var all sync.WaitGroup
	do := func(item int) {
		all.Go(func() {
			if err := g.Do(t.Context(), item); err != nil {
				t.Error(err)
			}
		})
	}
	do(0)
	<-begun
	const others = batch.Max + 10
	for i := range others {
		do(i + 1)
	}
	for g.Waiting() < others {
	}
	close(goOn)
	all.Wait()
	seen := map[int]int{}
	for _, run := range runs {
		for _, item := range run {
			seen[item]++
		}
	}
	if len(runs) != 3 || len(seen) != others+1 || len(runs[1]) != batch.Max {
		t.Errorf("%d runs of %d items", len(runs), len(seen))
	}
}

// An item whose caller gives up before its run began is in no run.
func TestGivingUp(t *testing.T) {
	t.Parallel()
	begun, goOn := make(chan struct{}), make(chan struct{})
	g := batch.New(func(_ context.Context, items []string) {
		for _, item := range items {
			if item == "late" {
				t.Error("it is run")
			}
		}
		close(begun)
		<-goOn
	})
	first := make(chan error)
	go func() { first <- g.Do(t.Context(), "first") }()
	<-begun
	ctx, cancel := context.WithCancel(t.Context())
	late := make(chan error)
	go func() { late <- g.Do(ctx, "late") }()
	for g.Waiting() < 1 {
	}
	cancel()
	if err := <-late; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if err := g.Do(ctx, "late"); !errors.Is(err, context.Canceled) {
		t.Errorf("with a context that has ended: %v", err)
	}
	close(goOn)
	if err := <-first; err != nil {
		t.Error(err)
	}
}

// Patience is for the beginning of a run: an item that waited too long is in
// none, and one whose run has begun gets its end.
func TestPatience(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const slow, patience = time.Minute, time.Second
		var seen []int
		g := batch.New(func(_ context.Context, items []int) {
			seen = append(seen, items...)
			time.Sleep(slow)
		})
		var all sync.WaitGroup
		all.Go(func() {
			if err := g.DoWithin(t.Context(), patience, 1); err != nil {
				t.Error(err)
			}
		})
		synctest.Wait()
		began := time.Now()
		err := g.DoWithin(t.Context(), patience, 2)
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != patience {
			t.Errorf("%v after %v", err, time.Since(began))
		}
		if err := g.Do(t.Context(), 3); err != nil {
			t.Error(err)
		}
		all.Wait()
		if !slices.Equal(seen, []int{1, 3}) {
			t.Errorf("%v was run", seen)
		}
	})
}

// Callers give up at any moment, also when they just got the turn: who is told so
// was in no run, everybody else was in one, and the turn goes on.
func TestTheTurnIsNeverLost(t *testing.T) {
	t.Parallel()
	const callers, rounds = 32, 300
	var ran [callers * rounds]int // only the runs write it, one after the other
	g := batch.New(func(_ context.Context, items []int) {
		for _, item := range items {
			ran[item]++
		}
	})
	var all sync.WaitGroup
	var told [callers * rounds]error
	for c := range callers {
		all.Go(func() {
			for i := c * rounds; i < (c+1)*rounds; i++ {
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i%50)*time.Microsecond)
				told[i] = g.DoWithin(ctx, time.Duration(i%30)*time.Microsecond, i)
				cancel()
			}
		})
	}
	all.Wait()
	if err := g.Do(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	ran[0]--
	gaveUp := 0
	for i, err := range told {
		if want := map[bool]int{true: 1}[err == nil]; ran[i] != want {
			t.Fatalf("item %d was in %d runs, and its caller was told %v", i, ran[i], err)
		}
		if err != nil {
			gaveUp++
		}
	}
	if gaveUp == 0 || gaveUp == len(told) {
		t.Errorf("%d of %d gave up", gaveUp, len(told))
	}
}
