package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/datasette-secrets/datasette-secrets/host"
	"github.com/datasette-secrets/datasette-secrets/internal/vault"
)

// maxStats is how many of the newest entries are counted at most: more takes
// longer than one look at the database may.
const maxStats = 500_000

// groupJSON is one line of statistics.
type groupJSON struct {
	Text    string `json:"text"`
	Allowed int64  `json:"allowed"`
	Refused int64  `json:"refused"`
}

type statsJSON struct {
	First   int64                  `json:"first"`
	Last    int64                  `json:"last"`
	Entries int64                  `json:"entries"`
	Pruned  int64                  `json:"pruned"`
	By      map[string][]groupJSON `json:"by"` // column
}

func newAuditStats(sys system) *cobra.Command {
	flags, filters, asJSON := &databaseFlags{}, &logFilterFlags{}, false
	cmd := &cobra.Command{
		Use:     "stats [FILES]...",
		Short:   "Count the entries by action, secret, actor, plugin and client",
		Long:    "Count the entries by action, secret, actor, plugin and client: at most the 50 largest\ngroups of each, among at most the newest 500,000 entries of the time that is asked for.",
		Example: `  datasette-secrets audit stats --since 30d --internal internal.db`,
		RunE: func(cmd *cobra.Command, files []string) error {
			filter, err := filters.read(time.Now())
			if err != nil {
				return err
			}
			return flags.openLog(cmd.Context(), sys, files, func(door *vault.Vault) error {
				stats, err := door.LogStats(cmd.Context(), host.Operator(), filter, maxStats)
				if err != nil {
					return err
				}
				if asJSON {
					return writeJSON(sys, newStatsJSON(stats))
				}
				return writeStats(sys, stats)
			})
		},
	}
	flags.add(cmd)
	filters.add(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// statGroups are the groups of statistics, in the order of the table's columns.
func statGroups(stats vault.LogStats) []struct {
	column string
	counts []vault.LogCount
} {
	return []struct {
		column string
		counts []vault.LogCount
	}{
		{"action", stats.ByAction}, {"name", stats.ByName}, {"actor_id", stats.ByActor},
		{"plugin", stats.ByPlugin}, {"client", stats.ByClient},
	}
}

func newStatsJSON(stats vault.LogStats) statsJSON {
	all := statsJSON{stats.Lowest, stats.Highest, stats.Entries, stats.Pruned, map[string][]groupJSON{}}
	for _, group := range statGroups(stats) {
		list := []groupJSON{}
		for _, c := range group.counts {
			list = append(list, groupJSON{c.Text, c.Allowed, c.Refused})
		}
		all.By[group.column] = list
	}
	return all
}

func writeStats(sys system, stats vault.LogStats) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%d entries", stats.Entries)
	if stats.Pruned > 0 {
		fmt.Fprintf(&b, ", %d of them pruned", stats.Pruned)
	}
	b.WriteString("\n")
	if stats.Highest-stats.Lowest+1 >= maxStats {
		fmt.Fprintf(&b, "Those older than entry %d were not looked at: choose a time with --since and --until.\n", stats.Lowest)
	}
	c := sys.colours()
	for _, group := range statGroups(stats) {
		if len(group.counts) == 0 {
			continue
		}
		b.WriteString("\n")
		table := [][]string{{strings.ToUpper(group.column), "ALLOWED", "REFUSED"}}
		for _, count := range group.counts {
			table = append(table, []string{harmless(count.Text), strconv.FormatInt(count.Allowed, 10), strconv.FormatInt(count.Refused, 10)})
		}
		writeAligned(&b, table, func(row, column int, text string) string {
			if row > 0 && column == 2 && text != "0" {
				return c.paint(red, text)
			}
			return text
		})
	}
	_, err := fmt.Fprint(sys.stdout, b.String())
	return err
}
