package vault

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"slices"
	"strings"
	"time"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/internal/db"
)

// Limits of clients.
const (
	MaxClients = 1000
	// MaxOverlap is how long the token before a rotation may count beside the
	// new one.
	MaxOverlap = 30 * 24 * time.Hour
	// touchEvery is how old the time of a client's last use may be.
	touchEvery = time.Minute
)

// NewClient is what an administrator says of an application that is to read
// secrets over HTTP.
type NewClient struct {
	Name     string        // 1 to 64 of A-Z a-z 0-9 _ . -
	Secrets  []string      // granted at once, also those that others may read
	Write    bool          // it may also create, change and delete what it is granted
	Lifetime time.Duration // of its tokens; 0: without an end
}

// Client is what administrators may know of an application. Times are UTC text
// of the form 2006-01-02 15:04:05, empty if unknown.
type Client struct {
	Name          string
	Write         bool
	CreatedAt     string
	CreatedBy     string
	ExpiresAt     string // empty: never
	Expired       bool
	RotatedAt     string
	RotatedBy     string
	PreviousUntil string // until when the token before counts too
	RevokedAt     string
	RevokedBy     string
	LastUsedAt    string          // to the minute or so
	Requests      []PluginRequest // oldest first
}

// clients is what the file knows of clients, beside what they asked for.
type clients struct {
	names  []string // sorted
	rows   map[string]db.Client
	tokens map[clientTokenHash]string // of clients that are not revoked
	used   map[string]time.Time       // the last use that is known; the zero time for none
}

// clientHolder is what a client is called among those who hold secrets. No
// plugin can have that name, and no client that of a plugin.
func clientHolder(client string) string { return "client " + client }

// holderOf is what a caller is called among those who hold secrets; empty for
// a person.
func holderOf(caller secrets.Caller) string {
	if caller.Client != "" {
		return clientHolder(caller.Client)
	}
	return caller.Plugin
}

// isClient reports whether a holder is a client.
func isClient(holder string) bool { return strings.HasPrefix(holder, clientHolder("")) }

// callerOf is the caller that a holder is by itself.
func callerOf(holder string) secrets.Caller {
	if isClient(holder) {
		return secrets.Caller{Client: strings.TrimPrefix(holder, clientHolder(""))}
	}
	return secrets.Caller{Plugin: holder}
}

// readClients adds the clients to all. Of secrets, a plugin counts as the older
// holder.
func (all *approvals) readClients(tx *db.Tx) error {
	rows, err := tx.Clients()
	if err != nil {
		return err
	}
	requests, err := tx.ClientRequests()
	if err != nil {
		return err
	}
	all.clients = clients{rows: map[string]db.Client{}, tokens: map[clientTokenHash]string{}, used: map[string]time.Time{}}
	for _, row := range rows {
		all.clients.names = append(all.clients.names, row.Name)
		all.clients.rows[row.Name] = row
		all.clients.used[row.Name], _ = time.Parse(time.DateTime, row.LastUsedAt)
		holder := clientHolder(row.Name)
		all.plugins[holder] = newApproval(db.Plugin{
			Name: holder, Declarations: row.Declarations, FirstSeenAt: row.CreatedAt, DisabledAt: row.RevokedAt,
		})
		if row.RevokedAt == "" {
			all.clients.add(row.TokenHash, row.Name)
			all.clients.add(row.PreviousHash, row.Name)
		}
	}
	for _, r := range requests {
		all.addRequest(db.PluginRequest{
			ID: r.ID, Plugin: clientHolder(r.Client), Kind: string(RequestSecret), Name: r.Name,
			State: r.State, AskedAt: r.AskedAt, DecidedAt: r.DecidedAt, DecidedBy: r.DecidedBy,
		})
	}
	return nil
}

func (c clients) add(hash []byte, name string) {
	if len(hash) == sha256.Size {
		c.tokens[clientTokenHash(hash)] = name
	}
}

// declared are the declarations of every client that is not revoked: its own,
// and a bare one of each secret that it was granted without asking, so that
// administrators can give it a value.
func (all *approvals) declaredByClients() map[string][]secrets.Declaration {
	declared := map[string][]secrets.Declaration{}
	for _, name := range all.clients.names {
		holder := clientHolder(name)
		a := all.plugins[holder]
		if a.disabled() {
			continue
		}
		own := slices.Clone(a.declarations)
		for _, r := range all.requests {
			if r.Plugin == holder && a.states[requestOf(r)] == RequestGranted && !a.asked[requestOf(r)] {
				own = append(own, secrets.Declaration{Name: r.Name})
			}
		}
		declared[holder] = own
	}
	return declared
}

// ClientOf returns the client that a token belongs to. The errors are all
// ErrDenied, and their texts may be told to whoever sent the token. It answers
// from memory.
func (v *Vault) ClientOf(token string) (client string, err error) {
	if len(token) != clientTokenLength {
		return "", unknownToken(token) // unhashed, for it may be long
	}
	var text [clientTokenLength]byte // on the stack, where a conversion would not be
	copy(text[:], token)
	hash := clientTokenHash(sha256.Sum256(text[:]))
	// How long finding it takes says something about the hashes that are kept,
	// and nothing about tokens: nobody can choose the hash of what they send.
	all := v.approvals.Load()
	name, known := all.clients.tokens[hash]
	row := all.clients.rows[name]
	current := subtle.ConstantTimeCompare(row.TokenHash, hash[:]) == 1
	before := subtle.ConstantTimeCompare(row.PreviousHash, hash[:]) == 1
	switch {
	case !known || !current && !before:
		return "", unknownToken(token)
	case !current && row.PreviousUntil <= v.nowText():
		return "", fmt.Errorf("%w: this client token was replaced by another", secrets.ErrDenied)
	case v.expired(row):
		return "", fmt.Errorf("%w: this client token expired at %s UTC; an administrator can make another with: datasette-secrets client rotate", secrets.ErrDenied, row.ExpiresAt)
	}
	return name, nil
}

// unknownToken says why a token is nobody's.
func unknownToken(token string) error {
	if err := CheckClientToken(token); err != nil {
		return err
	}
	return fmt.Errorf("%w: this client token is unknown, or was revoked", secrets.ErrDenied)
}

// authorizeClient allows a client to use a secret that it was granted, whether
// or not there is one. The reason is the rule that decided.
func (v *Vault) authorizeClient(caller secrets.Caller, name string) (reason string, err error) {
	all := v.approvals.Load()
	row, known := all.clients.rows[caller.Client]
	switch {
	case caller.Plugin != "":
		return refuse(secrets.ErrDenied, "nobody is a plugin and a client at once")
	case !known || row.RevokedAt != "":
		return refuse(secrets.ErrDenied, "there is no such client, or it was revoked")
	case v.expired(row):
		return refuse(secrets.ErrDenied, "the client's token expired")
	}
	switch all.plugins[clientHolder(caller.Client)].states[Request{RequestSecret, name}] {
	case RequestGranted:
		return "granted to this client", nil
	case "":
		return secrets.ErrNotDeclared.Error(), secrets.ErrNotDeclared
	}
	return secrets.ErrNotApproved.Error(), secrets.ErrNotApproved
}

// nowText is the time as the file has times: texts that sort as times do.
func (v *Vault) nowText() string { return v.now().UTC().Format(time.DateTime) }

// expired reports whether a client's tokens have come to their end by now. Most
// have none.
func (v *Vault) expired(row db.Client) bool { return row.ExpiresAt != "" && expired(row, v.nowText()) }

// expired reports whether a client's tokens have come to their end.
func expired(row db.Client, now string) bool { return row.ExpiresAt != "" && row.ExpiresAt <= now }

// mayWrite reports whether a client may write what it is granted.
func (v *Vault) mayWrite(client string) bool {
	return v.approvals.Load().clients.rows[client].MayWrite
}

// authorizeClients allows a look at the clients, or with the names of secrets a
// decision about these.
func (v *Vault) authorizeClients(caller secrets.Caller, names ...string) error {
	if caller.Plugin != "" || caller.Client != "" {
		return fmt.Errorf("%w: plugins and clients do not decide about clients", secrets.ErrDenied)
	}
	switch caller.Proof {
	case secrets.ProofLocal:
		return nil // who runs commands on the machine has the file itself
	case secrets.ProofVouched:
		// A plugin could make itself a client that reads everything, by way of
		// somebody whom it signs in.
		return fmt.Errorf("%w: whom a plugin signed in does not decide about clients", secrets.ErrDenied)
	}
	for _, name := range append([]string{""}, names...) {
		if _, err := v.authorizeManage(caller, name); err != nil {
			return err
		}
	}
	return nil
}

// MayManageClients reports whether a caller may look at the clients. It leaves
// no trace.
func (v *Vault) MayManageClients(caller secrets.Caller) bool {
	return v.authorizeClients(caller) == nil
}

// authorizeClientChange allows a decision about clients. It needs somebody to
// name.
func (v *Vault) authorizeClientChange(caller secrets.Caller, names ...string) error {
	if err := v.authorizeClients(caller, names...); err != nil {
		return err
	}
	if caller.Actor.ID() == "" {
		return fmt.Errorf("%w: you must be signed in to decide about a client", secrets.ErrDenied)
	}
	return nil
}

// Clients returns every client, sorted by name, as of the last decision or
// Refresh. It answers from memory.
func (v *Vault) Clients(_ context.Context, caller secrets.Caller) ([]Client, error) {
	if err := v.authorizeClients(caller); err != nil {
		return nil, err
	}
	all, now := v.approvals.Load(), v.nowText()
	var list []Client
	for _, name := range all.clients.names {
		list = append(list, all.describeClient(name, now))
	}
	return list, nil
}

func (all *approvals) describeClient(name, now string) Client {
	row := all.clients.rows[name]
	c := Client{
		Name: name, Write: row.MayWrite, CreatedAt: row.CreatedAt, CreatedBy: row.CreatedBy,
		ExpiresAt: row.ExpiresAt, Expired: expired(row, now),
		RotatedAt: row.RotatedAt, RotatedBy: row.RotatedBy,
		RevokedAt: row.RevokedAt, RevokedBy: row.RevokedBy, LastUsedAt: row.LastUsedAt,
		Requests: all.describe(clientHolder(name)).Requests,
	}
	if row.PreviousUntil > now {
		c.PreviousUntil = row.PreviousUntil
	}
	return c
}

// Self is what a client may know of itself.
func (v *Vault) Self(caller secrets.Caller) (Client, error) {
	all := v.approvals.Load()
	if _, known := all.clients.rows[caller.Client]; !known || caller.Plugin != "" {
		return Client{}, fmt.Errorf("%w: there is no such client", secrets.ErrDenied)
	}
	return all.describeClient(caller.Client, v.nowText()), nil
}

// The states of a client.
const (
	ClientActive  = "active"
	ClientExpired = "expired"
	ClientRevoked = "revoked"
)

// State is where the client stands, in one of the words above.
func (c Client) State() string {
	switch {
	case c.RevokedAt != "":
		return ClientRevoked
	case c.Expired:
		return ClientExpired
	}
	return ClientActive
}
