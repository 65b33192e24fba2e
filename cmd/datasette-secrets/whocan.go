package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/datasette-secrets/datasette-secrets/host"
)

func newWhoCan(sys system) *cobra.Command {
	flags := &permissionFlags{}
	cmd := &cobra.Command{
		Use:   "who-can",
		Short: "List who can do something: programs, and the rules about people",
		Long: `List who can do an ACTION, about the secret NAME if it is about one: the plugins
and clients that have to do with it, and the rules about actors. The NAME "-" means
all secrets together.

The host that runs is asked, else the configuration and the database.`,
		Example: `  datasette-secrets who-can datasette-secret OPENAI_API_KEY --internal internal.db -c datasette.yml`,
	}
	return flags.on(sys, cmd, func(ctx context.Context, console *host.Console, action, secret string) error {
		h, err := console.WhoCan(ctx, action, secret)
		if err != nil {
			return err
		}
		if flags.asJSON {
			return writeJSON(sys, h)
		}
		return writeHolders(sys.stdout, h)
	})
}

// writeHolders writes a table of programs and one of rules.
func writeHolders(w io.Writer, h host.Holders) error {
	var b strings.Builder
	plain := func(_, _ int, text string) string { return text }
	if len(h.Programs) > 0 {
		rows := [][]string{{"PROGRAM", "MAY", "RULE"}}
		for _, p := range h.Programs {
			name, may := "plugin "+p.Plugin, "no"
			if p.Client != "" {
				name = "client " + p.Client
			}
			if p.May {
				may = "yes"
			}
			rows = append(rows, []string{oneLine(name), may, oneLine(p.Rule)})
		}
		writeAligned(&b, rows, plain)
		b.WriteString("\n")
	}
	if len(h.Rules) > 0 {
		rows := [][]string{{"WHO", "PLACE"}}
		for _, r := range h.Rules {
			place := r.Place
			if r.Replaced {
				place += " (replaced)"
			}
			rows = append(rows, []string{oneLine(string(r.Rule)), oneLine(place)})
		}
		writeAligned(&b, rows, plain)
	} else {
		fmt.Fprintf(&b, "Without a rule about actors: %s.\n", h.Otherwise)
	}
	if h.Unknown != "" {
		fmt.Fprintf(&b, "\nNote: %s.\n", oneLine(h.Unknown))
	}
	_, err := io.WriteString(w, b.String())
	return err
}
