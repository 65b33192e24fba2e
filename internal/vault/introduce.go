package vault

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/internal/db"
)

// Introduction is what a plugin says of itself when it starts, and which
// program says it.
type Introduction struct {
	Plugin       string
	Hash         string // of the program: "sha256:" and 64 hexadecimal digits
	Version      string // as the plugin states it; may be empty
	Declarations []secrets.Declaration
	Hooks        []string // the hooks that it offers, of the words above
}

// Introduce says what a plugin needs and offers, instead of what it said
// before. Of a secret that the plugin repeats, the first counts. An
// introduction that breaks a rule, or cannot be recorded, changes nothing.
//
// What a plugin asks for when it is seen for the first time is granted: its
// being there is the administrator's word for it. That goes neither for secrets
// that another plugin holds, or whose list leaves this one out, nor for
// privileged hooks; these are pending, and so
// is everything that the plugin asks for later, until somebody decides.
func (v *Vault) Introduce(ctx context.Context, in Introduction) error {
	if isClient(in.Plugin) {
		return fmt.Errorf("%w: a plugin's name must be 1 to 64 of A-Z a-z 0-9 _ . -", secrets.ErrInvalid)
	}
	if len(in.Declarations) > MaxDeclarations {
		return fmt.Errorf("%w: %d secrets are declared, at most %d are allowed", secrets.ErrInvalid, len(in.Declarations), MaxDeclarations)
	}
	var err error
	if in.Declarations, err = checkDeclarations(in.Declarations); err != nil {
		return err
	}
	if in.Hooks, err = checkHooks(in.Hooks); err != nil {
		return err
	}
	if err := v.settle(ctx, func(tx *db.Tx) error { return v.introduce(tx, in) }); err != nil {
		return err
	}
	v.declare(in.Plugin, in.Declarations)
	return nil
}

func (v *Vault) introduce(tx *db.Tx, in Introduction) error {
	all, err := readApprovals(tx)
	if err != nil {
		return err
	}
	row, err := in.row()
	if err != nil {
		return err
	}
	if err := tx.SeePlugin(row); err != nil {
		return err
	}
	before := all.plugins[in.Plugin]
	if before == nil || before.row.Hash != row.Hash || before.row.Declarations != row.Declarations || before.row.Hooks != row.Hooks {
		record(tx, secrets.Caller{Plugin: in.Plugin}, act{
			action: ActionDeclare,
			reason: fmt.Sprintf("%d secrets, %d hooks, program %s", len(in.Declarations), len(in.Hooks), in.Hash),
		})
	}
	asked := requestsOf(in.Declarations, in.Hooks)
	if err := withdraw(tx, before, asked); err != nil {
		return err
	}
	for _, r := range asked {
		if before != nil && before.states[r] != "" {
			continue
		}
		first := !before.introduced() && all.trusted(in.Plugin, r)
		if r.Kind == RequestSecret {
			first = first && !v.leftOut(in.Plugin, r.Name)
		}
		if err := ask(tx, in, r, first); err != nil {
			return err
		}
	}
	return nil
}

// withdraw removes what nobody decided and the plugin asks for no more, so that
// one which asks for something else each time does not fill the file.
func withdraw(tx *db.Tx, before *approval, asked []Request) error {
	if before == nil {
		return nil
	}
	still := map[Request]bool{}
	for _, r := range asked {
		still[r] = true
	}
	for r, state := range before.states {
		if state != RequestPending || still[r] {
			continue
		}
		if err := tx.WithdrawPluginRequest(before.row.Name, string(r.Kind), r.Name); err != nil {
			return err
		}
	}
	return nil
}

// ask records a new request, granted at once if it is trusted.
func ask(tx *db.Tx, in Introduction, r Request, trusted bool) error {
	if err := tx.AskForPlugin(in.Plugin, string(r.Kind), r.Name); err != nil || !trusted {
		return err
	}
	if err := tx.DecidePluginRequest(in.Plugin, string(r.Kind), r.Name, string(RequestGranted), ""); err != nil {
		return err
	}
	return recordDecision(tx, secrets.Caller{}, db.PluginDecision{
		Plugin: in.Plugin, Decision: decisionFirstUse,
		Kind: string(r.Kind), Name: r.Name, Hash: in.Hash,
	})
}

// row is the introduction as the file keeps it.
func (in Introduction) row() (db.Plugin, error) {
	stored := make([]storedDeclaration, len(in.Declarations))
	for i, d := range in.Declarations {
		stored[i] = storeDeclaration(d)
	}
	declarations, err := json.Marshal(stored)
	if err != nil {
		return db.Plugin{}, fmt.Errorf("encoding the declarations of a plugin: %w", err)
	}
	hooks := "[]"
	if len(in.Hooks) > 0 {
		encoded, err := json.Marshal(in.Hooks)
		if err != nil {
			return db.Plugin{}, fmt.Errorf("encoding the hooks of a plugin: %w", err)
		}
		hooks = string(encoded)
	}
	return db.Plugin{
		Name: in.Plugin, Hash: in.Hash, Version: in.Version,
		Declarations: string(declarations), Hooks: hooks,
	}, nil
}

// Recall lets what a plugin said when it last introduced itself count again,
// provided that its program still has this hash, so that pages know its secrets
// before it runs. It answers from memory. Whether the plugin may read anything
// is decided as ever.
func (v *Vault) Recall(plugin, hash string) (Introduction, bool) {
	in, known := v.Known(plugin, hash)
	if known {
		v.declare(plugin, in.Declarations)
	}
	return in, known
}

// declare makes a plugin's declarations count.
func (v *Vault) declare(plugin string, own []secrets.Declaration) {
	v.settling.Lock()
	defer v.settling.Unlock()
	plugins := maps.Clone(v.declarations.Load().plugins)
	plugins[plugin] = own
	v.declarations.Store(newDeclarations(plugins, v.approvals.Load().holders, v.leftOut))
	v.noteChange()
}
