package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/host"
	"github.com/datasette-secrets/datasette-secrets/internal/vault"
)

// newKey is the parent of the commands about encryption keys.
func newKey(sys system) *cobra.Command {
	group := &cobra.Command{
		Use:   "key",
		Short: "Look at the encryption keys, and change them",
		Long: `Look at the encryption keys, and change them while hosts are running. A change
is: add a key in front of the old one, put every row under it, and take the old
one away when no row needs it. "key rotate" does the first two, "key retire" the
last.`,
		Args: noSuchCommand,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	group.AddCommand(newKeyStatus(sys), newKeyRotate(sys), newKeyAdd(sys), newKeyRetire(sys))
	return group
}

// keyFlags are the flags of every command about keys: which database, and what
// opens its seals, if it has any.
type keyFlags struct {
	databaseFlags
	openFlags
}

func (f *keyFlags) add(cmd *cobra.Command) {
	f.databaseFlags.add(cmd)
	f.openFlags.add(cmd)
}

// run runs a command with the keys open.
func (f *keyFlags) run(cmd *cobra.Command, sys system, files []string, act func(ctx context.Context, k *host.Keys) error) error {
	return withKeys(cmd, sys, &f.databaseFlags, files, func(ctx context.Context, k *host.Keys) error {
		if k.Sealed() {
			openings, err := f.openings(ctx, sys, k)
			if err != nil {
				return err
			}
			if _, err := k.Door().Unseal(ctx, host.Operator(), openings); err != nil {
				return err
			}
		}
		return act(ctx, k)
	})
}

// newKeyFlags say where a new key comes from.
type newKeyFlags struct {
	file string
	env  string
}

func (f *newKeyFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.file, "new-key-file", "", "take the new key from this file instead of making a random one; - reads standard input")
	cmd.Flags().StringVar(&f.env, "new-key-env", "", "take the new key from this environment variable")
	cmd.MarkFlagFilename("new-key-file")
}

func (f *newKeyFlags) given() bool { return f.file != "" || f.env != "" }

// key returns the new key, empty for a random one.
func (f *newKeyFlags) key(sys system) (secrets.Value, error) {
	switch {
	case f.file != "" && f.env != "":
		return secrets.Value{}, usagef("--new-key-file and --new-key-env cannot be given together.")
	case f.file != "":
		text, err := readMeans(sys, f.file)
		if err != nil {
			return secrets.Value{}, fmt.Errorf("reading the new key: %w", err)
		}
		return text, notEmpty(text, f.file)
	case f.env != "":
		text, _ := sys.lookupEnv(f.env)
		return secrets.NewValue(text), notEmpty(secrets.NewValue(text), f.env)
	}
	return secrets.Value{}, nil
}

func notEmpty(text secrets.Value, where string) error {
	if text.Len() == 0 {
		return fmt.Errorf("%w: there is no key in %s", secrets.ErrInvalid, where)
	}
	return nil
}

// damageJSON is a row that cannot be trusted, as commands print it.
type damageJSON struct {
	Row     int64  `json:"row"`
	Name    string `json:"name"`
	Version int64  `json:"version"`
	Error   string `json:"error"`
}

func newDamageJSON(all []vault.Damage) []damageJSON {
	list := []damageJSON{}
	for _, d := range all {
		list = append(list, damageJSON{d.Row, d.Name, d.Version, d.Err.Error()})
	}
	return list
}

// writeDamage tells of rows that cannot be trusted. Somebody else may have
// chosen their names, so these are quoted.
func writeDamage(sys system, all []vault.Damage, count int64) {
	for _, d := range all {
		if d.Version == 0 {
			fmt.Fprintf(sys.stderr, "not to be trusted: %q: %v\n", d.Name, d.Err)
			continue
		}
		fmt.Fprintf(sys.stderr, "not to be trusted: version %d of %q (row %d): %v\n", d.Version, d.Name, d.Row, d.Err)
	}
	if more := count - int64(len(all)); more > 0 {
		fmt.Fprintf(sys.stderr, "and %d more\n", more)
	}
}
