package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/host"
	"github.com/datasette-secrets/datasette-secrets/internal/vault"
)

func newAuditProve(sys system) *cobra.Command {
	flags := &databaseFlags{}
	cmd := &cobra.Command{
		Use:   "prove ID [FILES]...",
		Short: "Print a proof that an entry is in the log",
		Long: `Print a proof that an entry is in the log of the newest signed head, in the format
of https://c2sp.org/tlog-proof. With the entry, which "audit show --json" prints, and
the public key, everybody can check it without the database, also when the entry
itself has been pruned since: audit check.`,
		Example: `  datasette-secrets audit prove 1234 --internal internal.db > 1234.proof`,
		RunE: func(cmd *cobra.Command, args []string) error {
			id, files, err := firstIsEntry(args)
			if err != nil {
				return err
			}
			return flags.openLog(cmd.Context(), sys, files, func(door *vault.Vault) error {
				_, proof, err := door.ProveEntry(cmd.Context(), host.Operator(), id)
				if err != nil {
					return err
				}
				_, err = fmt.Fprint(sys.stdout, proof)
				return err
			})
		},
	}
	flags.add(cmd)
	return cmd
}

func newAuditHead(sys system) *cobra.Command {
	return newAuditPrint(sys, "head", "Print the newest signed head, to be kept elsewhere", `Print the newest signed head of the log: how many entries it had, their hash, the
time, and a signature. Kept where those who can write the database cannot, it proves
later that the log only grew: audit verify --head FILE. Heads may stand one after
the other in a file.`, `  datasette-secrets audit head --internal internal.db >> kept.heads`,
		func(ctx context.Context, door *vault.Vault) ([]string, error) {
			head, err := door.LogHead(ctx, host.Operator())
			if err == nil && head.Signed == "" {
				err = fmt.Errorf("%w: no head was signed yet; a host with an encryption key signs one within a minute, and when it stops", secrets.ErrNotFound)
			}
			return []string{head.Signed}, err
		})
}

func newAuditKeys(sys system) *cobra.Command {
	return newAuditPrint(sys, "keys", "Print the public keys that heads are signed with, the present one first", `Print the public keys that heads of the log are signed with, the present one first.
They are no secrets. Kept elsewhere, they prove who signed the log: audit verify
--key FILE.`, `  datasette-secrets audit keys --internal internal.db > log.key`,
		func(ctx context.Context, door *vault.Vault) ([]string, error) {
			keys, err := door.LogKeys(ctx, host.Operator())
			if err == nil && len(keys) == 0 {
				err = fmt.Errorf("%w: the log has no key yet; a host with an encryption key makes one with its first head", secrets.ErrNotFound)
			}
			for i := range keys {
				keys[i] += "\n"
			}
			return keys, err
		})
}

// newAuditPrint makes a command that prints texts.
func newAuditPrint(sys system, use, short, long, example string, texts func(context.Context, *vault.Vault) ([]string, error)) *cobra.Command {
	flags := &databaseFlags{}
	cmd := &cobra.Command{
		Use: use + " [FILES]...", Short: short, Long: long, Example: example,
		RunE: func(cmd *cobra.Command, files []string) error {
			return flags.openLog(cmd.Context(), sys, files, func(door *vault.Vault) error {
				all, err := texts(cmd.Context(), door)
				if err != nil {
					return err
				}
				for _, text := range all {
					if _, err := fmt.Fprint(sys.stdout, text); err != nil {
						return err
					}
				}
				return nil
			})
		},
	}
	flags.add(cmd)
	return cmd
}
