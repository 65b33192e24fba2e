package db

import "time"

// Client is one row of datasette_secrets_clients: an application outside the
// host. Times are UTC text; an empty text is null.
type Client struct {
	Name          string
	TokenHash     []byte
	PreviousHash  []byte // of the token before, which counts until PreviousUntil
	PreviousUntil string
	MayWrite      bool
	Declarations  string // JSON
	CreatedAt     string
	CreatedBy     string
	ExpiresAt     string
	RotatedAt     string
	RotatedBy     string
	RevokedAt     string
	RevokedBy     string
	LastUsedAt    string
}

// ClientRequest is one row of datasette_secrets_client_requests.
type ClientRequest struct {
	ID        int64 // the older request has the lower one
	Client    string
	Name      string
	State     string
	AskedAt   string
	DecidedAt string
	DecidedBy string
}

// Clients returns every client, sorted by name.
func (t *Tx) Clients() ([]Client, error) {
	return collect(t, "reading the clients", func(scan scanner) (c Client, err error) {
		err = scan(&c.Name, &c.TokenHash, &c.PreviousHash, &c.PreviousUntil, &c.MayWrite, &c.Declarations,
			&c.CreatedAt, &c.CreatedBy, &c.ExpiresAt, &c.RotatedAt, &c.RotatedBy, &c.RevokedAt, &c.RevokedBy, &c.LastUsedAt)
		return c, misfit(err)
	}, `
		select name, token_hash, previous_hash, coalesce(previous_until, ''), may_write, declarations,
			created_at, coalesce(created_by, ''), coalesce(expires_at, ''),
			coalesce(rotated_at, ''), coalesce(rotated_by, ''),
			coalesce(revoked_at, ''), coalesce(revoked_by, ''), coalesce(last_used_at, '')
		from datasette_secrets_clients order by name`)
}

// ClientRequests returns every request of every client, oldest first.
func (t *Tx) ClientRequests() ([]ClientRequest, error) {
	return collect(t, "reading what clients ask for", func(scan scanner) (r ClientRequest, err error) {
		err = scan(&r.ID, &r.Client, &r.Name, &r.State, &r.AskedAt, &r.DecidedAt, &r.DecidedBy)
		return r, misfit(err)
	}, `
		select id, client, name, state, asked_at, coalesce(decided_at, ''), coalesce(decided_by, '')
		from datasette_secrets_client_requests order by id`)
}

// AddClient adds a client. It takes Name, TokenHash, MayWrite, CreatedBy and
// ExpiresAt.
func (t *Tx) AddClient(c Client) error {
	return classify("recording a client", t.exec(`
		insert into datasette_secrets_clients (name, token_hash, may_write, created_at, created_by, expires_at)
		values (?, ?, ?, ?, ?, ?)`,
		c.Name, c.TokenHash, c.MayWrite, t.now.Format(time.DateTime), orNull(c.CreatedBy), orNull(c.ExpiresAt)))
}

// RotateClient gives a client another token, of which the one before counts
// until some time. It takes Name, TokenHash, PreviousHash, PreviousUntil,
// ExpiresAt and RotatedBy.
func (t *Tx) RotateClient(c Client) error {
	return classify("recording another token of a client", t.exec(`
		update datasette_secrets_clients set token_hash = ?, previous_hash = ?, previous_until = ?,
			expires_at = ?, rotated_at = ?, rotated_by = ?
		where name = ?`,
		c.TokenHash, c.PreviousHash, orNull(c.PreviousUntil),
		orNull(c.ExpiresAt), t.now.Format(time.DateTime), orNull(c.RotatedBy), c.Name))
}

// RevokeClient records that a client's tokens count no more, by whom.
func (t *Tx) RevokeClient(name, by string) error {
	return classify("revoking a client", t.exec(`
		update datasette_secrets_clients set revoked_at = ?, revoked_by = ? where name = ?`,
		t.now.Format(time.DateTime), orNull(by), name))
}

// TouchClient records that a client was there now.
func (t *Tx) TouchClient(name string) error {
	return classify("recording the use of a client's token", t.exec(`
		update datasette_secrets_clients set last_used_at = ? where name = ?`,
		t.now.Format(time.DateTime), name))
}

// DeclareClient records which secrets a client needs, as a JSON list.
func (t *Tx) DeclareClient(name, declarations string) error {
	return classify("recording what a client declares", t.exec(`
		update datasette_secrets_clients set declarations = ? where name = ?`, declarations, name))
}

// AskForClient adds a request that nobody decided yet.
func (t *Tx) AskForClient(client, name string) error {
	return classify("recording what a client asks for", t.exec(`
		insert into datasette_secrets_client_requests (client, name, state, asked_at)
		values (?, ?, 'pending', ?)`, client, name, t.now.Format(time.DateTime)))
}

// WithdrawClientRequest removes a request that nobody decided.
func (t *Tx) WithdrawClientRequest(client, name string) error {
	return classify("removing what a client asks for no more", t.exec(`
		delete from datasette_secrets_client_requests
		where client = ? and name = ? and state = 'pending'`, client, name))
}

// DecideClientRequest changes what became of a request, by whom. Without such a
// request it adds one.
func (t *Tx) DecideClientRequest(client, name, state, by string) error {
	now := t.now.Format(time.DateTime)
	return classify("recording a decision about a client", t.exec(`
		insert into datasette_secrets_client_requests (client, name, state, asked_at, decided_at, decided_by)
		values (?, ?, ?, ?, ?, ?)
		on conflict (client, name) do update set
			state = excluded.state, decided_at = excluded.decided_at, decided_by = excluded.decided_by`,
		client, name, state, now, now, orNull(by)))
}
