package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/datasette-secrets/datasette-secrets/host"
	"github.com/datasette-secrets/datasette-secrets/internal/vault"
)

func newAuditShow(sys system) *cobra.Command {
	flags, asJSON := &databaseFlags{}, false
	cmd := &cobra.Command{
		Use:   "show ID [FILES]...",
		Short: "Print one entry with all that it says",
		Long: `Print one entry with all that it says, under the names of the table's columns.
What the entry does not have is left out; salt and leaf are hexadecimal.`,
		Example: `  datasette-secrets audit show 1234 --internal internal.db`,
		RunE: func(cmd *cobra.Command, args []string) error {
			id, files, err := firstIsEntry(args)
			if err != nil {
				return err
			}
			return flags.openLog(cmd.Context(), sys, files, func(door *vault.Vault) error {
				row, err := door.LogRow(cmd.Context(), host.Operator(), id)
				if err != nil {
					return err
				}
				if asJSON {
					return writeJSON(sys, row)
				}
				return writeEntry(sys, row)
			})
		},
	}
	flags.add(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func writeEntry(sys system, row vault.LogRow) error {
	var table [][]string
	for i, value := range row.Values() {
		if value != nil {
			table = append(table, []string{vault.LogColumns()[i], harmless(fmt.Sprint(value))})
		}
	}
	if row.Pruned {
		table = append(table, []string{"", "what this entry said was pruned"})
	}
	var b strings.Builder
	c := sys.colours()
	writeAligned(&b, table, func(_, column int, text string) string {
		if column == 0 {
			return c.paint(faint, text)
		}
		return text
	})
	_, err := fmt.Fprint(sys.stdout, b.String())
	return err
}
