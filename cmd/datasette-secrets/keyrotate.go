package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/host"
	"github.com/datasette-secrets/datasette-secrets/internal/vault"
)

// rotationJSON is what "key rotate" prints.
type rotationJSON struct {
	Key     string       `json:"key"`
	Rows    int64        `json:"rows"`
	Renewed int64        `json:"renewed"`
	Damages int64        `json:"damages"`
	Damaged []damageJSON `json:"damaged"`
}

func newKeyRotate(sys system) *cobra.Command {
	flags, fresh, resume, asJSON := &keyFlags{}, &newKeyFlags{}, false, false
	cmd := &cobra.Command{
		Use:   "rotate [FILES]...",
		Short: "Put every version of every secret under a new key",
		Long: `Put every version of every secret under a new key. If all rows are under the
first key already, a new one is put in front of it, as "key add" does; otherwise
the rows are put under the first key.

Each row is read, encrypted with the new key, read again and compared before it
is replaced. Hosts can go on working meanwhile, and take the new key over by
themselves. The rotation can be interrupted at any point: everything stays
readable, and "key rotate --resume" finishes it. The old key is needed until
then; take it away with "key retire".

Datasette knows one key only. While the rows are put under the new one, it can
read those of the key that it has.`,
		Example: `  datasette-secrets key rotate --internal internal.db -c datasette.yml
  datasette-secrets key rotate --resume --internal internal.db -c datasette.yml`,
		RunE: func(cmd *cobra.Command, files []string) error {
			if resume && fresh.given() {
				return usagef("--resume goes on with the key that is in front; it takes no new one.")
			}
			text, err := fresh.key(sys)
			if err != nil {
				return err
			}
			return flags.run(cmd, sys, files, func(ctx context.Context, k *host.Keys) error {
				if !resume {
					if err := freshKey(ctx, sys, k, text); err != nil {
						return err
					}
				}
				return rotate(ctx, sys, k, asJSON)
			})
		},
	}
	flags.add(cmd)
	fresh.add(cmd)
	cmd.Flags().BoolVar(&resume, "resume", false, "add no key; finish what is not under the first one")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print what was done as JSON")
	return cmd
}

// freshKey adds a key, if one is given or all rows are under the first one.
func freshKey(ctx context.Context, sys system, k *host.Keys, text secrets.Value) error {
	if text.Len() == 0 {
		report, err := k.Door().ReportKeys(ctx, host.Operator())
		if err != nil {
			return err
		}
		if !report.UnderFirst() {
			fmt.Fprintf(sys.stderr, "Not every row is under the key %s: going on with that.\n", report.Keys[0].Name)
			return nil
		}
	}
	name, err := k.AddKey(ctx, text)
	if err != nil {
		return err
	}
	fmt.Fprintf(sys.stderr, "The key %s is in front of the others by now, and encrypts.\n", name)
	return nil
}

func rotate(ctx context.Context, sys system, k *host.Keys, asJSON bool) error {
	p := newProgress(sys, "rows", asJSON)
	rotation, err := k.Door().Rotate(ctx, host.Operator(), p.show)
	p.end()
	if ctx.Err() != nil {
		fmt.Fprintln(sys.stderr, "Interrupted. Everything can be read; finish with: datasette-secrets key rotate --resume")
		return ctx.Err()
	}
	if err != nil && !errors.Is(err, secrets.ErrIntegrity) {
		return err
	}
	writeDamage(sys, rotation.Damaged, rotation.Damages)
	if asJSON {
		return errors.Join(err, writeJSON(sys, newRotationJSON(rotation)))
	}
	fmt.Fprintf(sys.stderr, "%d of %d rows were put under the key %s.\n", rotation.Renewed, rotation.Rows, rotation.Key)
	if err == nil {
		fmt.Fprintln(sys.stderr, "Take the old key away with: datasette-secrets key retire NAME; its name is told by: datasette-secrets key status")
	}
	return err
}

func newRotationJSON(r vault.Rotation) rotationJSON {
	return rotationJSON{Key: r.Key, Rows: r.Rows, Renewed: r.Renewed, Damages: r.Damages, Damaged: newDamageJSON(r.Damaged)}
}
