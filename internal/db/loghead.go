package db

import (
	"time"

	"github.com/datasette-secrets/datasette-secrets/internal/audit"
)

// LogHead is the head of the log, without what this transaction records.
func (t *Tx) LogHead() (audit.Head, error) {
	end, err := t.resume(logEnd{})
	if err != nil {
		return audit.Head{}, err
	}
	return audit.Head{Size: end.tree.Size(), Root: end.tree.Root(), Time: t.now.Format(audit.TimeLayout)}, nil
}

// AddLogHead keeps a signed head, and with it the hashes of all entries.
func (t *Tx) AddLogHead(head audit.Head, signed string) error {
	t.tail.signed = true
	return classify("keeping a head of the log", t.exec(`
		insert into datasette_secrets_log_heads (id, time, size, signed)
		values (1 + coalesce((select max(id) from datasette_secrets_log_heads), 0), ?, ?, ?)`,
		head.Time, head.Size, signed))
}

// LogHeadsAfter returns the signed heads after the one with this id, oldest
// first, at most limit.
func (t *Tx) LogHeadsAfter(id int64, limit int) ([]audit.StoredHead, error) {
	return collect(t, "reading the heads of the log", scanHead,
		"select id, time, size, signed from datasette_secrets_log_heads where id > ? order by id limit ?", id, limit)
}

// NewestLogHead returns the newest signed head.
func (t *Tx) NewestLogHead() (audit.StoredHead, bool, error) {
	all, err := collect(t, "reading the heads of the log", scanHead,
		"select id, time, size, signed from datasette_secrets_log_heads order by id desc limit 1")
	if err != nil || len(all) == 0 {
		return audit.StoredHead{}, false, err
	}
	return all[0], true, nil
}

// scanHead reads a head. What is not one has no signature that fits.
func scanHead(scan scanner) (h audit.StoredHead, err error) {
	var at, size, signed any
	if err := scan(&h.ID, &at, &size, &signed); err != nil {
		return h, misfit(err)
	}
	h.Time, _ = at.(string)
	h.Size, _ = size.(int64)
	h.Signed, _ = signed.(string)
	return h, nil
}

// LogKey is one row of datasette_secrets_log_keys.
type LogKey struct {
	ID        int64
	Verifying string
	Wrapped   []byte
	KeyName   string
	CreatedAt string
}

// LogKeys returns the key pairs that sign heads, the one that signs first.
func (t *Tx) LogKeys() ([]LogKey, error) {
	return collect(t, "reading the keys of the log", func(scan scanner) (k LogKey, err error) {
		err = scan(&k.ID, &k.Verifying, &k.Wrapped, &k.KeyName, &k.CreatedAt)
		return k, misfit(err)
	}, "select id, verifying, wrapped, encryption_key_name, created_at from datasette_secrets_log_keys order by id desc")
}

// AddLogKey stores a key pair in front of the others. It takes Verifying,
// Wrapped and KeyName.
func (t *Tx) AddLogKey(k LogKey) error {
	return classify("storing the key of the log", t.exec(`
		insert into datasette_secrets_log_keys (verifying, wrapped, encryption_key_name, created_at) values (?, ?, ?, ?)`,
		k.Verifying, k.Wrapped, k.KeyName, t.now.Format(time.DateTime)))
}

// RewrapLogKey stores a signing key under another encryption key.
func (t *Tx) RewrapLogKey(id int64, wrapped []byte, keyName string) error {
	return classify("storing the key of the log", t.exec(`
		update datasette_secrets_log_keys set wrapped = ?, encryption_key_name = ? where id = ?`, wrapped, keyName, id))
}
