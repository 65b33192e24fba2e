package main

import (
	"bufio"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/datasette-secrets/datasette-secrets/host"
	"github.com/datasette-secrets/datasette-secrets/internal/vault"
)

// exportFlags are those of audit export.
type exportFlags struct {
	databaseFlags
	logFilterFlags
	format string
	output string
}

func newAuditExport(sys system) *cobra.Command {
	flags := &exportFlags{}
	cmd := &cobra.Command{
		Use:   "export [FILES]...",
		Short: "Write the log as JSON lines or CSV",
		Long: `Write the log as JSON lines or CSV, the oldest entry first, with the columns of the
table. Salt and leaf are hexadecimal. In CSV, a text that a spreadsheet would take
for a formula has an apostrophe in front; JSON has every text as it is.`,
		Example: `  datasette-secrets audit export --format csv --since 30d -o log.csv --internal internal.db`,
		RunE: func(cmd *cobra.Command, files []string) error {
			filter, err := flags.read(time.Now())
			if err != nil {
				return err
			}
			if flags.format != "jsonl" && flags.format != "csv" {
				return usagef("Invalid value for '--format': it must be jsonl or csv.")
			}
			return flags.openLog(cmd.Context(), sys, files, func(door *vault.Vault) error {
				return flags.run(cmd.Context(), sys, door, filter)
			})
		},
	}
	flags.databaseFlags.add(cmd)
	flags.logFilterFlags.add(cmd)
	cmd.Flags().StringVar(&flags.format, "format", "jsonl", "jsonl or csv")
	cmd.Flags().StringVarP(&flags.output, "output", "o", "", "write to this new file, which only you can read, instead of standard output")
	cmd.RegisterFlagCompletionFunc("format", cobra.FixedCompletions([]string{"jsonl", "csv"}, cobra.ShellCompDirectiveNoFileComp))
	cmd.MarkFlagFilename("output")
	return cmd
}

func (f *exportFlags) run(ctx context.Context, sys system, door *vault.Vault, filter vault.LogFilter) (err error) {
	out := sys.stdout
	if f.output != "" {
		file, err := os.OpenFile(f.output, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
		if err != nil {
			return fmt.Errorf("writing the log: %w; choose the name of a new file", err)
		}
		defer func() {
			if failed := file.Close(); err != nil || failed != nil {
				err = errors.Join(err, failed, os.Remove(f.output)) // half of a log may pass for all of it
			}
		}()
		out = file
	}
	buffered := bufio.NewWriter(out)
	write, finish := exporter(buffered, f.format)
	for last, more := int64(0), true; more; {
		found, err := door.NewerLog(ctx, host.Operator(), filter, last, vault.MaxLogPage)
		if err != nil {
			return err
		}
		for _, row := range found.Entries {
			if err := write(row); err != nil {
				return fmt.Errorf("writing the log: %w", err)
			}
		}
		last, more = found.Next, found.More
	}
	if err := errors.Join(finish(), buffered.Flush()); err != nil {
		return fmt.Errorf("writing the log: %w", err)
	}
	return nil
}

// exporter returns what writes an entry, and what has to be done at the end.
func exporter(w io.Writer, format string) (write func(vault.LogRow) error, finish func() error) {
	if format == "csv" {
		table := csv.NewWriter(w)
		first := table.Write(vault.LogColumns())
		return func(row vault.LogRow) error { return errors.Join(first, table.Write(row.Cells())) },
			func() error { table.Flush(); return table.Error() }
	}
	encoder := json.NewEncoder(asciiWriter{w})
	encoder.SetEscapeHTML(false)
	return func(row vault.LogRow) error { return encoder.Encode(row) }, func() error { return nil }
}
