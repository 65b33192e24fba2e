package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/host"
	"github.com/datasette-secrets/datasette-secrets/internal/vault"
)

// newImport is the parent of the commands that bring secrets from elsewhere.
func newImport(sys system) *cobra.Command {
	group := &cobra.Command{
		Use: "import", Short: "Bring secrets from elsewhere",
		Args: noSuchCommand,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	group.AddCommand(newImportDatasette(sys))
	return group
}

// importFlags are the flags of "import datasette-secrets".
type importFlags struct {
	keyFlags
	keyEnv, keyFile string
	inPlace         bool
	vault.ImportOptions
}

func newImportDatasette(sys system) *cobra.Command {
	flags := &importFlags{}
	cmd := &cobra.Command{
		Use:   "datasette-secrets FILE",
		Short: "Bring the secrets of Datasette's plugin datasette-secrets",
		Long: `Bring the secrets of Datasette's plugin datasette-secrets: copy them from the
database that it keeps them in, or adopt that database as this host's own.

A copy takes the newest version of each secret with its note, and puts it under
this host's key. FILE is only read, and Datasette may be running on it. All are
copied or none: a secret that has another value here is a conflict, unless
--replace gives it a new version. A secret that is the same is left alone, so
that the command can be repeated.

With --in-place nothing is copied: FILE becomes the host's database, with all
versions, under the key that they have. Both programs can go on using it.`,
		Example: `  datasette-secrets import datasette-secrets internal.db --key-env DATASETTE_SECRETS_ENCRYPTION_KEY --internal secrets.db -c datasette.yml
  datasette-secrets import datasette-secrets internal.db --key-file .datasette-secrets-key --in-place`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usagef("Missing argument 'FILE'.")
			}
			return flags.importFrom(cmd, sys, args[0])
		},
	}
	fs := cmd.Flags()
	fs.SortFlags = false
	fs.StringVar(&flags.keyEnv, "key-env", "", "environment variable with the encryption key of FILE")
	fs.StringVar(&flags.keyFile, "key-file", "", "file with the encryption key of FILE; - reads standard input")
	fs.BoolVar(&flags.inPlace, "in-place", false, "make FILE this host's database instead of copying")
	fs.BoolVar(&flags.Replace, "replace", false, "give a secret that has another value here a new version")
	fs.BoolVar(&flags.DryRun, "dry-run", false, "only say what would be done")
	cmd.MarkFlagFilename("key-file")
	flags.keyFlags.add(cmd)
	return cmd
}

func (f *importFlags) importFrom(cmd *cobra.Command, sys system, path string) error {
	key, err := f.key(sys)
	if err != nil {
		return err
	}
	others, err := host.ReadOthers(cmd.Context(), path, key)
	if err != nil {
		return err
	}
	if len(others.Damaged) > 0 {
		writeDamage(sys, others.Damaged, int64(len(others.Damaged)))
		return fmt.Errorf("%w: nothing was done; the key is another one, or these were damaged", secrets.ErrIntegrity)
	}
	if f.inPlace {
		return f.adopt(cmd, sys, path, others)
	}
	return f.run(cmd, sys, nil, func(ctx context.Context, k *host.Keys) error {
		report, err := k.Door().Import(ctx, host.Operator(), others.Set, f.ImportOptions)
		if err != nil && len(report.Conflicts) > 0 {
			return fmt.Errorf("%w. Give them new versions with --replace", err)
		}
		if err == nil {
			f.tell(sys, report, others.Unset)
		}
		return err
	})
}

// key is the key of the file.
func (f *importFlags) key(sys system) (secrets.Value, error) {
	switch {
	case (f.keyEnv == "") == (f.keyFile == ""):
		return secrets.Value{}, usagef("Give either --key-env or --key-file, for the encryption key of FILE.")
	case f.keyFile != "":
		text, err := readMeans(sys, f.keyFile)
		if err != nil {
			return secrets.Value{}, fmt.Errorf("reading the encryption key: %w", err)
		}
		return text, notEmpty(text, f.keyFile)
	}
	text, _ := sys.lookupEnv(f.keyEnv)
	return secrets.NewValue(text), notEmpty(secrets.NewValue(text), f.keyEnv)
}

// adopt makes the file this host's database, under the key that it has.
func (f *importFlags) adopt(cmd *cobra.Command, sys system, path string, others host.Others) error {
	if f.internal != "" || f.keyFile == "-" {
		return usagef("--in-place goes with neither --internal nor a key from standard input: FILE is the database, and its key the host's.")
	}
	f.internal = path
	kind, where := "$env", f.keyEnv
	if f.keyFile != "" {
		kind, where = "$file", f.keyFile
	}
	f.settings.values = append(f.settings.values, []string{"plugins.datasette-secrets.encryption-key", fmt.Sprintf("{%q: %q}", kind, where)})
	if f.DryRun {
		fmt.Fprintf(sys.stderr, "%s can be adopted: it holds %s, and the key opens them.\n", path, howMany(len(others.Set), "secret"))
		return nil
	}
	return f.run(cmd, sys, nil, func(ctx context.Context, k *host.Keys) error {
		adopted, err := k.Door().Adopt(ctx)
		if err != nil {
			return err
		}
		fmt.Fprintf(sys.stderr, "Adopted %s of %s. Start the host on it with: datasette-secrets --internal %s -s plugins.datasette-secrets.encryption-key.%s %s\n",
			howMany(adopted, "version"), howMany(len(others.Set)+others.Unset, "secret"), path, kind, where)
		return nil
	})
}

func (f *importFlags) tell(sys system, report vault.ImportReport, unset int) {
	would := ""
	if f.DryRun {
		would = "would be "
	}
	for _, one := range []struct {
		what  string
		names []string
	}{{"added", report.Added}, {"replaced", report.Replaced}} {
		if len(one.names) > 0 {
			fmt.Fprintf(sys.stderr, "%s%s: %s\n", would, one.what, quotedNames(one.names))
		}
	}
	fmt.Fprintf(sys.stderr, "%s %sstored, %d the same already, %d not set there.\n",
		howMany(len(report.Added)+len(report.Replaced), "secret"), would, len(report.Same), unset)
}

// quotedNames is a list of names that somebody else may have chosen.
func quotedNames(names []string) string {
	all := make([]string, len(names))
	for i, name := range names {
		all[i] = fmt.Sprintf("%q", name)
	}
	return strings.Join(all, ", ")
}

func howMany(n int, what string) string {
	if n != 1 {
		what += "s"
	}
	return fmt.Sprintf("%d %s", n, what)
}
