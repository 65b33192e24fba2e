package vault

import (
	"context"
	"slices"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/internal/db"
	"github.com/datasette-secrets/datasette-secrets/internal/keyring"
)

// HistoryLimit is how many versions of a secret Show returns at most.
const HistoryLimit = 200

// Show returns one secret and its versions, newest first, at most
// HistoryLimit. A name that may not be stored is ErrNotFound, with the nearest
// declared name as a hint. What cannot be trusted is shown with its Damage;
// nothing is checked while the keys are sealed.
func (v *Vault) Show(ctx context.Context, caller secrets.Caller, name string) (Secret, []Version, error) {
	if _, err := v.authorizeManage(caller, name); err != nil {
		return Secret{}, nil, err
	}
	if !v.Configured() {
		return Secret{}, nil, secrets.ErrNotConfigured
	}
	if err := v.checkName(ctx, name); err != nil {
		return Secret{}, nil, err
	}
	keys, h, err := v.readHistory(ctx, name)
	if err != nil {
		return Secret{}, nil, err
	}
	v.keepAll(ctx, keys, h.adopted)
	secret := v.describe(v.declarations.Load(), name, h.newest)
	secret.Damage = h.damage
	return secret, h.versions, nil
}

// history is what the database has of one name.
type history struct {
	newest   db.Row
	versions []Version
	adopted  []opened
	damage   error // of the newest version
}

// readHistory reads the history of a secret, and records what is damaged.
func (v *Vault) readHistory(ctx context.Context, name string) (*keyring.Keyring, history, error) {
	for again := false; ; again = true {
		keys, _ := v.ring() // none while sealed
		var h history
		err := v.db.View(ctx, func(tx *db.Tx) (err error) {
			h, err = v.history(tx, keys, name)
			return err
		})
		if err != nil {
			return nil, history{}, err
		}
		all := h.damages()
		if len(all) > 0 && !again && v.hasNewKeys(ctx, keys) {
			continue
		}
		for _, err := range all {
			_ = v.recordDamage(err)
		}
		return keys, h, nil
	}
}

func (h history) damages() (all []error) {
	for _, one := range h.versions {
		if one.Damage != nil {
			all = append(all, one.Damage)
		}
	}
	if h.damage != nil && !slices.Contains(all, h.damage) {
		all = append(all, h.damage)
	}
	return all
}

// history reads the versions of a secret, without keys or with a check of each.
func (v *Vault) history(tx *db.Tx, keys *keyring.Keyring, name string) (h history, err error) {
	var unbound []int
	err = tx.History(name, HistoryLimit, func(row db.Row) error {
		one := version(row)
		switch {
		case row.Unfit != nil:
			one.Damage = distrust(row, row.Unfit)
		case keys == nil:
		case row.Binding == nil:
			unbound = append(unbound, len(h.versions))
		default:
			if _, err := keys.Opener(place(row), row.Encrypted, row.Binding); err != nil {
				one.Damage = distrust(row, err)
			}
		}
		if row.Encrypted = nil; len(h.versions) == 0 {
			h.newest, one.Current = row, true
		}
		h.versions = append(h.versions, one)
		return nil
	})
	if err != nil || keys == nil {
		return h, err
	}
	for _, i := range unbound {
		one := &h.versions[i]
		row, _, err := tx.Version(name, one.Version)
		if err != nil {
			return h, err
		}
		o, err := v.open(tx, keys, row)
		if one.Damage = err; err == nil {
			h.adopted = append(h.adopted, o)
		}
	}
	h.newest.Name = name
	if err := checkMark(tx, keys, h.newest); err != nil {
		h.damage = distrust(h.newest, err)
	}
	if len(h.versions) > 0 && h.versions[0].Damage != nil {
		h.damage = h.versions[0].Damage
	}
	return h, nil
}

// keepAll keeps what was adopted by looking. If that fails, whoever reads the
// values adopts them.
func (v *Vault) keepAll(ctx context.Context, keys *keyring.Keyring, all []opened) {
	if len(all) == 0 {
		return
	}
	err := v.commit(ctx, func(tx *db.Tx) error {
		for _, o := range all {
			if err := v.keepOpened(tx, keys, o); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		v.log.Warn("secrets that another program stored could not be adopted", "error", err)
	}
}

func version(row db.Row) Version {
	return Version{
		Version: row.Version, Note: row.Note, KeyName: row.KeyName,
		CreatedAt: row.CreatedAt, CreatedBy: row.CreatedBy,
		UpdatedAt: row.UpdatedAt, UpdatedBy: row.UpdatedBy,
		DeletedAt: row.DeletedAt, DeletedBy: row.DeletedBy,
		LastUsedAt: row.LastUsedAt, LastUsedBy: row.LastUsedBy,
		Deleted: row.Deleted(),
	}
}
