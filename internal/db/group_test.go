package db_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/datasette-secrets/datasette-secrets/internal/db"
)

// Many writers share transactions, and each gets its own result: nothing is
// lost, no version is given twice, and a change that fails or panics undoes
// nothing but its own work.
func TestWritersShareTransactions(t *testing.T) {
	t.Parallel()
	d := open(t, filepath.Join(t.TempDir(), "internal.db"))
	failure := errors.New("told to fail")
	const writers, rounds = 32, 20
	var all sync.WaitGroup
	for w := range writers {
		all.Go(func() {
			for i := range rounds {
				err := insertAndEnd(d, fmt.Sprintf("W%d", w), func() error {
					switch i % 4 {
					case 1:
						return failure
					case 2:
						panic("told to panic")
					}
					return nil
				})
				if want := map[int]string{1: "told to fail", 2: "panic: told to panic"}[i%4]; fmt.Sprint(err) != cmp.Or(want, "<nil>") {
					t.Errorf("change %d: %v", i, err)
				}
			}
		})
	}
	all.Wait()
	rows, err := newestOfAll(d)
	if err != nil {
		t.Fatal(err)
	}
	if len(rows) != writers {
		t.Errorf("%d names, want %d", len(rows), writers)
	}
	for _, row := range rows {
		if row.Version != rounds/2 {
			t.Errorf("%s has the version %d, want %d", row.Name, row.Version, rounds/2)
		}
	}
}

// insertAndEnd inserts a version and ends the change as end does. A panic comes
// back as an error.
func insertAndEnd(d *db.DB, name string, end func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	return d.Update(context.Background(), func(tx *db.Tx) error {
		if _, _, err := tx.Insert(db.Row{Name: name, KeyName: "default"}, 0); err != nil {
			return err
		}
		return end()
	})
}

func newestOfAll(d *db.DB) (rows []db.Row, err error) {
	err = d.View(context.Background(), func(tx *db.Tx) error {
		rows, err = tx.NewestOfAll()
		return err
	})
	return rows, err
}

// A caller who gives up before its turn has changed nothing; one who gives up
// later is told what became of its change.
func TestAWriterGivesUp(t *testing.T) {
	t.Parallel()
	d := open(t, filepath.Join(t.TempDir(), "internal.db"))
	began, free := make(chan struct{}), make(chan struct{})
	first := make(chan error, 1)
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		first <- d.Update(ctx, func(tx *db.Tx) error {
			close(began)
			<-free
			_, _, err := tx.Insert(db.Row{Name: "FIRST", KeyName: "default"}, 0)
			return err
		})
	}()
	<-began
	cancel()
	late, stop := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer stop()
	err := d.Update(late, func(*db.Tx) error {
		t.Error("a change began after its caller had gone")
		return nil
	})
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	close(free)
	if err := <-first; err != nil {
		t.Errorf("a change that had begun: %v", err)
	}
	if rows, err := newestOfAll(d); err != nil || len(rows) != 1 {
		t.Errorf("rows %v, %v", rows, err)
	}
}
