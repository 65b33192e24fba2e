package main

import (
	"context"
	"fmt"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/datasette-secrets/datasette-secrets/host"
	"github.com/datasette-secrets/datasette-secrets/internal/vault"
)

// keyJSON is a key as "key status" prints it.
type keyJSON struct {
	Name     string `json:"name"`
	ID       string `json:"id"`
	From     string `json:"from"`
	Encrypts bool   `json:"encrypts"`
	Rows     int64  `json:"rows"`
	Damaged  int64  `json:"damaged"`
}

type keyStatusJSON struct {
	Keys     []keyJSON    `json:"keys"`
	Rows     int64        `json:"rows"`
	Misnamed int64        `json:"misnamed"`
	Damages  int64        `json:"damages"`
	Damaged  []damageJSON `json:"damaged"`
	Finished bool         `json:"finished"` // every row is under the key that encrypts
}

func newKeyStatus(sys system) *cobra.Command {
	flags, asJSON := &keyFlags{}, false
	cmd := &cobra.Command{
		Use:   "status [FILES]...",
		Short: "Tell which keys there are, where each comes from, and how many rows it protects",
		Long: `Tell which keys there are, where each comes from, and how many rows it protects.
Every row is opened for that: what it says of its key proves nothing. No key is
shown. A key's id depends on the key alone, whatever it is called.`,
		Example: `  datasette-secrets key status --internal internal.db -c datasette.yml`,
		RunE: func(cmd *cobra.Command, files []string) error {
			return flags.run(cmd, sys, files, func(ctx context.Context, k *host.Keys) error {
				report, err := k.Door().ReportKeys(ctx, host.Operator())
				if err != nil {
					return err
				}
				all := newKeyStatusJSON(k, report)
				if asJSON {
					return writeJSON(sys, all)
				}
				return writeKeyStatus(sys, all, report)
			})
		},
	}
	flags.add(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func newKeyStatusJSON(k *host.Keys, report vault.KeyReport) keyStatusJSON {
	all := keyStatusJSON{
		Keys: []keyJSON{}, Rows: report.Rows, Misnamed: report.Misnamed, Damages: report.Damages,
		Damaged: newDamageJSON(report.Damaged), Finished: report.UnderFirst(),
	}
	origins := k.Origins(report.Keys)
	for i, key := range report.Keys {
		all.Keys = append(all.Keys, keyJSON{key.Name, key.ID, origins[i], i == 0, key.Rows, key.Damaged})
	}
	return all
}

func writeKeyStatus(sys system, all keyStatusJSON, report vault.KeyReport) error {
	table := tabwriter.NewWriter(sys.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "KEY\tID\tROWS\tFROM\t")
	for i, key := range all.Keys {
		note := ""
		switch {
		case i == 0:
			note = "encrypts"
		case key.Rows+key.Damaged == 0:
			note = "not needed"
		}
		fmt.Fprintf(table, "%s\t%s\t%d\t%s\t%s\n", key.Name, key.ID, key.Rows, key.From, note)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	writeDamage(sys, report.Damaged, report.Damages)
	if !all.Finished {
		fmt.Fprintln(sys.stderr, "Not every row is under the key that encrypts. Put them there with: datasette-secrets key rotate --resume")
		return nil
	}
	for _, key := range all.Keys[1:] {
		if key.Rows+key.Damaged == 0 {
			fmt.Fprintf(sys.stderr, "No row needs the key %s. Take it away with: datasette-secrets key retire %s\n", key.Name, key.Name)
		}
	}
	return nil
}
