package main

import (
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/datasette-secrets/datasette-secrets/host"
)

func newClientList(sys system) *cobra.Command {
	flags, asJSON := &databaseFlags{}, false
	cmd := &cobra.Command{
		Use:     "list [FILES]...",
		Short:   "List the clients, what they may read and what they ask for",
		Example: `  datasette-secrets client list --internal internal.db`,
		RunE: func(cmd *cobra.Command, files []string) error {
			return flags.open(cmd.Context(), sys, files, func(console *host.Console) error {
				clients, err := console.Clients(cmd.Context())
				if err != nil {
					return err
				}
				if asJSON {
					return writeJSON(sys, clients)
				}
				return writeClientList(sys.stdout, clients)
			})
		},
	}
	flags.add(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print everything that is known, as JSON")
	return cmd
}

// writeClientList writes a table, and below it what waits for a decision. Times
// are in UTC.
func writeClientList(w io.Writer, clients []host.ClientReport) error {
	if len(clients) == 0 {
		_, err := fmt.Fprintln(w, "There are no clients.")
		return err
	}
	table := [][]string{{"NAME", "STATE", "MAY", "EXPIRES", "LAST USED", "GRANTED", "PENDING", "REFUSED"}}
	for _, c := range clients {
		may := "read"
		if c.Write {
			may = "read, write"
		}
		row := []string{c.Name, c.State, may, c.ExpiresAt, c.LastUsedAt}
		for _, state := range []string{"granted", "pending", "refused"} {
			row = append(row, strconv.Itoa(len(secretsIn(c, state))))
		}
		table = append(table, row)
	}
	var b strings.Builder
	writeAligned(&b, table, func(_, _ int, text string) string { return text })
	for _, c := range clients {
		if pending := secretsIn(c, "pending"); len(pending) > 0 && c.State != "revoked" {
			fmt.Fprintf(&b, "\n%s asks for:\n", c.Name)
			for _, s := range pending {
				fmt.Fprintf(&b, "  %s%s\n", s.Name, heldBy(s))
			}
			fmt.Fprintf(&b, "Decide with: datasette-secrets client approve %[1]s, or client refuse %[1]s\n", c.Name)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// secretsIn are the secrets of a client in one state.
func secretsIn(c host.ClientReport, state string) (found []host.ClientSecretReport) {
	for _, s := range c.Secrets {
		if s.State == state {
			found = append(found, s)
		}
	}
	return found
}
