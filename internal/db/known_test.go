package db_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"reflect"
	"sync"
	"testing"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/internal/audit"
	"github.com/datasette-secrets/datasette-secrets/internal/db"
)

var errUndo = errors.New("undo this")

// Two handles, as two processes, and other programs change everything that a use
// of a secret reads and writes, in any order; changes fail, share transactions and
// lose their connection. Every use finds what is in the file, and is in it then.
func TestUsesFindWhatIsThere(t *testing.T) {
	t.Parallel()
	for _, journal := range []string{"wal", "delete"} {
		t.Run(journal, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "internal.db")
			runOn(t, path, secrets.Schema+"; pragma journal_mode = "+journal)
			w := &usedFile{t: t, path: path, r: rand.New(rand.NewPCG(7, 8))}
			for range 2 {
				w.handles = append(w.handles, open(t, path))
			}
			runOn(t, path, `create trigger no_entry before insert on datasette_secrets_log when new.name = 'NO_ENTRY' begin select raise(abort, 'no'); end`)
			for range 600 {
				w.step()
			}
			size, _ := compareHashes(t, w.handles[0])
			if size < 300 {
				t.Errorf("%d entries", size)
			}
		})
	}
}

// usedFile is a file whose secrets are used and changed.
type usedFile struct {
	t       *testing.T
	path    string
	r       *rand.Rand
	handles []*db.DB
	by      string // who used a secret last
	tokens  int
}

func (w *usedFile) step() {
	w.t.Helper()
	d, name := w.handles[w.r.IntN(2)], fmt.Sprintf("N%d", w.r.IntN(3))
	token := fmt.Sprintf("token %d", w.tokens)
	w.tokens++
	switch w.r.IntN(10) {
	case 0:
		w.want(d.Update(context.Background(), put(name, token)), nil)
	case 1:
		w.want(d.Update(context.Background(), func(tx *db.Tx) error {
			return cmp.Or(put(name, token)(tx), w.compare(tx, name), errUndo)
		}), errUndo)
	case 2:
		runOn(w.t, w.path, fmt.Sprintf("update datasette_secrets set encrypted = %q where name = %q", token, name))
	case 3:
		runOn(w.t, w.path, fmt.Sprintf("delete from datasette_secrets where name = %q; delete from datasette_secrets_marks where name = %q", name, name))
	case 4:
		runOn(w.t, w.path, "update datasette_secrets set last_used_by = null, last_used_at = null")
	case 5:
		w.want(d.LoseConnection(), nil)
	case 6:
		w.crowd(d, name, token)
	case 7:
		if err := w.tryUse(d, name, "NO_ENTRY"); err == nil {
			w.t.Error("the trigger did not refuse")
		}
	default: // uses are what there is most of
	}
	w.use(d, name)
}

// crowd makes several changes and uses at once, which share transactions.
func (w *usedFile) crowd(d *db.DB, name, token string) {
	var all sync.WaitGroup
	for i := range 6 {
		all.Go(func() {
			err := d.Update(context.Background(), func(tx *db.Tx) error {
				switch i % 3 {
				case 1:
					return cmp.Or(put(name, fmt.Sprint(token, i))(tx), w.compare(tx, name))
				case 2:
					return cmp.Or(put(name, "undone")(tx), errUndo)
				}
				return w.compare(tx, name)
			})
			if i%3 == 2 && errors.Is(err, errUndo) {
				err = nil
			}
			w.want(err, nil)
		})
	}
	all.Wait()
}

// use uses a secret, and looks for that in the file.
func (w *usedFile) use(d *db.DB, name string) {
	w.t.Helper()
	w.want(w.tryUse(d, name, name), nil)
	if row := newest(w.t, d, name); row.Version > 0 && row.LastUsedBy != w.by {
		w.t.Fatalf("%q used %s last, and not %s", row.LastUsedBy, name, w.by)
	}
}

// tryUse uses a secret on behalf of somebody, with an entry about another one.
func (w *usedFile) tryUse(d *db.DB, name, entry string) error {
	w.by = []string{"ann", "bob"}[w.r.IntN(2)]
	return d.Update(context.Background(), func(tx *db.Tx) error {
		if err := w.compare(tx, name); err != nil {
			return err
		}
		c, err := tx.Current(name)
		if err == nil && c.Found {
			tx.Touch(c.Row.ID, w.by)
		}
		tx.Record(audit.Entry{Action: audit.Get, Name: entry, ActorID: w.by, Allowed: true})
		return err
	})
}

// compare compares Current with the statements that remember nothing.
func (w *usedFile) compare(tx *db.Tx, name string) error {
	c, err := tx.Current(name)
	if err != nil {
		return err
	}
	want := db.Current{Row: db.Row{Name: name}}
	row, found, err := tx.Newest(name)
	if err != nil {
		return err
	}
	if want.Found = found; found {
		want.Row = db.Row{ID: row.ID, Name: row.Name, Version: row.Version, Encrypted: row.Encrypted, Binding: row.Binding, KeyName: row.KeyName, DeletedAt: row.DeletedAt}
	}
	if want.Mark, want.Marked, err = tx.Mark(name); err != nil {
		return err
	}
	want.Mark.Name = name
	if !reflect.DeepEqual(c, want) {
		return fmt.Errorf("%s is known as %+v, and it is %+v", name, c, want)
	}
	return nil
}

func (w *usedFile) want(err, want error) {
	w.t.Helper()
	if !errors.Is(err, want) {
		w.t.Error(err)
	}
}

// put stores a version with its binding and mark.
func put(name, token string) func(*db.Tx) error {
	return func(tx *db.Tx) error {
		id, version, err := tx.Insert(db.Row{Name: name, Encrypted: []byte(token), KeyName: "default"}, 0)
		if err == nil {
			err = tx.SetBinding(id, []byte("of "+token))
		}
		if err == nil {
			err = tx.SetMark(db.Mark{Name: name, Version: version, Code: []byte("of " + token)})
		}
		return err
	}
}
