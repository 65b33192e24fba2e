package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/host"
	"github.com/datasette-secrets/datasette-secrets/internal/seal"
	"github.com/datasette-secrets/datasette-secrets/internal/vault"
)

// newSeal is the parent of the commands about seals.
func newSeal(sys system) *cobra.Command {
	group := &cobra.Command{
		Use:   "seal",
		Short: "Protect the encryption keys by a passphrase, a key file or an HSM",
		Long: `Protect the encryption keys by a passphrase, a key file or an HSM, instead of
giving one in the configuration. Any one of the seals opens the keys. Without
flags that say what opens them, the seals are opened with what the configuration
has (plugins.datasette-secrets.seals), or with a passphrase that is asked for at
the terminal.`,
		Args: noSuchCommand,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	group.AddCommand(
		newSealMake(sys, "init", "Make a sealed keyring with a first seal, in a database without secrets",
			func(ctx context.Context, k *host.Keys, name string, means seal.Means) error {
				return k.Door().InitSeal(ctx, host.Operator(), name, means)
			}),
		newSealMake(sys, "adopt", "Make a sealed keyring of the configured encryption key, with a first seal",
			func(ctx context.Context, k *host.Keys, name string, means seal.Means) error {
				return k.Door().AdoptKeys(ctx, host.Operator(), name, means)
			}),
		newSealAdd(sys), newSealRemove(sys), newSealList(sys), newSealVerify(sys),
		newSealRewrap(sys), newSealExport(sys), newSealLeave(sys))
	return group
}

// withKeys opens the database for a command about keys.
func withKeys(cmd *cobra.Command, sys system, flags *databaseFlags, files []string, run func(ctx context.Context, k *host.Keys) error) error {
	ctx := cmd.Context()
	log := newLog(sys)
	cfg := flags.config(sys, files)
	cfg.Log, cfg.Entry, cfg.HelperEnv = log, sys.entry, helperEnv(sys.environ)
	keys, err := host.OpenKeys(ctx, cfg)
	if err != nil {
		return err
	}
	for _, warning := range keys.Warnings() {
		log.Warn(warning)
	}
	if keys.Ephemeral() {
		err = usagef("No database is named: give --internal, or the file that the configuration names.")
	} else {
		err = run(ctx, keys)
	}
	return errors.Join(err, keys.Close(context.WithoutCancel(ctx)))
}

// firstIsName splits the arguments NAME [FILES]...
func firstIsName(args []string) (name string, files []string, err error) {
	if len(args) == 0 {
		return "", nil, usagef("Missing argument 'NAME'.")
	}
	return args[0], args[1:], nil
}

// newSealMake makes the commands that make a sealed keyring.
func newSealMake(sys system, use, short string, make func(context.Context, *host.Keys, string, seal.Means) error) *cobra.Command {
	flags, sealFlags, name := &databaseFlags{}, &newSealFlags{}, ""
	cmd := &cobra.Command{
		Use:   use + " [FILES]...",
		Short: short,
		RunE: func(cmd *cobra.Command, files []string) error {
			return withKeys(cmd, sys, flags, files, func(ctx context.Context, k *host.Keys) error {
				means, show, err := sealFlags.means(ctx, sys, k.Tokens())
				if err != nil {
					return err
				}
				if err := make(ctx, k, or(name, string(sealFlags.kind())), means); err != nil {
					return err
				}
				show()
				fmt.Fprintf(sys.stderr, "The keys are sealed by %q. Add a second seal with: datasette-secrets seal add\n", or(name, string(sealFlags.kind())))
				return nil
			})
		},
	}
	flags.add(cmd)
	sealFlags.add(cmd)
	cmd.Flags().StringVar(&name, "name", "", "name of the seal; its kind if not given")
	return cmd
}

func newSealAdd(sys system) *cobra.Command {
	flags, sealFlags, open, name := &databaseFlags{}, &newSealFlags{}, &openFlags{}, ""
	cmd := &cobra.Command{
		Use:   "add [FILES]...",
		Short: "Add another seal",
		RunE: func(cmd *cobra.Command, files []string) error {
			return withKeys(cmd, sys, flags, files, func(ctx context.Context, k *host.Keys) error {
				openings, err := open.openings(ctx, sys, k)
				if err != nil {
					return err
				}
				means, show, err := sealFlags.means(ctx, sys, k.Tokens())
				if err != nil {
					return err
				}
				if err := k.Door().AddSeal(ctx, host.Operator(), openings, or(name, string(sealFlags.kind())), means); err != nil {
					return err
				}
				show()
				fmt.Fprintf(sys.stderr, "The seal %q is added.\n", or(name, string(sealFlags.kind())))
				return nil
			})
		},
	}
	flags.add(cmd)
	sealFlags.add(cmd)
	open.add(cmd)
	cmd.Flags().StringVar(&name, "name", "", "name of the seal; its kind if not given")
	return cmd
}

func newSealRemove(sys system) *cobra.Command {
	flags, open := &databaseFlags{}, &openFlags{}
	cmd := &cobra.Command{
		Use:   "remove NAME [FILES]...",
		Short: "Remove a seal, after another one was opened",
		Long: `Remove a seal, after another one was opened. Whoever has an old copy of the
database and what opened the seal can still open that copy; "seal rewrap" and
"key rotate" make it worthless for what is stored from then on.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			name, files, err := firstIsName(args)
			if err != nil {
				return err
			}
			return withKeys(cmd, sys, flags, files, func(ctx context.Context, k *host.Keys) error {
				openings, err := open.openings(ctx, sys, k)
				if err != nil {
					return err
				}
				if err := k.Door().RemoveSeal(ctx, host.Operator(), openings, name); err != nil {
					return err
				}
				fmt.Fprintf(sys.stderr, "The seal %q is removed.\n", name)
				return nil
			})
		},
	}
	flags.add(cmd)
	open.add(cmd)
	return cmd
}

// sealJSON is a seal as commands print it.
type sealJSON struct {
	Name       string          `json:"name"`
	Kind       seal.Kind       `json:"kind"`
	Parameters json.RawMessage `json:"parameters"`
	CreatedAt  string          `json:"created_at"`
	CreatedBy  string          `json:"created_by"`
}

func newSealJSON(info vault.SealInfo) sealJSON {
	parameters := json.RawMessage(info.Parameters)
	if !json.Valid(parameters) { // somebody edited the database
		parameters = json.RawMessage("null")
	}
	return sealJSON{info.Name, info.Kind, parameters, info.CreatedAt, info.CreatedBy}
}

func newSealList(sys system) *cobra.Command {
	flags, asJSON := &databaseFlags{}, false
	cmd := &cobra.Command{
		Use:   "list [FILES]...",
		Short: "List the seals",
		RunE: func(cmd *cobra.Command, files []string) error {
			return withKeys(cmd, sys, flags, files, func(ctx context.Context, k *host.Keys) error {
				infos, err := k.Door().Seals(ctx, host.Operator())
				if err != nil {
					return err
				}
				if asJSON {
					all := []sealJSON{}
					for _, info := range infos {
						all = append(all, newSealJSON(info))
					}
					return writeJSON(sys, all)
				}
				table := tabwriter.NewWriter(sys.stdout, 0, 0, 2, ' ', 0)
				fmt.Fprintln(table, "NAME\tKIND\tMADE AT (UTC)\tMADE BY\tPARAMETERS")
				for _, info := range infos {
					fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", info.Name, info.Kind, info.CreatedAt, info.CreatedBy, parametersText(info))
				}
				return table.Flush()
			})
		},
	}
	flags.add(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// parametersText is the parameters for a table; most seals have none.
func parametersText(info vault.SealInfo) string {
	if info.Parameters == "{}" {
		return ""
	}
	return info.Parameters
}

func writeJSON(sys system, v any) error {
	encoder := json.NewEncoder(asciiWriter{sys.stdout})
	encoder.SetIndent("", "    ")
	encoder.SetEscapeHTML(false)
	return encoder.Encode(v)
}

func newSealVerify(sys system) *cobra.Command {
	flags, open, asJSON := &databaseFlags{}, &openFlags{}, false
	cmd := &cobra.Command{
		Use:   "verify [FILES]...",
		Short: "Try to open the keys with each seal, and change nothing",
		Long: `Try to open the keys with each seal for which something is given, and change
nothing. The exit code is 0 if at least one seal was tried and none failed.`,
		RunE: func(cmd *cobra.Command, files []string) error {
			return withKeys(cmd, sys, flags, files, func(ctx context.Context, k *host.Keys) error {
				openings, err := open.openings(ctx, sys, k)
				if err != nil {
					return err
				}
				checks, err := k.Door().VerifySeals(ctx, host.Operator(), openings)
				if err != nil {
					return err
				}
				if err := writeChecks(sys, checks, asJSON); err != nil {
					return err
				}
				return verdict(checks)
			})
		},
	}
	flags.add(cmd)
	open.add(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func writeChecks(sys system, checks []vault.SealCheck, asJSON bool) error {
	type checkJSON struct {
		sealJSON
		Result  string  `json:"result"` // "opens", "fails" or "not tried"
		Error   string  `json:"error,omitempty"`
		Seconds float64 `json:"seconds"`
	}
	all := []checkJSON{}
	table := tabwriter.NewWriter(sys.stdout, 0, 0, 2, ' ', 0)
	for _, check := range checks {
		row := checkJSON{sealJSON: newSealJSON(check.SealInfo), Result: "opens", Seconds: check.Took.Seconds()}
		detail := check.Took.Round(time.Millisecond).String()
		switch {
		case !check.Tried:
			row.Result, detail = "not tried", "nothing was given that could open it"
		case check.Err != nil:
			row.Result, row.Error = "fails", check.Err.Error()
			detail = row.Error
		}
		all = append(all, row)
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", check.Name, check.Kind, row.Result, detail)
	}
	if asJSON {
		return writeJSON(sys, all)
	}
	return table.Flush()
}

// verdict is the error that says what was found, which has been told already.
func verdict(checks []vault.SealCheck) error {
	tried := false
	for _, check := range checks {
		if check.Err != nil {
			return errors.Join(check.Err, quietError{})
		}
		tried = tried || check.Tried
	}
	if !tried {
		return fmt.Errorf("%w: no seal was tried; say what opens one with --with-passphrase-file, --with-key-file or --with-key-env", secrets.ErrSealed)
	}
	return nil
}

func newSealRewrap(sys system) *cobra.Command {
	flags, sealFlags, open := &databaseFlags{}, &newSealFlags{}, &openFlags{}
	cmd := &cobra.Command{
		Use:   "rewrap [NAME] [FILES]...",
		Short: "Change what opens one seal or, without NAME, replace the root key under all of them",
		Long: `With NAME and flags for a new seal, change what opens that seal: the passphrase,
the key, the mechanism. Without NAME, make a new root key and wrap it anew for
every seal, each of which has to be opened. Do that after a seal was removed
because what opened it is known to others; then unseal running hosts again.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			name, files := "", args
			if sealFlags.given() {
				var err error
				if name, files, err = firstIsName(args); err != nil {
					return err
				}
			}
			return withKeys(cmd, sys, flags, files, func(ctx context.Context, k *host.Keys) error {
				openings, err := open.openings(ctx, sys, k)
				if err != nil {
					return err
				}
				if name == "" {
					if err := k.Door().ReplaceRoot(ctx, host.Operator(), openings); err != nil {
						return err
					}
					fmt.Fprintln(sys.stderr, "There is a new root key. Unseal running hosts again.")
					return nil
				}
				means, show, err := sealFlags.means(ctx, sys, k.Tokens())
				if err != nil {
					return err
				}
				if err := k.Door().RewrapSeal(ctx, host.Operator(), openings, name, means); err != nil {
					return err
				}
				show()
				fmt.Fprintf(sys.stderr, "The seal %q is changed.\n", name)
				return nil
			})
		},
	}
	flags.add(cmd)
	sealFlags.add(cmd)
	open.add(cmd)
	return cmd
}

func newSealExport(sys system) *cobra.Command {
	flags, open, name, out := &databaseFlags{}, &openFlags{}, "", ""
	cmd := &cobra.Command{
		Use:   "export-key [FILES]...",
		Short: "Write an encryption key in clear into a new file, for a configuration without seals",
		Long: `Write an encryption key in clear into a new file, for a configuration without
seals, or for Python's Datasette on the same database. It asks for a typed
confirmation and is recorded. Whoever has the file and the database can read
the stored secrets.`,
		RunE: func(cmd *cobra.Command, files []string) error {
			if out == "" {
				return usagef("Missing option '--out'.")
			}
			return withKeys(cmd, sys, flags, files, func(ctx context.Context, k *host.Keys) error {
				if err := confirm(sys, "This writes an encryption key in clear to "+out+".", "EXPORT"); err != nil {
					return err
				}
				openings, err := open.openings(ctx, sys, k)
				if err != nil {
					return err
				}
				f, err := os.OpenFile(out, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
				if err != nil {
					return fmt.Errorf("making the file of the key: %w", err)
				}
				key, exported, err := k.Door().ExportKey(ctx, host.Operator(), openings, name)
				if err == nil {
					err = writeKey(f, key)
				}
				if err = errors.Join(err, f.Close()); err != nil {
					return errors.Join(err, os.Remove(out))
				}
				fmt.Fprintf(sys.stderr, "The key %q is in %s. To go back to it for good, name the file in plugins.datasette-secrets.encryption-key, and then: datasette-secrets seal leave\n", exported, out)
				return nil
			})
		},
	}
	flags.add(cmd)
	open.add(cmd)
	cmd.Flags().StringVar(&name, "key", "", "name of the key; the one that encrypts if not given")
	cmd.Flags().StringVar(&out, "out", "", "file to make")
	cmd.MarkFlagFilename("out")
	return cmd
}

// writeKey writes a key so that it survives the machine's sudden end.
func writeKey(f *os.File, key secrets.Value) error {
	if err := f.Chmod(0o600); err != nil { // whatever the umask took away
		return fmt.Errorf("writing the key: %w", err)
	}
	if _, err := fmt.Fprintln(f, key.Reveal()); err != nil {
		return fmt.Errorf("writing the key: %w", err)
	}
	if err := f.Sync(); err != nil {
		return fmt.Errorf("writing the key: %w", err)
	}
	return nil
}

func newSealLeave(sys system) *cobra.Command {
	flags, open := &databaseFlags{}, &openFlags{}
	cmd := &cobra.Command{
		Use:   "leave [FILES]...",
		Short: "Give the seals up in favour of the configured encryption key",
		Long: `Give the seals up in favour of the configured encryption key. The configuration
must have every key that is sealed; "seal export-key" writes them. It asks for
a typed confirmation and is recorded.`,
		RunE: func(cmd *cobra.Command, files []string) error {
			return withKeys(cmd, sys, flags, files, func(ctx context.Context, k *host.Keys) error {
				infos, err := k.Door().Seals(ctx, host.Operator())
				if err != nil {
					return err
				}
				var names []string
				for _, info := range infos {
					names = append(names, info.Name)
				}
				if err := confirm(sys, "This removes every seal: "+strings.Join(names, ", ")+".", "LEAVE"); err != nil {
					return err
				}
				openings, err := open.openings(ctx, sys, k)
				if err != nil {
					return err
				}
				if err := k.Leave(ctx, openings); err != nil {
					return err
				}
				fmt.Fprintln(sys.stderr, "The seals are gone, and the configured encryption key counts.")
				return nil
			})
		},
	}
	flags.add(cmd)
	open.add(cmd)
	return cmd
}

func or(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}
