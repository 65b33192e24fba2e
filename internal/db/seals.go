package db

import "time"

// Seal is one row of datasette_secrets_seals.
type Seal struct {
	Name       string
	Kind       string
	Parameters string // JSON
	Wrapped    []byte
	RootID     string
	MAC        []byte
	CreatedAt  string
	CreatedBy  string

	PINRefusedAt string // empty: it was not, or an operator has acted since
}

// SealedKey is one row of datasette_secrets_keys.
type SealedKey struct {
	Number    int64 // the highest one encrypts
	Name      string
	Wrapped   []byte
	RootID    string
	CreatedAt string
	CreatedBy string
}

// KeyEvent is one row of datasette_secrets_key_events.
type KeyEvent struct {
	ID      int64
	Time    string
	ActorID string
	Proof   string
	Event   string
	Name    string
	Failure string
}

// Seals returns every seal, oldest first.
func (t *Tx) Seals() ([]Seal, error) {
	return collect(t, "reading the seals", func(scan scanner) (s Seal, err error) {
		err = scan(&s.Name, &s.Kind, &s.Parameters, &s.Wrapped, &s.RootID, &s.MAC, &s.CreatedAt, &s.CreatedBy, &s.PINRefusedAt)
		return s, err
	}, `
		select s.name, s.kind, s.parameters, s.wrapped, s.root_id, s.mac, s.created_at, coalesce(s.created_by, ''),
			coalesce(p.time, '')
		from datasette_secrets_seals s left join datasette_secrets_refused_pins p on p.seal = s.name
		order by s.rowid`)
}

// PutSeal stores a seal, instead of one of the same name, if there is one. It
// takes everything but CreatedAt and PINRefusedAt.
func (t *Tx) PutSeal(s Seal) error {
	return classify("storing a seal", t.exec(`
		insert into datasette_secrets_seals (name, kind, parameters, wrapped, root_id, mac, created_at, created_by)
		values (?, ?, ?, ?, ?, ?, ?, ?)
		on conflict (name) do update set
			kind = excluded.kind, parameters = excluded.parameters, wrapped = excluded.wrapped,
			root_id = excluded.root_id, mac = excluded.mac,
			created_at = excluded.created_at, created_by = excluded.created_by`,
		s.Name, s.Kind, s.Parameters, s.Wrapped, s.RootID, s.MAC, t.now.Format(time.DateTime), orNull(s.CreatedBy)))
}

// DeleteSeal removes a seal.
func (t *Tx) DeleteSeal(name string) error {
	return classify("removing a seal", t.exec("delete from datasette_secrets_seals where name = ?", name))
}

// RefusePIN records that the token of a seal refused the PIN.
func (t *Tx) RefusePIN(seal string) error {
	return classify("recording a refused PIN", t.exec(`
		insert into datasette_secrets_refused_pins (seal, time) values (?, ?)
		on conflict (seal) do update set time = excluded.time`, seal, t.now.Format(time.DateTime)))
}

// AcceptPIN forgets that the token of a seal refused the PIN.
func (t *Tx) AcceptPIN(seal string) error {
	return classify("forgetting a refused PIN", t.exec("delete from datasette_secrets_refused_pins where seal = ?", seal))
}

// SealedKeys returns the keys of a sealed keyring, the encrypting one first.
func (t *Tx) SealedKeys() ([]SealedKey, error) {
	return collect(t, "reading the sealed keys", func(scan scanner) (k SealedKey, err error) {
		err = scan(&k.Number, &k.Name, &k.Wrapped, &k.RootID, &k.CreatedAt, &k.CreatedBy)
		return k, err
	}, `
		select number, name, wrapped, root_id, created_at, coalesce(created_by, '')
		from datasette_secrets_keys order by number desc`)
}

// PutSealedKey stores a key under its number, instead of the one that has it,
// if there is one. It takes everything but CreatedAt, which stays what it was.
func (t *Tx) PutSealedKey(k SealedKey) error {
	return classify("storing a sealed key", t.exec(`
		insert into datasette_secrets_keys (number, name, wrapped, root_id, created_at, created_by)
		values (?, ?, ?, ?, ?, ?)
		on conflict (number) do update set
			name = excluded.name, wrapped = excluded.wrapped, root_id = excluded.root_id`,
		k.Number, k.Name, k.Wrapped, k.RootID, t.now.Format(time.DateTime), orNull(k.CreatedBy)))
}

// DeleteSealedKey removes a key.
func (t *Tx) DeleteSealedKey(name string) error {
	return classify("removing a sealed key", t.exec("delete from datasette_secrets_keys where name = ?", name))
}

// RecordKeyEvent adds an event, at the time of the transaction.
func (t *Tx) RecordKeyEvent(e KeyEvent) error {
	return classify("recording what was done with keys", t.exec(`
		insert into datasette_secrets_key_events (time, actor_id, proof, event, name, failure)
		values (?, ?, ?, ?, ?, ?)`,
		t.now.Format(time.DateTime), orNull(e.ActorID), orNull(e.Proof), e.Event, orNull(e.Name), orNull(e.Failure)))
}

// KeyEvents returns the latest events of keys and seals, newest first, at most
// limit.
func (t *Tx) KeyEvents(limit int) ([]KeyEvent, error) {
	return collect(t, "reading the events of keys", func(scan scanner) (e KeyEvent, err error) {
		err = scan(&e.ID, &e.Time, &e.ActorID, &e.Proof, &e.Event, &e.Name, &e.Failure)
		return e, err
	}, `
		select id, time, coalesce(actor_id, ''), coalesce(proof, ''), event, coalesce(name, ''), coalesce(failure, '')
		from datasette_secrets_key_events order by id desc limit ?`, limit)
}

// KeyNames returns the names of the keys that rows need, and how many rows
// each.
func (t *Tx) KeyNames() (map[string]int, error) {
	type use struct {
		name string
		rows int
	}
	uses, err := collect(t, "counting the rows of each key", func(scan scanner) (u use, err error) {
		err = scan(&u.name, &u.rows)
		return u, err
	}, "select encryption_key_name, count(*) from datasette_secrets group by encryption_key_name")
	names := map[string]int{}
	for _, u := range uses {
		names[u.name] = u.rows
	}
	return names, err
}
