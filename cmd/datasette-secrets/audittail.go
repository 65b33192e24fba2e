package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/datasette-secrets/datasette-secrets/host"
	"github.com/datasette-secrets/datasette-secrets/internal/vault"
)

// maxTail is how many entries audit tail begins with at most.
const maxTail = 100_000

// tailFlags are those of audit tail.
type tailFlags struct {
	databaseFlags
	logFilterFlags
	count  int
	follow bool
	json   bool
}

func newAuditTail(sys system) *cobra.Command {
	flags := &tailFlags{}
	cmd := &cobra.Command{
		Use:   "tail [FILES]...",
		Short: "Print the newest entries of the log",
		Long: `Print the newest entries of the log, the latest last: the entry's number, its time
(UTC), the action, the secret and its version, who did it and by what means, and
why it was allowed or refused. What a terminal would not print is escaped.`,
		Example: `  datasette-secrets audit tail -n 50 --name OPENAI_API_KEY --internal internal.db
  datasette-secrets audit tail --follow --refused --internal internal.db`,
		RunE: func(cmd *cobra.Command, files []string) error {
			filter, err := flags.read(time.Now())
			if err != nil {
				return err
			}
			if flags.count < 0 || flags.count > maxTail {
				return usagef("Invalid value for '-n': it must be 0 to %d; audit export writes more.", maxTail)
			}
			return flags.openLog(cmd.Context(), sys, files, func(door *vault.Vault) error {
				return flags.run(cmd.Context(), sys, door, filter)
			})
		},
	}
	flags.databaseFlags.add(cmd)
	flags.logFilterFlags.add(cmd)
	cmd.Flags().IntVarP(&flags.count, "lines", "n", 20, "how many entries to begin with")
	cmd.Flags().BoolVarP(&flags.follow, "follow", "f", false, "go on with what comes, until interrupted")
	cmd.Flags().BoolVar(&flags.json, "json", false, "print JSON, one entry in a line, with the columns of the table")
	return cmd
}

func (f *tailFlags) run(ctx context.Context, sys system, door *vault.Vault, filter vault.LogFilter) error {
	write := entryWriter(sys.stdout, sys.colours(), f.json)
	last, err := newestID(ctx, door) // before the entries are read, so that none comes between
	if err != nil {
		return err
	}
	newest, err := newestEntries(ctx, door, filter, f.count)
	if err != nil {
		return err
	}
	for _, row := range slices.Backward(newest) {
		if err := write(row); err != nil {
			return err
		}
		last = max(last, row.ID)
	}
	if !f.follow {
		return nil
	}
	return followLog(ctx, door, filter, last, write)
}

// newestID is the id of the newest entry of all; 0 if there is none.
func newestID(ctx context.Context, door *vault.Vault) (int64, error) {
	found, err := door.OlderLog(ctx, host.Operator(), vault.LogFilter{}, 0, 1)
	if err != nil || len(found.Entries) == 0 {
		return 0, err
	}
	return found.Entries[0].ID, nil
}

// newestEntries are the newest ones that a filter means, newest first.
func newestEntries(ctx context.Context, door *vault.Vault, filter vault.LogFilter, count int) (all []vault.LogRow, err error) {
	for from, more := int64(0), true; more && len(all) < count; {
		found, err := door.OlderLog(ctx, host.Operator(), filter, from, min(count-len(all), vault.MaxLogPage))
		if err != nil {
			return nil, err
		}
		all = append(all, found.Entries...)
		from, more = found.Next, found.More
	}
	return all, nil
}

// followLog writes what comes after an entry, until ctx ends.
func followLog(ctx context.Context, door *vault.Vault, filter vault.LogFilter, last int64, write func(vault.LogRow) error) error {
	for {
		found, err := door.NewerLog(ctx, host.Operator(), filter, last, vault.MaxLogPage)
		if ctx.Err() != nil {
			return nil // interrupted, as it was meant to be
		}
		if err != nil {
			return err
		}
		for _, row := range found.Entries {
			if err := write(row); err != nil {
				return err
			}
		}
		if last = found.Next; found.More {
			continue
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(followEvery):
		}
	}
}

// entryWriter returns a function that writes one entry in a line.
func entryWriter(w io.Writer, c colours, asJSON bool) func(vault.LogRow) error {
	if asJSON {
		encoder := json.NewEncoder(asciiWriter{w})
		encoder.SetEscapeHTML(false)
		return func(row vault.LogRow) error { return encoder.Encode(row) }
	}
	return func(row vault.LogRow) error {
		_, err := fmt.Fprintln(w, entryLine(c, row))
		return err
	}
}

func entryLine(c colours, row vault.LogRow) string {
	if row.Pruned {
		return c.paint(faint, fmt.Sprintf("%6d  pruned", row.ID))
	}
	line := fmt.Sprintf("%6d  %s  %-8s", row.ID, c.paint(faint, harmless(row.Time)), harmless(row.Action))
	add := func(before, text string) {
		if text != "" {
			line += before + harmless(text)
		}
	}
	add(" ", row.Name)
	if row.Version != 0 {
		line += fmt.Sprintf(" v%d", row.Version)
	}
	add(" by ", row.ActorID)
	if row.ActorProof != "" {
		line += " (" + harmless(row.ActorProof) + ")"
	}
	add(" through plugin ", row.Plugin)
	add(" through client ", row.Client)
	add(" from ", row.Source)
	if !row.Allowed {
		line += " " + c.paint(red, "refused")
	}
	line = strings.TrimRight(line, " ")
	add(": ", row.Reason)
	return line
}
