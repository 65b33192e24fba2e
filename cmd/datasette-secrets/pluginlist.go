package main

import (
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/host"
)

func newPluginList(sys system) *cobra.Command {
	flags, asJSON := &databaseFlags{}, false
	cmd := &cobra.Command{
		Use:   "list [FILES]...",
		Short: "List the plugins, what they may do and what they ask for",
		Long: `List the plugins that the database knows, and those of the host that runs on it:
their state, and what they were granted and ask for. "absent" is a plugin whose
file is gone; without a running host, the state is "unknown".`,
		Example: `  datasette-secrets plugin list --internal internal.db`,
		RunE: func(cmd *cobra.Command, files []string) error {
			return flags.open(cmd.Context(), sys, files, func(console *host.Console) error {
				plugins, err := console.Plugins(cmd.Context())
				if err != nil {
					return err
				}
				if asJSON {
					return writeJSON(sys, plugins)
				}
				return writePluginList(sys.stdout, sys.colours(), plugins)
			})
		},
	}
	flags.add(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print everything that is known, as JSON")
	return cmd
}

// writePluginList writes a table, and below it what waits for a decision.
func writePluginList(w io.Writer, c colours, plugins []host.PluginReport) error {
	if len(plugins) == 0 {
		_, err := fmt.Fprintln(w, "There are no plugins.")
		return err
	}
	table := [][]string{{"NAME", "STATE", "VERSION", "PROGRAM", "GRANTED", "PENDING", "REFUSED", "LAST ERROR"}}
	for _, p := range plugins {
		table = append(table, []string{
			p.Name, p.State, p.Version, shortHash(p.Hash),
			count(p, "granted"), count(p, "pending"), count(p, "refused"), p.LastError,
		})
	}
	var b strings.Builder
	writeAligned(&b, table, func(row, column int, text string) string {
		if row > 0 && column == 1 {
			return c.state(secrets.PluginState(plugins[row-1].State), text)
		}
		return text
	})
	for _, p := range plugins {
		writePending(&b, p)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// writePending tells what a plugin asks for, and how to give it.
func writePending(b *strings.Builder, p host.PluginReport) {
	first := true
	for _, r := range p.Requests {
		if !pending(r) {
			continue
		}
		if first {
			fmt.Fprintf(b, "\n%s asks for:\n", p.Name)
		}
		first = false
		fmt.Fprintf(b, "  %s %s%s\n", r.Kind, r.Name, delicacy(r))
	}
	if !first {
		fmt.Fprintf(b, "Decide with: datasette-secrets plugin approve %[1]s, or plugin refuse %[1]s\n", p.Name)
	}
}

// pending reports whether somebody has to decide about a request.
func pending(r host.RequestReport) bool { return r.State == "pending" && r.Asked }

// delicacy says why a request is approved only by name, if it is.
func delicacy(r host.RequestReport) string {
	switch {
	case r.LeftOut:
		return ", which the configuration keeps for others"
	case !r.Delicate:
		return ""
	case len(r.HeldBy) > 0:
		return fmt.Sprintf(", which %s may read; to share it, add --secret %s", strings.Join(r.HeldBy, " and "), r.Name)
	}
	return fmt.Sprintf(", with which it can sign anybody in; to allow that, add --%s %s", r.Kind, r.Name)
}

// count is how many requests of a plugin are in a state. Of those pending, only
// what the plugin asks for as it is now counts.
func count(p host.PluginReport, state string) string {
	n := 0
	for _, r := range p.Requests {
		if r.State == state && (r.Asked || state != "pending") {
			n++
		}
	}
	return strconv.Itoa(n)
}

// shortHash is enough of a hash to tell programs apart.
func shortHash(hash string) string {
	hash = strings.TrimPrefix(hash, "sha256:")
	return hash[:min(len(hash), 12)]
}
