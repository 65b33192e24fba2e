package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/host"
	"github.com/datasette-secrets/datasette-secrets/internal/keyring"
)

func newKeyAdd(sys system) *cobra.Command {
	flags, fresh, out := &keyFlags{}, &newKeyFlags{}, ""
	cmd := &cobra.Command{
		Use:   "add [FILES]...",
		Short: "Put a new key in front of the others",
		Long: `Put a new key in front of the others: into the key file that the configuration
names as {$file: PATH}, or into the sealed keyring. Running hosts take it over
by themselves. A configuration that names its keys in another way is left as it
is; --out makes a key file for it, readable by its owner only. A new key is
never printed.`,
		Example: `  datasette-secrets key add --internal internal.db -c datasette.yml
  datasette-secrets key add --out secrets.key`,
		RunE: func(cmd *cobra.Command, files []string) error {
			text, err := fresh.key(sys)
			if err != nil {
				return err
			}
			if out != "" {
				return writeNewKey(sys, out, text)
			}
			return flags.run(cmd, sys, files, func(ctx context.Context, k *host.Keys) error {
				return addKey(ctx, sys, k, text)
			})
		},
	}
	flags.add(cmd)
	fresh.add(cmd)
	cmd.Flags().StringVar(&out, "out", "", "only make a key file with this name, and say what to do with it")
	cmd.MarkFlagFilename("out")
	return cmd
}

func addKey(ctx context.Context, sys system, k *host.Keys, text secrets.Value) error {
	name, err := k.AddKey(ctx, text)
	if err != nil {
		return err
	}
	fmt.Fprintf(sys.stderr, "The key %s is in front of the others by now, and encrypts. Put the stored rows under it with: datasette-secrets key rotate --resume\n", name)
	return nil
}

// writeNewKey makes a key file, and says how it is used.
func writeNewKey(sys system, path string, text secrets.Value) (err error) {
	if text.Len() == 0 {
		if text, err = host.NewKey(); err != nil {
			return err
		}
	}
	if err := keyring.CreateFile(path, text); err != nil {
		return err
	}
	fmt.Fprintf(sys.stderr, "The new key is in %s. Keep a copy in a safe place: without it the secrets are lost.\n", path)
	fmt.Fprint(sys.stderr, strings.ReplaceAll(`If it is the first key, the configuration is:
  plugins:
    datasette-secrets:
      encryption-key: {$file: PATH}
If there is another one, put the new one in front of it:
  plugins:
    datasette-secrets:
      encryption-key:
      - {$file: PATH}
      - (what is there now)
Then put the stored rows under it with: datasette-secrets key rotate --resume
`, "PATH", path))
	return nil
}
