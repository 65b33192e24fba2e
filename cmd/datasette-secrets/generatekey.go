package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/datasette-secrets/datasette-secrets/internal/keyring"
)

func newGenerateKey() *cobra.Command {
	return &cobra.Command{
		Use:   "generate-encryption-key",
		Short: "Print a new random encryption key",
		Long: `Print a new random encryption key, for plugins.datasette-secrets.encryption-key
in the configuration. Whoever has it can read the stored secrets, and without
it they are lost.`,
		Example: `  (umask 077 && datasette-secrets generate-encryption-key > secrets.key)`,
		Args:    noExtra,
		RunE: func(cmd *cobra.Command, _ []string) error {
			key, err := keyring.Generate()
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), key)
			return err
		},
	}
}

func noExtra(_ *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usagef("Got unexpected extra argument (%s)", args[0])
	}
	return nil
}
