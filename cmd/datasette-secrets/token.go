package main

import (
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/datasette-secrets/datasette-secrets/internal/access"
	"github.com/datasette-secrets/datasette-secrets/internal/signing"
)

// tokenFlags say what a new API token may do.
type tokenFlags struct {
	secret       string
	expiresAfter int64
	all          []string
	databases    tuples
	resources    tuples
	debug        bool
}

func newCreateToken(sys system) *cobra.Command {
	flags := &tokenFlags{}
	cmd := &cobra.Command{
		Use:   "create-token ID",
		Short: "Print a signed API token for the actor with this id",
		Long: `Print a signed API token for the actor with this id. It is valid on every host
and Datasette with the same --secret. With -a, -d or -r it may only do what
they name.`,
		Example: `  datasette-secrets create-token root --secret "$DATASETTE_SECRET" -e 3600 -a manage-secrets`,
		Args:    oneID,
		RunE: func(cmd *cobra.Command, args []string) error {
			return flags.run(sys, args[0])
		},
	}
	cmd.Flags().SortFlags = false
	cmd.Flags().StringVar(&flags.secret, "secret", "", "secret that signs the token (or DATASETTE_SECRET)")
	cmd.Flags().Int64VarP(&flags.expiresAfter, "expires-after", "e", 0, "seconds until it expires; never if not given")
	cmd.Flags().StringArrayVarP(&flags.all, "all", "a", nil, "allow only this action; may be repeated")
	tupleFlag(cmd, &flags.databases, "database", "d", "allow only this action on this database; may be repeated", "DATABASE", "ACTION")
	tupleFlag(cmd, &flags.resources, "resource", "r", "allow only this action on this table or query; may be repeated", "DATABASE", "RESOURCE", "ACTION")
	cmd.Flags().BoolVar(&flags.debug, "debug", false, "print what the token holds as well")
	return cmd
}

func oneID(_ *cobra.Command, args []string) error {
	if len(args) == 0 {
		return usagef("Missing argument 'ID'.")
	}
	return noExtra(nil, args[1:])
}

func (f *tokenFlags) run(sys system, id string) error {
	secret := f.secret
	if secret == "" {
		secret, _ = sys.lookupEnv("DATASETTE_SECRET")
	}
	if secret == "" {
		return usagef("Missing option '--secret'.")
	}
	if f.expiresAfter < 0 {
		return usagef("Invalid value for '-e' / '--expires-after': it must not be negative.")
	}
	token := signing.Token{
		Actor: id, Created: time.Now().Unix(), Duration: f.expiresAfter,
		Restrictions: f.restrictions(sys.stderr),
	}
	signed, err := signing.New(secret).SignToken(token)
	if err != nil {
		return err
	}
	fmt.Fprintln(sys.stdout, signed)
	if !f.debug {
		return nil
	}
	decoded, err := json.MarshalIndent(token, "", "  ")
	if err != nil {
		return fmt.Errorf("printing the token: %w", err)
	}
	_, err = fmt.Fprintf(sys.stdout, "\nDecoded:\n\n%s\n", decoded)
	return err
}

// restrictions is the token's "_r": nil when it may do all that its actor may.
func (f *tokenFlags) restrictions(stderr io.Writer) map[string]any {
	r := map[string]any{}
	for _, action := range f.all {
		r["a"] = append(texts(r["a"]), abbreviate(stderr, action))
	}
	for _, pair := range f.databases.values {
		databases := child(r, "d")
		databases[pair[0]] = append(texts(databases[pair[0]]), abbreviate(stderr, pair[1]))
	}
	for _, triple := range f.resources.values {
		resources := child(child(r, "r"), triple[0])
		resources[triple[1]] = append(texts(resources[triple[1]]), abbreviate(stderr, triple[2]))
	}
	if len(r) == 0 {
		return nil
	}
	return r
}

func texts(v any) []string {
	list, _ := v.([]string)
	return list
}

func child(parent map[string]any, key string) map[string]any {
	block, ok := parent[key].(map[string]any)
	if !ok {
		block = map[string]any{}
		parent[key] = block
	}
	return block
}

// abbreviate returns the short form of an action, which is how tokens hold it.
// An unknown action is told, and kept: a plugin of the other program may know
// it.
func abbreviate(stderr io.Writer, name string) string {
	for _, action := range access.Actions() {
		if action.Name == name && action.Abbr != "" {
			return action.Abbr
		}
		if action.Name == name {
			return name
		}
	}
	if abbr, ok := datasetteActions()[name]; ok {
		return abbr
	}
	fmt.Fprintf(stderr, "  Unknown permission: %s \n", name)
	return name
}

// datasetteActions are the actions of Datasette that this host does not have,
// with their short forms: a token made here may be meant for both.
func datasetteActions() map[string]string {
	return map[string]string{
		"alter-table":            "at",
		"create-table":           "ct",
		"create-view":            "cv",
		"delete-query":           "dq",
		"delete-row":             "dr",
		"drop-table":             "dt",
		"drop-view":              "dv",
		"execute-sql":            "es",
		"execute-write-sql":      "ews",
		"insert-row":             "ir",
		"set-column-type":        "sct",
		"store-query":            "sq",
		"update-query":           "uq",
		"update-row":             "ur",
		"view-database":          "vd",
		"view-database-download": "vdd",
		"view-query":             "vq",
		"view-table":             "vt",
	}
}
