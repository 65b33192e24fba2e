package vault

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/internal/audit"
	"github.com/datasette-secrets/datasette-secrets/internal/db"
)

// The acts that the log tells of, as it calls them, beside the decisions about
// plugins and the events of keys, which have the words that they have there,
// with "-" for a space.
const (
	ActionGet         = audit.Get
	ActionPut         = "put"
	ActionNote        = "note"
	ActionDelete      = "delete"
	ActionRestore     = "restore"
	ActionAdopt       = "adopt"   // a version that another program stored
	ActionDeclare     = "declare" // a plugin says something new about what it needs
	ActionSignIn      = "sign-in"
	ActionSignOut     = "sign-out"
	ActionCreateToken = "create-token"
	ActionPrune       = audit.Prune
	ActionBegin       = audit.Begin
	ActionLogKey      = "log-key" // a new key signs the log from here on

	ActionRequest = "request" // over HTTP, refused before it was any act

	ActionClientAdd     = "client-add"
	ActionClientRotate  = "client-rotate"
	ActionClientRevoke  = "client-revoke"
	ActionClientApprove = "client-approve"
	ActionClientRefuse  = "client-refuse"
)

// act is what the log tells of an act, beside who did it.
type act struct {
	action  string
	name    string // of the secret, or the key or seal
	row     int64  // of datasette_secrets; 0 for none
	version int64
	source  Source
	reason  string // the rule that allowed it
	plugin  string // that it is about; empty: the caller's
	client  string // that it is about; empty: the caller's
}

// record writes an act that is done into the log, in the transaction that does
// it.
func record(tx *db.Tx, caller secrets.Caller, a act) { tx.Record(a.entry(caller, true)) }

// refused writes an act into the log that was not done, and returns why: the
// failure, or that even this could not be written.
func (v *Vault) refused(ctx context.Context, caller secrets.Caller, a act, failure error) error {
	if errors.Is(failure, secrets.ErrUnavailable) {
		return failure // the database does not take it
	}
	a.reason = failure.Error()
	// Who hangs up when refused is recorded all the same.
	err := v.commit(context.WithoutCancel(ctx), func(tx *db.Tx) error {
		tx.Record(a.entry(caller, false))
		return nil
	})
	if err != nil {
		return fmt.Errorf("recording that %s was refused: %w", a.action, err)
	}
	return failure
}

// entry is the act as the log has it. Texts from outside are cut, so that
// nobody fills the file with one entry.
func (a act) entry(caller secrets.Caller, allowed bool) audit.Entry {
	plugin, client := cmp.Or(a.plugin, caller.Plugin), cmp.Or(a.client, caller.Client)
	return audit.Entry{
		Action: a.action, Name: cut(a.name), SecretID: a.row, Version: a.version,
		ActorID: cut(caller.Actor.ID()), Proof: string(caller.Proof),
		Plugin: cut(plugin), Client: cut(client),
		Source: string(a.source), Allowed: allowed, Reason: cut(a.reason),
		RequestID: cut(caller.RequestID), Remote: cut(caller.Remote),
	}
}

// maxLogText bounds one text of an entry, in bytes.
const maxLogText = 500

// cut returns valid UTF-8 of at most maxLogText bytes.
func cut(text string) string {
	text = strings.ToValidUTF8(text, "\uFFFD")
	if len(text) <= maxLogText {
		return text
	}
	end := maxLogText
	for !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end]
}

// Note writes an act into the log that changes nothing here: ActionSignIn,
// ActionSignOut or ActionCreateToken. A failure means that it was refused.
func (v *Vault) Note(ctx context.Context, caller secrets.Caller, action string, failure error) error {
	a := act{action: action}
	if failure != nil {
		return v.refused(ctx, caller, a, failure)
	}
	return v.commit(ctx, func(tx *db.Tx) error {
		record(tx, caller, a)
		return nil
	})
}

// NoteRefused writes a request into the log that was refused before any method
// of the vault was asked, and returns why, as refused does.
func (v *Vault) NoteRefused(ctx context.Context, caller secrets.Caller, action, name string, failure error) error {
	return v.refused(ctx, caller, act{action: action, name: name}, failure)
}
