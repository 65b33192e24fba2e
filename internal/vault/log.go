package vault

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/internal/audit"
	"github.com/datasette-secrets/datasette-secrets/internal/db"
	"github.com/datasette-secrets/datasette-secrets/internal/keyring"
)

// logKeyLabel says what the keyring wraps.
const logKeyLabel = "key of the log"

// SignHead signs what the log is now, if it has grown since the last time, and
// keeps that. It returns the signed head, empty if there was nothing to sign.
// Without keys it is ErrNotConfigured or ErrSealed.
func (v *Vault) SignHead(ctx context.Context) (signed string, err error) {
	keys, err := v.ring()
	if err != nil {
		return "", err
	}
	err = v.commit(ctx, func(tx *db.Tx) error {
		signed = ""
		newest, found, err := tx.NewestLogHead()
		if err != nil {
			return err
		}
		head, err := tx.LogHead()
		if err != nil || found && newest.Size >= head.Size {
			return err
		}
		signing, err := logKey(tx, keys)
		if err != nil {
			return err
		}
		if signed, err = head.Sign(signing); err != nil {
			return err
		}
		return tx.AddLogHead(head, signed)
	})
	if err != nil {
		return "", err
	}
	return signed, nil
}

// UnsignedEntries is how many entries came after the newest head.
func (v *Vault) UnsignedEntries(ctx context.Context) (n int64, err error) {
	err = v.db.View(ctx, func(tx *db.Tx) error {
		newest, _, err := tx.NewestLogHead()
		if err != nil {
			return err
		}
		size, err := tx.LogSize()
		n = size - newest.Size
		return err
	})
	return n, err
}

// logKey is the key that signs the log. One that the keyring does not open is
// followed by a new one, which the log tells of.
func logKey(tx *db.Tx, keys *keyring.Keyring) (signing string, err error) {
	rows, err := tx.LogKeys()
	if err != nil {
		return "", err
	}
	if len(rows) > 0 {
		signing, err := unwrapLogKey(keys, rows[0])
		if err == nil {
			return signing, rewrapLogKeys(tx, keys, rows[:1])
		}
		if !errors.Is(err, secrets.ErrIntegrity) {
			return "", err
		}
	}
	signing, verifying, err := audit.NewKey()
	if err != nil {
		return "", err
	}
	row := db.LogKey{Verifying: verifying}
	if row.Wrapped, row.KeyName, err = keys.Wrap(logKeyLabel, logKeyText(signing, verifying)); err != nil {
		return "", err
	}
	record(tx, secrets.Caller{}, act{action: ActionLogKey, reason: verifying})
	return signing, tx.AddLogKey(row)
}

// logKeyText is what is wrapped: both keys of a pair, so that nobody exchanges
// the public one unnoticed.
func logKeyText(signing, verifying string) []byte { return []byte(signing + "\n" + verifying) }

// unwrapLogKey returns the signing key of a row. It is ErrIntegrity when no key
// opens it, or when it is that of another public key.
func unwrapLogKey(keys *keyring.Keyring, row db.LogKey) (signing string, err error) {
	text, err := keys.Unwrap(logKeyLabel, row.KeyName, row.Wrapped)
	if err != nil {
		return "", err
	}
	defer clear(text)
	signing, verifying, _ := strings.Cut(string(text), "\n")
	if verifying != row.Verifying {
		return "", fmt.Errorf("%w: the %s has another public key than it was made with", secrets.ErrIntegrity, logKeyLabel)
	}
	return signing, nil
}

// rewrapLogKeys puts the keys of the log under the first key of the keyring.
// One that no key opens stays as it is: nothing needs it any more.
func rewrapLogKeys(tx *db.Tx, keys *keyring.Keyring, rows []db.LogKey) error {
	for _, row := range rows {
		if row.KeyName == keys.Names()[0] {
			continue
		}
		signing, err := unwrapLogKey(keys, row)
		if errors.Is(err, secrets.ErrIntegrity) {
			continue
		}
		if err != nil {
			return err
		}
		wrapped, name, err := keys.Wrap(logKeyLabel, logKeyText(signing, row.Verifying))
		if err != nil {
			return err
		}
		if err := tx.RewrapLogKey(row.ID, wrapped, name); err != nil {
			return err
		}
	}
	return nil
}

// rewrapAllLogKeys puts every key of the log under the first key of the keyring
// as it is by now.
func (v *Vault) rewrapAllLogKeys(tx *db.Tx) error {
	keys, err := v.newestRing(tx)
	if err != nil {
		return err
	}
	rows, err := tx.LogKeys()
	if err != nil {
		return err
	}
	return rewrapLogKeys(tx, keys, rows)
}

// LogHead is the newest signed head.
type LogHead struct {
	audit.Head
	Signed string // empty: none was signed yet
}

// LogHead returns the newest signed head of the log, to be kept elsewhere.
func (v *Vault) LogHead(ctx context.Context, caller secrets.Caller) (head LogHead, err error) {
	if err := v.authorizeLog(caller, ""); err != nil {
		return LogHead{}, err
	}
	err = v.db.View(ctx, func(tx *db.Tx) error {
		keys, err := tx.LogKeys()
		if err == nil {
			head, err = newestHead(tx, keys)
		}
		return err
	})
	return head, err
}

func newestHead(tx *db.Tx, keys []db.LogKey) (LogHead, error) {
	stored, found, err := tx.NewestLogHead()
	if err != nil || !found {
		return LogHead{}, err
	}
	head, err := audit.OpenHead(stored.Signed, verifyingKeys(keys)...)
	if err != nil {
		return LogHead{}, fmt.Errorf("%w: the newest head of the log: %w", secrets.ErrIntegrity, err)
	}
	return LogHead{Head: head, Signed: stored.Signed}, nil
}

func verifyingKeys(rows []db.LogKey) []string {
	var keys []string
	for _, row := range rows {
		keys = append(keys, row.Verifying)
	}
	return keys
}

// LogKeys returns the public keys that heads of the log are signed with, the
// present one first.
func (v *Vault) LogKeys(ctx context.Context, caller secrets.Caller) (verifying []string, err error) {
	if err := v.authorizeLog(caller, ""); err != nil {
		return nil, err
	}
	err = v.db.View(ctx, func(tx *db.Tx) error {
		rows, err := tx.LogKeys()
		verifying = verifyingKeys(rows)
		return err
	})
	return verifying, err
}

// ProveEntry returns a proof that an entry is in the log of the newest signed
// head, as audit.Proof writes it, and the entry.
func (v *Vault) ProveEntry(ctx context.Context, caller secrets.Caller, id int64) (entry audit.Stored, proof string, err error) {
	if err := v.authorizeLog(caller, ""); err != nil {
		return audit.Stored{}, "", err
	}
	err = v.db.View(ctx, func(tx *db.Tx) error {
		var found bool
		if entry, found, err = tx.LogEntry(id); err != nil {
			return err
		}
		if !found {
			return fmt.Errorf("%w: the log has no entry %d", secrets.ErrNotFound, id)
		}
		keys, err := tx.LogKeys()
		if err != nil {
			return err
		}
		head, err := newestHead(tx, keys)
		if err != nil {
			return err
		}
		if head.Size < id {
			return fmt.Errorf("%w: no head is signed yet that has entry %d; the host signs one within a minute", secrets.ErrNotFound, id)
		}
		proof, err = audit.Proof(id, head.Head, head.Signed, tx.LogHashes())
		if err != nil {
			return fmt.Errorf("proving entry %d: %w", id, err)
		}
		if len(entry.Leaf) != tlog.HashSize {
			return fmt.Errorf("%w: entry %d has no leaf", secrets.ErrIntegrity, id)
		}
		if _, _, err := audit.CheckProof(proof, tlog.Hash(entry.Leaf), verifyingKeys(keys)...); err != nil {
			return fmt.Errorf("%w: entry %d: %w", secrets.ErrIntegrity, id, err)
		}
		return nil
	})
	return entry, proof, err
}

// Keep is how much of the log stays readable. The zero Keep is all of it.
type Keep struct {
	Entries int64         // the newest ones; 0 for any number
	Age     time.Duration // 0 for any age
}

// PruneLog removes the readable fields of the entries that need not be kept, and
// returns how many. Their hashes stay, so that the others are proven as before.
// It works in small steps.
func (v *Vault) PruneLog(ctx context.Context, keep Keep) (pruned int64, err error) {
	if keep == (Keep{}) {
		return 0, nil
	}
	var before time.Time
	if keep.Age > 0 {
		before = v.now().Add(-keep.Age)
	}
	for {
		n, err := v.pruneSome(ctx, keep.Entries, before)
		if pruned += n; err != nil || n < pruneStep {
			return pruned, err
		}
	}
}

// pruneStep is how many entries are pruned in one transaction.
const pruneStep = 1000

func (v *Vault) pruneSome(ctx context.Context, entries int64, before time.Time) (n int64, err error) {
	err = v.commit(ctx, func(tx *db.Tx) error {
		first, end, err := tx.Prunable(entries, before)
		if err != nil {
			return err
		}
		end = min(end, first+pruneStep)
		if n = end - first; n == 0 {
			return nil
		}
		record(tx, secrets.Caller{}, act{
			action: ActionPrune, version: end - 1,
			reason: fmt.Sprintf("the fields of the entries %d to %d are removed", first, end-1),
		})
		return tx.Prune(first, end)
	})
	return n, err
}
