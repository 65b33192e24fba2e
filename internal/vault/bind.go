package vault

import (
	"context"
	"errors"
	"fmt"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/internal/db"
	"github.com/datasette-secrets/datasette-secrets/internal/keyring"
)

// A row is trusted only if it is tied to its place, as package keyring says.
// Every value that leaves the vault comes out of open, and every row that the
// vault writes gets its ties in add.
//
// Python's datasette-secrets ties nothing. Its rows are adopted when they are
// first seen: they get the ties that they would have if they were ours. After
// that they are trusted as little as ours when something about them changes.
// What looks like such a row but cannot be one is refused: a copy of another
// row, and a newest version whose number is already marked.

// opened is a version that was read and is what was stored.
type opened struct {
	row   db.Row
	value secrets.Value
	ties  *keyring.Ties // to be kept before the value leaves, of a row that has none yet; else nil
}

// newest opens the newest version of a secret. It is ErrNotSet when there is
// none or it is a tombstone, and ErrIntegrity when it is not what was stored,
// or not the newest that was.
func (v *Vault) newest(tx *db.Tx, keys *keyring.Keyring, name string) (opened, error) {
	c, err := tx.Current(name)
	if err != nil {
		return opened{}, distrust(db.Row{Name: name}, err)
	}
	var o opened
	if c.Found {
		if o, err = v.open(tx, keys, c.Row); err != nil {
			return opened{}, err
		}
	}
	if err := proveMark(keys, c.Row, c.Mark, c.Marked); err != nil {
		return opened{}, distrust(c.Row, err)
	}
	if !c.Found || c.Row.Deleted() {
		return opened{}, secrets.ErrNotSet
	}
	return o, nil
}

// checkMark proves that no newer version than this row was ever stored here. A
// row with version 0 stands for none at all.
func checkMark(tx *db.Tx, keys *keyring.Keyring, row db.Row) error {
	mark, marked, err := tx.Mark(row.Name)
	if err != nil {
		return err
	}
	return proveMark(keys, row, mark, marked)
}

// proveMark is checkMark with what is stored as the mark of the row's name.
func proveMark(keys *keyring.Keyring, row db.Row, mark db.Mark, marked bool) (err error) {
	if marked {
		if marked, err = keys.Marked(mark.Name, mark.Version, mark.Code); err != nil {
			return err
		}
		if !marked {
			return fmt.Errorf("%w: the mark of its newest version was made with a key that is not configured, or was changed", secrets.ErrIntegrity)
		}
	}
	switch bound := row.Binding != nil; {
	case mark.Version > row.Version:
		return fmt.Errorf("%w: version %d was stored and is gone", secrets.ErrIntegrity, mark.Version)
	case bound && mark.Version < row.Version:
		return fmt.Errorf("%w: the mark of its newest version is gone", secrets.ErrIntegrity)
	}
	return nil
}

// open decrypts one version and proves that it is what was stored in its place.
func (v *Vault) open(tx *db.Tx, keys *keyring.Keyring, row db.Row) (opened, error) {
	value, err := keys.Open(place(row), row.Encrypted, row.Binding)
	o := opened{row: row, value: value}
	if err == nil && row.Binding == nil {
		o.ties, err = v.adoptable(tx, keys, row)
	}
	if err != nil {
		return opened{}, distrust(row, err)
	}
	return o, nil
}

// adoptable returns the ties of a row that another program stored, if it may
// be adopted.
func (v *Vault) adoptable(tx *db.Tx, keys *keyring.Keyring, row db.Row) (*keyring.Ties, error) {
	if v.requireBindings {
		return nil, errUnbound
	}
	if mark, marked, err := tx.Mark(row.Name); err != nil {
		return nil, err
	} else if marked && mark.Version == row.Version {
		return nil, fmt.Errorf("%w: the binding of its newest version is gone", secrets.ErrIntegrity)
	}
	copied, err := tx.HasTwin(row)
	if err != nil {
		return nil, err
	}
	if copied {
		return nil, errCopied
	}
	ties, err := keys.Tie(place(row), row.Encrypted)
	return &ties, err
}

// Why a row of another program is not adopted.
var (
	errCopied  = fmt.Errorf("%w: it is a copy of another row", secrets.ErrIntegrity)
	errUnbound = fmt.Errorf("%w: another program stored it, and the configuration says bindings: require; set it anew here", secrets.ErrIntegrity)
)

func place(row db.Row) keyring.Place {
	return keyring.Place{Name: row.Name, Version: row.Version, KeyName: row.KeyName, Deleted: row.Deleted()}
}

// keep stores the ties of a row that is adopted, unless the mark of its name
// says by now that the row is none of another program.
func keep(tx *db.Tx, keys *keyring.Keyring, row db.Row, ties keyring.Ties) error {
	mark, marked, err := tx.Mark(row.Name)
	if err != nil {
		return err
	}
	if marked {
		valid, err := keys.Marked(mark.Name, mark.Version, mark.Code)
		if err != nil || !valid || mark.Version == row.Version {
			return err
		}
	}
	if err := tx.AddBinding(row, ties.Binding); err != nil {
		return err
	}
	record(tx, secrets.Caller{}, act{action: ActionAdopt, name: row.Name, row: row.ID, version: row.Version})
	if mark.Version > row.Version {
		return nil
	}
	return tx.SetMark(db.Mark{Name: row.Name, Version: row.Version, Code: ties.Mark})
}

// keepOpened stores what opening a version left to be stored.
func (v *Vault) keepOpened(tx *db.Tx, keys *keyring.Keyring, o opened) error {
	if o.ties == nil {
		return nil
	}
	v.log.Info("adopting a secret that another program stored", "secret", o.row.Name, "version", o.row.Version)
	return keep(tx, keys, o.row, *o.ties)
}

// add encrypts value and stores it as the newest version of row.Name, tied to
// its place, and records that as done, which gets the row's number and version.
// A row with DeletedAt becomes a tombstone. It returns the version.
func (v *Vault) add(tx *db.Tx, keys *keyring.Keyring, row db.Row, value secrets.Value, caller secrets.Caller, done act) (version int64, err error) {
	row.Encrypted, row.KeyName, err = keys.Encrypt(value, v.now())
	if err != nil {
		return 0, err
	}
	after, err := markedVersion(tx, keys, row.Name)
	if err != nil {
		return 0, err
	}
	if row.ID, row.Version, err = tx.Insert(row, after); err != nil {
		return 0, err
	}
	ties, err := keys.Tie(place(row), row.Encrypted)
	if err != nil {
		return 0, err
	}
	if err := tx.SetBinding(row.ID, ties.Binding); err != nil {
		return 0, err
	}
	done.name, done.row, done.version = row.Name, row.ID, row.Version
	record(tx, caller, done)
	return row.Version, tx.SetMark(db.Mark{Name: row.Name, Version: row.Version, Code: ties.Mark})
}

// markedVersion is the newest version that was ever stored under a name. A mark
// that cannot be trusted says nothing: an administrator who sets a secret anew
// puts everything right.
func markedVersion(tx *db.Tx, keys *keyring.Keyring, name string) (int64, error) {
	mark, marked, err := tx.Mark(name)
	if errors.Is(err, secrets.ErrIntegrity) || err == nil && !marked {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	marked, err = keys.Marked(name, mark.Version, mark.Code)
	if err != nil || !marked {
		return 0, err
	}
	return mark.Version, nil
}

// damage is an error about one row.
type damage struct {
	row db.Row
	err error
}

func (d *damage) Error() string {
	if d.row.Version == 0 {
		return fmt.Sprintf("reading %s: %v", d.row.Name, d.err)
	}
	return fmt.Sprintf("reading version %d of %s: %v", d.row.Version, d.row.Name, d.err)
}

func (d *damage) Unwrap() error { return d.err }

// distrust says which row an error is about.
func distrust(row db.Row, err error) error {
	row.Encrypted = nil
	return &damage{row, err}
}

// recordDamage writes down that a row cannot be trusted: whoever asked for it
// may keep quiet. It passes every error on.
func (v *Vault) recordDamage(err error) error {
	var d *damage
	if errors.Is(err, secrets.ErrIntegrity) && errors.As(err, &d) {
		v.damages.Add(1)
		v.log.Error("a stored secret cannot be trusted", "secret", d.row.Name, "version", d.row.Version, "row", d.row.ID, "error", err)
	}
	return err
}

// Damages is how often this vault met a stored secret that cannot be trusted.
func (v *Vault) Damages() int64 { return v.damages.Load() }

// read runs an act that reads rows with the keys. A row that needs a key which
// the vault does not have is read again if there are new keys by now.
func (v *Vault) read(ctx context.Context, act func(*db.Tx, *keyring.Keyring) error) (*keyring.Keyring, error) {
	for again := false; ; again = true {
		keys, err := v.ring()
		if err != nil {
			return nil, err
		}
		err = v.db.View(ctx, func(tx *db.Tx) error { return act(tx, keys) })
		if errors.Is(err, secrets.ErrIntegrity) && !again && v.hasNewKeys(ctx, keys) {
			continue
		}
		return keys, v.recordDamage(err)
	}
}

// hasNewKeys looks whether another process changed the keys.
func (v *Vault) hasNewKeys(ctx context.Context, old *keyring.Keyring) bool {
	if err := v.RefreshKeys(ctx); err != nil {
		v.log.Warn("looking for new keys failed", "error", err)
	}
	now, err := v.ring()
	return err == nil && now != old
}

// Limits of one page of rows, and of one transaction that changes them.
const (
	pageRows  = 256
	pageBytes = 4 << 20 // of tokens
)

// condemned is the binding of a row that is a copy of another one. It fits no
// row: what is condemned stays so when a rotation makes the token that was
// copied anew.
func condemned() []byte { return []byte{0} }

// Adopt adopts every row of another program that can be, and returns how many.
// Each is adopted when it is first read as well; to do it at once shortens the
// time in which nobody would notice a change.
func (v *Vault) Adopt(ctx context.Context) (adopted int, err error) {
	keys, err := v.ring()
	if err != nil || v.requireBindings {
		return 0, nil // there is nothing to do it with, or it is not wanted
	}
	var twins map[int64]bool
	for after := int64(0); ; {
		var rows []db.Row
		err = v.db.View(ctx, func(tx *db.Tx) (err error) {
			if rows, err = tx.Unbound(after, pageRows, pageBytes); err != nil || len(rows) == 0 || twins != nil {
				return err
			}
			twins, err = tx.Twins()
			return err
		})
		if err != nil || len(rows) == 0 {
			return adopted, err
		}
		after = rows[len(rows)-1].ID
		n, err := v.adoptRows(ctx, keys, rows, twins)
		if adopted += n; err != nil {
			return adopted, err
		}
	}
}

// adoptRows adopts those of the rows that can be, and condemns copies. The
// others are told when somebody reads them.
func (v *Vault) adoptRows(ctx context.Context, keys *keyring.Keyring, rows []db.Row, twins map[int64]bool) (adopted int, err error) {
	ties := map[int64]keyring.Ties{}
	var copies []db.Row
	for _, row := range rows {
		if row.Unfit == nil && twins[row.ID] {
			copies = append(copies, row)
		} else if t, err := keys.Tie(place(row), row.Encrypted); err == nil && row.Unfit == nil {
			ties[row.ID] = t
		}
	}
	if len(ties)+len(copies) == 0 {
		return 0, nil
	}
	err = v.commit(ctx, func(tx *db.Tx) error {
		for _, row := range rows {
			t, ok := ties[row.ID]
			if !ok {
				continue
			}
			if err := keep(tx, keys, row, t); err != nil {
				return err
			}
		}
		return condemn(tx, copies)
	})
	if err != nil {
		return 0, err
	}
	for _, row := range copies {
		_ = v.recordDamage(distrust(row, errCopied))
	}
	if len(ties) > 0 {
		v.log.Info("adopted secrets that another program stored", "rows", len(ties))
	}
	return len(ties), nil
}

func condemn(tx *db.Tx, copies []db.Row) error {
	for _, row := range copies {
		if err := tx.AddBinding(row, condemned()); err != nil {
			return err
		}
	}
	return nil
}
