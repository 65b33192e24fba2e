package main

import (
	"fmt"
	"strings"
	"unicode"

	"github.com/spf13/cobra"

	"github.com/datasette-secrets/datasette-secrets/host"
)

// findingJSON is a finding as "doctor" prints it.
type findingJSON struct {
	Check  string      `json:"check"`
	Health host.Health `json:"health"`
	Text   string      `json:"text"`
	Fix    string      `json:"fix,omitempty"`
}

func newDoctor(sys system) *cobra.Command {
	flags, asJSON := &hostFlags{}, false
	cmd := &cobra.Command{
		Use:   "doctor [FILES]...",
		Short: "Look at everything that a host stands on, and say how to put it right",
		Long: `Look at everything that a host stands on: its configuration, database, keys,
files, volume and plugins. Each gets one line and, where it is not well, a
second one that says what to do. Nothing is started, and no key is shown. Give it
the flags that the host gets.

The exit code is 0 unless something has failed, warnings or not.`,
		Example: `  datasette-secrets doctor --internal internal.db -c datasette.yml --plugins-dir plugins`,
		RunE: func(cmd *cobra.Command, files []string) error {
			cfg := flags.config(sys, files, nil)
			findings := host.Doctor(cmd.Context(), cfg)
			if asJSON {
				all := []findingJSON{}
				for _, f := range findings {
					all = append(all, findingJSON(f))
				}
				if err := writeJSON(sys, all); err != nil {
					return err
				}
			} else {
				writeFindings(sys, findings)
			}
			for _, f := range findings {
				if f.Health == host.HealthFailed {
					return quietError{}
				}
			}
			return nil
		},
	}
	flags.add(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func writeFindings(sys system, findings []host.Finding) {
	for _, f := range findings {
		fmt.Fprintf(sys.stdout, "%-8s %-14s %s\n", f.Health, f.Check, oneLine(f.Text))
		if f.Fix != "" {
			fmt.Fprintf(sys.stdout, "%-8s %-14s fix: %s\n", "", "", oneLine(f.Fix))
		}
	}
}

// oneLine keeps what comes from errors on one line, and from giving a terminal
// orders.
func oneLine(text string) string {
	printable := strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) || unicode.IsPrint(r) {
			return r
		}
		return unicode.ReplacementChar
	}, text)
	return strings.Join(strings.Fields(printable), " ")
}
