package vault

import (
	"context"
	"errors"
	"fmt"
	"slices"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/internal/db"
	"github.com/datasette-secrets/datasette-secrets/internal/keyring"
)

// maxDamages bounds the list of rows that cannot be trusted.
const maxDamages = 100

// Damage is a row that cannot be trusted, and why.
type Damage struct {
	Row     int64 // its id
	Name    string
	Version int64
	Err     error // ErrIntegrity
}

// KeyUse is a key and what it protects.
type KeyUse struct {
	Name    string
	ID      string // depends on the key alone
	Rows    int64  // that need it
	Damaged int64  // more rows that it opens, and that cannot be trusted
}

// KeyReport is what the keys protect, found out by opening every row: the names
// in the rows alone prove nothing.
type KeyReport struct {
	Keys     []KeyUse // the encrypting one first
	Rows     int64
	Misnamed int64    // rows that name another key than the one that protects them
	Damages  int64    // rows that cannot be trusted
	Damaged  []Damage // at most 100 of them

	last int64 // id of the last row that was looked at
}

// UnderFirst reports whether every row that can be trusted is under the
// encrypting key and names it.
func (r KeyReport) UnderFirst() bool {
	return r.Misnamed == 0 && !slices.ContainsFunc(r.Keys[1:], func(k KeyUse) bool { return k.Rows > 0 })
}

// ReportKeys opens every row and returns what each key protects.
func (v *Vault) ReportKeys(ctx context.Context, caller secrets.Caller) (KeyReport, error) {
	if err := v.authorizeKeys(caller); err != nil {
		return KeyReport{}, err
	}
	if err := v.RefreshKeys(ctx); err != nil {
		return KeyReport{}, err
	}
	keys, err := v.ring()
	if err != nil {
		return KeyReport{}, err
	}
	report, err := newReport(keys)
	if err != nil {
		return KeyReport{}, err
	}
	err = v.walk(ctx, func(rows []db.Row, _ int64) error {
		for _, row := range rows {
			report.add(keys, row, v.requireBindings)
		}
		return nil
	})
	if err == nil {
		err = v.reportMarks(ctx, keys, &report)
	}
	return report, err
}

// reportMarks looks for names of which the newest version was taken away.
func (v *Vault) reportMarks(ctx context.Context, keys *keyring.Keyring, report *KeyReport) error {
	for after, more := "", true; more; {
		err := v.db.View(ctx, func(tx *db.Tx) error {
			names, err := tx.NamesAfter(after, pageRows)
			for _, name := range names {
				if err := report.mark(tx, keys, name); err != nil {
					return err
				}
				after = name
			}
			more = len(names) == pageRows
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (r *KeyReport) mark(tx *db.Tx, keys *keyring.Keyring, name string) error {
	row, _, err := tx.Newest(name)
	if err == nil {
		row.Name = name
		err = checkMark(tx, keys, row)
	}
	if errors.Is(err, secrets.ErrIntegrity) {
		r.damage(db.Row{Name: name}, err)
		return nil
	}
	return err
}

func newReport(keys *keyring.Keyring) (r KeyReport, err error) {
	for _, name := range keys.Names() {
		id, err := keys.ID(name)
		if err != nil {
			return KeyReport{}, err
		}
		r.Keys = append(r.Keys, KeyUse{Name: name, ID: id})
	}
	return r, nil
}

func (r *KeyReport) add(keys *keyring.Keyring, row db.Row, requireBindings bool) {
	r.Rows++
	r.last = row.ID
	name, err := protector(keys, row, requireBindings)
	if err == nil {
		r.use(name).Rows++
		if name != row.KeyName {
			r.Misnamed++
		}
		return
	}
	r.damage(row, err)
	if name, err = keys.Opener(place(row), row.Encrypted, nil); err == nil {
		r.use(name).Damaged++
	}
}

func (r *KeyReport) use(name string) *KeyUse {
	return &r.Keys[slices.IndexFunc(r.Keys, func(k KeyUse) bool { return k.Name == name })]
}

func (r *KeyReport) damage(row db.Row, err error) {
	r.Damages++
	if len(r.Damaged) < maxDamages {
		r.Damaged = append(r.Damaged, Damage{Row: row.ID, Name: row.Name, Version: row.Version, Err: err})
	}
}

// protector returns the name of the key that a row is under, or why the row
// cannot be trusted.
func protector(keys *keyring.Keyring, row db.Row, requireBindings bool) (string, error) {
	if row.Unfit != nil {
		return "", row.Unfit
	}
	if row.Binding == nil && requireBindings {
		return "", errUnbound
	}
	return keys.Opener(place(row), row.Encrypted, row.Binding)
}

// KeyNamed returns the name of the key with this name or id. What is neither
// comes back as it is.
func (v *Vault) KeyNamed(ctx context.Context, nameOrID string) (string, error) {
	if err := v.RefreshKeys(ctx); err != nil {
		return "", err
	}
	keys, err := v.ring()
	if err != nil || slices.Contains(keys.Names(), nameOrID) {
		return nameOrID, err
	}
	for _, name := range keys.Names() {
		id, err := keys.ID(name)
		if err != nil || id == nameOrID {
			return name, err
		}
	}
	return nameOrID, nil
}

// walk visits every row that is there now, in pages. visit is told how many
// there are.
func (v *Vault) walk(ctx context.Context, visit func(rows []db.Row, total int64) error) error {
	var total, last int64
	err := v.db.View(ctx, func(tx *db.Tx) (err error) {
		total, last, err = tx.CountRows()
		return err
	})
	for after := int64(0); err == nil && after < last; {
		var rows []db.Row
		err = v.db.View(ctx, func(tx *db.Tx) (err error) {
			rows, err = tx.RowsAfter(after, pageRows, pageBytes)
			return err
		})
		if err != nil || len(rows) == 0 {
			return err
		}
		after = rows[len(rows)-1].ID
		err = visit(rows, total)
	}
	return err
}

// Retire takes a key away that no row needs, which is proven: every row is
// opened, the last ones under the write lock, under which drop is called to take
// the key from where it is kept. Without drop it is only proven that the key may
// be taken away. abandon gives up the rows that need the key and cannot be
// trusted anyway.
func (v *Vault) Retire(ctx context.Context, caller secrets.Caller, name string, abandon bool, drop func() error) error {
	if drop == nil {
		return v.retire(ctx, caller, name, abandon, nil)
	}
	return v.retire(ctx, caller, name, abandon, func(*db.Tx) error { return drop() })
}

func (v *Vault) retire(ctx context.Context, caller secrets.Caller, name string, abandon bool, drop func(*db.Tx) error) error {
	if err := v.authorizeOperator(caller); err != nil {
		return err
	}
	report, err := v.ReportKeys(ctx, caller)
	if err != nil {
		return err
	}
	if err := report.mayRetire(name, abandon); err != nil {
		return err
	}
	keys, err := v.ring()
	if err != nil || drop == nil {
		return err
	}
	return v.commit(ctx, func(tx *db.Tx) error {
		if err := v.reportRest(tx, keys, &report); err != nil {
			return err
		}
		if err := report.mayRetire(name, abandon); err != nil {
			return err
		}
		if err := v.rewrapAllLogKeys(tx); err != nil {
			return err
		}
		if err := recordKeyEvent(tx, caller, eventRetire, name, nil); err != nil {
			return err
		}
		return drop(tx)
	})
}

// RetireSealed is Retire for a key of a sealed keyring that is open.
func (v *Vault) RetireSealed(ctx context.Context, caller secrets.Caller, name string, abandon bool) error {
	if v.keys.Load().root == nil {
		return fmt.Errorf("%w: no sealed keyring is open", secrets.ErrSealed)
	}
	if err := v.retire(ctx, caller, name, abandon, func(tx *db.Tx) error { return tx.DeleteSealedKey(name) }); err != nil {
		return err
	}
	return v.RefreshKeys(ctx)
}

// reportRest adds the rows that came after a report.
func (v *Vault) reportRest(tx *db.Tx, keys *keyring.Keyring, report *KeyReport) error {
	for {
		rows, err := tx.RowsAfter(report.last, pageRows, pageBytes)
		if err != nil || len(rows) == 0 {
			return err
		}
		for _, row := range rows {
			report.add(keys, row, v.requireBindings)
		}
	}
}

func (r *KeyReport) mayRetire(name string, abandon bool) error {
	i := slices.IndexFunc(r.Keys, func(k KeyUse) bool { return k.Name == name })
	switch {
	case i < 0:
		return fmt.Errorf("%w: there is no key named %q", secrets.ErrNotFound, name)
	case i == 0:
		return fmt.Errorf("%w: %q is the key that encrypts; put another one in front of it with: datasette-secrets key rotate", secrets.ErrInvalid, name)
	case r.Keys[i].Rows > 0:
		return fmt.Errorf("%w: %d of %d rows still need the key %q; put them under the first one with: datasette-secrets key rotate --resume", secrets.ErrInvalid, r.Keys[i].Rows, r.Rows, name)
	case r.Keys[i].Damaged > 0 && !abandon:
		return fmt.Errorf("%w: %d rows need the key %q and cannot be trusted; look at them with: datasette-secrets key status; to give them up, add --abandon", secrets.ErrIntegrity, r.Keys[i].Damaged, name)
	}
	return nil
}
