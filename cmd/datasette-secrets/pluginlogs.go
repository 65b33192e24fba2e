package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/host"
)

// followEvery is how often --follow looks for new lines.
const followEvery = 300 * time.Millisecond

func newPluginLogs(sys system) *cobra.Command {
	flags, follow := &pluginFlags{}, false
	cmd := &cobra.Command{
		Use:   "logs",
		Short: "Print the last lines of a plugin's log, from the running host",
		Long: `Print what the running host's log says about a plugin: its own lines and the
host's, at most the last thousand. Times are in UTC. Values of secrets that the
plugin was given are masked.`,
		Example: `  datasette-secrets plugin logs weather --follow --internal internal.db`,
	}
	flags.on(sys, cmd, func(ctx context.Context, console *host.Console, plugin string) error {
		last, err := writeLog(ctx, sys.stdout, console, plugin, 0)
		for err == nil && follow {
			select {
			case <-ctx.Done():
				return nil
			case <-time.After(followEvery):
				last, err = writeLog(ctx, sys.stdout, console, plugin, last)
			}
		}
		if follow && ctx.Err() != nil {
			return nil // interrupted, as it was meant to be
		}
		return err
	})
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "go on with what comes, until interrupted")
	return cmd
}

// writeLog writes the lines after one, and returns the last one.
func writeLog(ctx context.Context, w io.Writer, console *host.Console, plugin string, last int64) (int64, error) {
	for {
		lines, err := console.Log(ctx, plugin, last)
		if err != nil || len(lines) == 0 {
			return last, err
		}
		for _, line := range lines {
			if err := writeLine(w, line); err != nil {
				return last, err
			}
			last = line.Seq
		}
	}
}

func writeLine(w io.Writer, line secrets.LogLine) error {
	_, err := fmt.Fprintf(w, "%s %-5s %s\n", line.Time.UTC().Format(time.DateTime), line.Level, line.Text)
	return err
}
