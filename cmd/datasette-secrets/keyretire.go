package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/datasette-secrets/datasette-secrets/host"
)

func newKeyRetire(sys system) *cobra.Command {
	flags, abandon := &keyFlags{}, false
	cmd := &cobra.Command{
		Use:   "retire NAME [FILES]...",
		Short: "Take a key away that no row needs any more",
		Long: `Take a key away that no row needs any more, from the key file or the sealed
keyring. NAME is the key's name or id, as "key status" tells them. Every row is
opened first, and the last ones while nobody can store another, so that no
secret is lost. A configuration that names its keys one by one is left as it is:
then the command proves that the key can be taken out there.

What is left to do is to destroy every copy of the key. Old copies of the
database need it still.`,
		Example: `  datasette-secrets key retire default --internal internal.db -c datasette.yml`,
		RunE: func(cmd *cobra.Command, args []string) error {
			name, files, err := firstIsName(args)
			if err != nil {
				return err
			}
			return flags.run(cmd, sys, files, func(ctx context.Context, k *host.Keys) error {
				gone, err := k.RetireKey(ctx, name, abandon)
				if err != nil {
					return err
				}
				if gone {
					fmt.Fprintf(sys.stderr, "The key %s is retired. Destroy every copy of it that there is.\n", name)
				} else {
					fmt.Fprintf(sys.stderr, "No row needs the key %s. Take it out of plugins.datasette-secrets.encryption-key, then destroy every copy of it.\n", name)
				}
				return nil
			})
		},
	}
	flags.add(cmd)
	cmd.Flags().BoolVar(&abandon, "abandon", false, "give up rows that need the key and cannot be trusted anyway")
	return cmd
}
