package vault

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/internal/db"
)

// Declared is a secret that a client says it needs, and what became of that.
type Declared struct {
	secrets.Declaration
	State RequestState
}

// Declared returns what the calling client declared, in its order.
func (v *Vault) Declared(caller secrets.Caller) ([]Declared, error) {
	if _, err := v.Self(caller); err != nil {
		return nil, err
	}
	return v.approvals.Load().declaredBy(caller.Client), nil
}

func (all *approvals) declaredBy(client string) []Declared {
	a := all.plugins[clientHolder(client)]
	declared := make([]Declared, 0, len(a.declarations))
	for _, d := range a.declarations {
		declared = append(declared, Declared{d, a.states[Request{RequestSecret, d.Name}]})
	}
	return declared
}

// DeclareClient says which secrets the calling client needs: instead of what it
// said before or, with more, beside that. Of a secret that is named twice, the
// first counts. What it was not granted yet is pending until somebody decides.
func (v *Vault) DeclareClient(ctx context.Context, caller secrets.Caller, ds []secrets.Declaration, more bool) ([]Declared, error) {
	if _, err := v.Self(caller); err != nil {
		return nil, err
	}
	if err := CheckDeclarations(ds); err != nil {
		return nil, err
	}
	ds, err := checkDeclarations(ds) // each name once
	if err != nil {
		return nil, err
	}
	all := v.approvals.Load()
	if slices.Equal(all.with(caller.Client, ds, more), all.plugins[clientHolder(caller.Client)].declarations) {
		return all.declaredBy(caller.Client), nil // as it says each time when it starts
	}
	err = v.settle(ctx, func(tx *db.Tx) error {
		all, err := readApprovals(tx)
		if err != nil {
			return err
		}
		if all.clients.rows[caller.Client].RevokedAt != "" {
			return fmt.Errorf("%w: the client was revoked", secrets.ErrDenied)
		}
		record(tx, caller, act{action: ActionDeclare, reason: fmt.Sprintf("%d secrets", len(ds))})
		return declareClient(tx, all, caller.Client, all.with(caller.Client, ds, more))
	})
	if err != nil {
		return nil, err
	}
	return v.approvals.Load().declaredBy(caller.Client), nil
}

// with is what a client declares that says ds.
func (all *approvals) with(client string, ds []secrets.Declaration, more bool) []secrets.Declaration {
	if !more {
		return ds
	}
	merged := slices.Clone(all.plugins[clientHolder(client)].declarations)
	for _, d := range ds {
		i := slices.IndexFunc(merged, func(old secrets.Declaration) bool { return old.Name == d.Name })
		if i < 0 {
			merged = append(merged, d)
			continue
		}
		merged[i] = d
	}
	return merged
}

func declareClient(tx *db.Tx, all *approvals, client string, ds []secrets.Declaration) error {
	if len(ds) > MaxDeclarations {
		return fmt.Errorf("%w: %d secrets are declared, at most %d are allowed", secrets.ErrInvalid, len(ds), MaxDeclarations)
	}
	stored := make([]storedDeclaration, len(ds))
	still := map[string]bool{}
	for i, d := range ds {
		stored[i] = storeDeclaration(d)
		still[d.Name] = true
	}
	encoded, err := json.Marshal(stored)
	if err != nil {
		return fmt.Errorf("encoding the declarations of a client: %w", err)
	}
	if err := tx.DeclareClient(client, string(encoded)); err != nil {
		return err
	}
	states := all.plugins[clientHolder(client)].states
	for r, state := range states {
		// One that declares something else each time must not fill the file.
		if state != RequestPending || still[r.Name] {
			continue
		}
		if err := tx.WithdrawClientRequest(client, r.Name); err != nil {
			return err
		}
	}
	for _, d := range ds {
		if states[Request{RequestSecret, d.Name}] != "" {
			continue
		}
		if err := tx.AskForClient(client, d.Name); err != nil {
			return err
		}
	}
	return nil
}

// ClientSecret is what a client may know of a secret that it was granted, or
// that it declared, without using it.
type ClientSecret struct {
	Name     string
	State    RequestState
	Declared bool   // by the client itself
	Set      bool   // there is a value that the caller may read
	Source   Source // empty while not set
	Version  int64  // the newest in the database, unless that is a tombstone; else 0
}

// ClientSecrets returns what the calling client was granted or declared, sorted
// by name. It leaves no trace.
func (v *Vault) ClientSecrets(ctx context.Context, caller secrets.Caller) ([]ClientSecret, error) {
	if _, err := v.Self(caller); err != nil {
		return nil, err
	}
	a := v.approvals.Load().plugins[clientHolder(caller.Client)]
	list := make([]ClientSecret, 0, len(a.states))
	var names []string
	for r, state := range a.states {
		list = append(list, ClientSecret{Name: r.Name, State: state, Declared: a.asked[r]})
		names = append(names, r.Name)
	}
	slices.SortFunc(list, func(a, b ClientSecret) int { return strings.Compare(a.Name, b.Name) })
	var heads map[string]db.Head
	err := v.db.View(ctx, func(tx *db.Tx) (err error) {
		heads, err = tx.Heads(names)
		return err
	})
	if err != nil {
		return nil, err
	}
	for i := range list {
		s := &list[i]
		if !v.MayHave(caller, s.Name) {
			continue
		}
		s.Source, s.Version = v.standing(s.Name, heads[s.Name])
		s.Set = s.Source != ""
	}
	return list, nil
}
