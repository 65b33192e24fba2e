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

// Limits of GetMany. A message to a plugin may have 4 MiB, of which the names
// need a little.
const (
	MaxBatch      = 100            // names
	MaxBatchBytes = 4<<20 - 64<<10 // of all values together
)

// Result is a value, or why there is none.
type Result struct {
	Name  string
	Found Found
	Err   error // of those that Get returns; nil if there is a value
}

// GetMany is Get for at most MaxBatch names, with one result for each, in their
// order. Every value that is found counts as used, and all uses and refusals
// are recorded in one transaction before the first value is returned.
//
// An error means that nothing was read or that nothing could be recorded. It is
// ErrInvalid for too many names and for values that are too large together.
func (v *Vault) GetMany(ctx context.Context, caller secrets.Caller, names []string) ([]Result, error) {
	if len(names) > MaxBatch {
		return nil, fmt.Errorf("%w: %d names are asked for at once, at most %d are allowed", secrets.ErrInvalid, len(names), MaxBatch)
	}
	if len(names) == 0 {
		return nil, nil
	}
	results, reasons := make([]Result, len(names)), make([]string, len(names))
	for i, name := range names {
		reason, err := v.authorizeUse(caller, name)
		results[i], reasons[i] = Result{Name: name, Err: err}, reason
	}
	keys, used, err := v.readMany(ctx, results)
	if err != nil {
		return nil, err
	}
	err = v.commit(ctx, func(tx *db.Tx) error {
		for i, r := range results {
			a := act{action: ActionGet, name: r.Name, reason: reasons[i]}
			switch {
			case r.Err != nil:
				a.reason = r.Err.Error()
				tx.Record(a.entry(caller, false))
			case r.Found.Source != SourceDatabase:
				a.source = r.Found.Source
				record(tx, caller, a)
			default:
				if err := v.recordUse(tx, keys, caller, used[i], reasons[i]); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return results, nil
}

// readMany fills in the results that have no error yet, and returns the keys
// and the versions that it used, by their place in results.
func (v *Vault) readMany(ctx context.Context, results []Result) (*keyring.Keyring, map[int]opened, error) {
	for again := false; ; again = true {
		keys, locked := v.ring()
		answers := slices.Clone(results)
		used, err := v.answer(ctx, keys, locked, answers)
		if err != nil {
			return nil, nil, err
		}
		if slices.ContainsFunc(answers, Result.damaged) && !again && v.hasNewKeys(ctx, keys) {
			continue
		}
		copy(results, answers)
		for _, r := range results {
			_ = v.recordDamage(r.Err)
		}
		return keys, used, nil
	}
}

func (r Result) damaged() bool { return errors.Is(r.Err, secrets.ErrIntegrity) }

// answer fills in results with the keys, or the reason why there are none. It
// reads and decrypts one after the other, so that it never holds more than what
// fits into the limit, and one more token.
func (v *Vault) answer(ctx context.Context, keys *keyring.Keyring, locked error, results []Result) (used map[int]opened, err error) {
	left := MaxBatchBytes
	used = map[int]opened{}
	err = v.db.View(ctx, func(tx *db.Tx) error {
		for i := range results {
			r := &results[i]
			if r.Err != nil {
				continue
			}
			o, err := v.readOne(tx, keys, locked, r)
			if err != nil {
				return err
			}
			if left -= r.Found.Value.Len(); left < 0 {
				return fmt.Errorf("%w: the values are larger than %d bytes together; ask for fewer at once", secrets.ErrInvalid, MaxBatchBytes)
			}
			if r.Found.Source == SourceDatabase {
				used[i] = o
			}
		}
		return nil
	})
	return used, err
}

// readOne finds one value. It returns the version that it used, if any, and an
// error only if the database cannot be read.
func (v *Vault) readOne(tx *db.Tx, keys *keyring.Keyring, locked error, r *Result) (o opened, err error) {
	if value, ok := v.environment.Get(r.Name); ok {
		r.Found = Found{Value: value, Source: SourceEnvironment}
		return opened{}, nil
	}
	if locked != nil {
		r.Err = locked
		return opened{}, nil
	}
	o, err = v.newest(tx, keys, r.Name)
	if errors.Is(err, secrets.ErrNotSet) || errors.Is(err, secrets.ErrIntegrity) {
		r.Err = err
		return opened{}, nil
	}
	if err != nil {
		return opened{}, err
	}
	r.Found = o.found()
	if o.ties == nil {
		o.row.Encrypted = nil // large, and needed for an adoption only
	}
	o.value = secrets.Value{}
	return o, nil
}
