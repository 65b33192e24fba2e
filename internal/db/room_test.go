package db_test

import (
	"context"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/datasette-secrets/datasette-secrets/internal/db"
)

// Another process writes although this one never ends writing: no statement of it
// waits for the lock for longer than SQLite does by itself, which is five seconds,
// as in Datasette.
func TestOthersComeBetweenTransactions(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"wal", "delete"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			path := made(t, "create table other (n); pragma journal_mode = "+mode)
			d := open(t, path)
			other := raw(t, path)
			ctx, stop := context.WithCancel(t.Context())
			locked := make(chan struct{})
			var writers sync.WaitGroup
			for range 2 {
				writers.Go(func() { writeSlowly(ctx, t, d, locked) })
			}
			for range 10 {
				<-locked
				if _, err := other.Exec("insert into other values (1)"); err != nil {
					t.Errorf("another process writes: %v", err)
				}
			}
			stop()
			writers.Wait()
		})
	}
}

// writeSlowly holds the lock for about 30 ms again and again, and tells of it who
// waits for that.
func writeSlowly(ctx context.Context, t *testing.T, d *db.DB, locked chan<- struct{}) {
	for ctx.Err() == nil {
		err := d.Update(context.WithoutCancel(ctx), func(*db.Tx) error {
			select {
			case locked <- struct{}{}:
			default:
			}
			time.Sleep(20*time.Millisecond + rand.N(20*time.Millisecond))
			return nil
		})
		if err != nil {
			t.Errorf("writing: %v", err)
		}
	}
}
