package vault

import (
	"context"
	"fmt"
	"slices"
	"time"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/internal/db"
)

// AddClient makes an application known and returns its token, which is kept
// nowhere. What it is granted here may be held by others too: naming a secret
// is the decision to share it.
func (v *Vault) AddClient(ctx context.Context, caller secrets.Caller, c NewClient) (token secrets.Value, err error) {
	done := act{action: ActionClientAdd, client: c.Name, reason: c.words()}
	if err := v.authorizeClientChange(caller, c.Secrets...); err != nil {
		return secrets.Value{}, v.refused(ctx, caller, done, err)
	}
	if err := c.check(); err != nil {
		return secrets.Value{}, err
	}
	token, hash := newClientToken()
	err = v.settle(ctx, func(tx *db.Tx) error {
		all, err := readApprovals(tx)
		if err != nil {
			return err
		}
		if _, taken := all.clients.rows[c.Name]; taken {
			return fmt.Errorf("%w: there is a client called %s already, or was; choose another name, or give it another token with: datasette-secrets client rotate", secrets.ErrInvalid, c.Name)
		}
		if len(all.clients.names) >= MaxClients {
			return fmt.Errorf("%w: there are %d clients, and no more are allowed", secrets.ErrInvalid, MaxClients)
		}
		err = tx.AddClient(db.Client{
			Name: c.Name, TokenHash: hash[:], MayWrite: c.Write,
			CreatedBy: caller.Actor.ID(), ExpiresAt: expiry(tx.Now(), c.Lifetime),
		})
		if err != nil {
			return err
		}
		record(tx, caller, done)
		for _, name := range slices.Compact(slices.Sorted(slices.Values(c.Secrets))) {
			if err := decideForClient(tx, caller, c.Name, name, RequestGranted); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return secrets.Value{}, err
	}
	return token, nil
}

// words say for the log what a client may do.
func (c NewClient) words() string {
	words := "may read"
	if c.Write {
		words = "may read and write"
	}
	if c.Lifetime > 0 {
		words += fmt.Sprintf(", for %s", c.Lifetime)
	}
	return words
}

func (c NewClient) check() error {
	if !pluginName.MatchString(c.Name) {
		return fmt.Errorf("%w: a client's name must be 1 to 64 of A-Z a-z 0-9 _ . -", secrets.ErrInvalid)
	}
	if c.Lifetime < 0 {
		return fmt.Errorf("%w: a client's token must last longer than no time", secrets.ErrInvalid)
	}
	return CheckNames(c.Secrets)
}

// CheckNames allows the names that new secrets can have, as many as one plugin
// may declare. The error is an ErrInvalid.
func CheckNames(names []string) error {
	if len(names) > MaxDeclarations {
		return fmt.Errorf("%w: %d secrets are named, at most %d are allowed", secrets.ErrInvalid, len(names), MaxDeclarations)
	}
	for i, name := range names {
		if !wellFormed(name) {
			return fmt.Errorf("%w: the name of secret %d must be 1 to 255 of A-Z a-z 0-9 _ . -", secrets.ErrInvalid, i+1)
		}
	}
	return nil
}

// expiry is when something ends that begins now; empty for never.
func expiry(now time.Time, lifetime time.Duration) string {
	if lifetime == 0 {
		return ""
	}
	return now.Add(lifetime).UTC().Format(time.DateTime)
}

// RotateClient gives a client another token and returns it. The one before
// counts for the overlap too, so that an application can change over without a
// pause. The new token lasts as long as the one before did, from now on.
func (v *Vault) RotateClient(ctx context.Context, caller secrets.Caller, client string, overlap time.Duration) (token secrets.Value, err error) {
	if overlap < 0 || overlap > MaxOverlap {
		return secrets.Value{}, fmt.Errorf("%w: the old token may count for at most %d days more", secrets.ErrInvalid, MaxOverlap/(24*time.Hour))
	}
	token, hash := newClientToken()
	err = v.changeClient(ctx, caller, act{action: ActionClientRotate, client: client}, nil, func(tx *db.Tx, _ *approvals, row db.Client) error {
		if row.RevokedAt != "" {
			return fmt.Errorf("%w: the client %s was revoked, and stays so; add another", secrets.ErrInvalid, client)
		}
		lasts, err := lifetime(row)
		if err != nil {
			return err
		}
		record(tx, caller, act{action: ActionClientRotate, client: client, reason: fmt.Sprintf("the token before counts for %s more", overlap)})
		return tx.RotateClient(db.Client{
			Name: client, TokenHash: hash[:], ExpiresAt: expiry(tx.Now(), lasts), RotatedBy: caller.Actor.ID(),
			PreviousHash: row.TokenHash, PreviousUntil: tx.Now().Add(overlap).UTC().Format(time.DateTime),
		})
	})
	if err != nil {
		return secrets.Value{}, err
	}
	return token, nil
}

// lifetime is how long a client's token lasts from its beginning; 0: without an
// end.
func lifetime(row db.Client) (time.Duration, error) {
	if row.ExpiresAt == "" {
		return 0, nil
	}
	began := row.CreatedAt
	if row.RotatedAt != "" {
		began = row.RotatedAt
	}
	from, err1 := time.Parse(time.DateTime, began)
	until, err2 := time.Parse(time.DateTime, row.ExpiresAt)
	if err1 != nil || err2 != nil || !until.After(from) {
		return 0, fmt.Errorf("%w: the file has no times of the client %s that make sense", secrets.ErrIntegrity, row.Name)
	}
	return until.Sub(from), nil
}

// RevokeClient ends a client, for good. Its tokens count no more from that
// moment, here; other hosts on the file notice within a second.
func (v *Vault) RevokeClient(ctx context.Context, caller secrets.Caller, client string) error {
	done := act{action: ActionClientRevoke, client: client}
	return v.changeClient(ctx, caller, done, nil, func(tx *db.Tx, _ *approvals, row db.Client) error {
		if row.RevokedAt != "" {
			return nil
		}
		record(tx, caller, done)
		return tx.RevokeClient(client, caller.Actor.ID())
	})
}

// ApproveClient grants secrets to a client and returns those that it had not
// been granted before. It need not have asked for them. Without any names,
// everything pending is meant but what others hold: that is shared only by name.
func (v *Vault) ApproveClient(ctx context.Context, caller secrets.Caller, client string, names ...string) ([]string, error) {
	return v.decideClient(ctx, caller, client, names, RequestGranted)
}

// RefuseClient refuses secrets to a client, granted ones included, and returns
// those that it had not been refused before. Without any names, everything
// pending is meant.
func (v *Vault) RefuseClient(ctx context.Context, caller secrets.Caller, client string, names ...string) ([]string, error) {
	return v.decideClient(ctx, caller, client, names, RequestRefused)
}

func (v *Vault) decideClient(ctx context.Context, caller secrets.Caller, client string, names []string, state RequestState) (decided []string, err error) {
	if err := CheckNames(names); err != nil {
		return nil, err
	}
	err = v.changeClient(ctx, caller, act{action: clientDecision(state), client: client}, names, func(tx *db.Tx, all *approvals, row db.Client) error {
		decided = nil
		if row.RevokedAt != "" {
			return fmt.Errorf("%w: the client %s was revoked, and stays so; add another", secrets.ErrInvalid, client)
		}
		chosen := slices.Clone(names)
		if len(chosen) == 0 {
			for _, r := range all.undecided(clientHolder(client), state == RequestGranted) {
				chosen = append(chosen, r.Name)
			}
			// Nobody named these, so that nobody looked yet at who may decide.
			if err := v.authorizeClientChange(caller, chosen...); err != nil {
				return err
			}
		}
		states := all.plugins[clientHolder(client)].states
		for _, name := range chosen {
			if states[Request{RequestSecret, name}] == state || slices.Contains(decided, name) {
				continue
			}
			if err := decideForClient(tx, caller, client, name, state); err != nil {
				return err
			}
			decided = append(decided, name)
		}
		return nil
	})
	return decided, err
}

// decideForClient keeps one decision about what a client may read.
func decideForClient(tx *db.Tx, caller secrets.Caller, client, name string, state RequestState) error {
	record(tx, caller, act{action: clientDecision(state), client: client, name: name})
	return tx.DecideClientRequest(client, name, string(state), caller.Actor.ID())
}

func clientDecision(state RequestState) string {
	if state == RequestGranted {
		return ActionClientApprove
	}
	return ActionClientRefuse
}

// changeClient settles a decision about a client that exists. The act is what
// the log tells of it if the caller may not take that decision.
func (v *Vault) changeClient(ctx context.Context, caller secrets.Caller, a act, names []string, change func(*db.Tx, *approvals, db.Client) error) error {
	if err := v.authorizeClientChange(caller, names...); err != nil {
		return v.refused(ctx, caller, a, err)
	}
	return v.settle(ctx, func(tx *db.Tx) error {
		all, err := readApprovals(tx)
		if err != nil {
			return err
		}
		row, known := all.clients.rows[a.client]
		if !known {
			return fmt.Errorf("%w: there is no client called %q", secrets.ErrNotFound, a.client)
		}
		return change(tx, all, row)
	})
}

// NoteClient keeps that a client's token was just used, to the minute or so.
// While that cannot be written, nothing else suffers from it.
func (v *Vault) NoteClient(ctx context.Context, client string) {
	if v.now().Sub(v.approvals.Load().clients.used[client]) < touchEvery || !v.touching.TryLock() {
		return
	}
	defer v.touching.Unlock()
	_ = v.settle(ctx, func(tx *db.Tx) error { return tx.TouchClient(client) })
}
