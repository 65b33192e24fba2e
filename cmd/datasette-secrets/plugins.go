package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/host"
)

func newPlugins(sys system) *cobra.Command {
	flags := &hostFlags{}
	all, table := false, false
	cmd := &cobra.Command{
		Use:   "plugins",
		Short: "Start the plugins once and print what became of them, as JSON",
		RunE: func(cmd *cobra.Command, files []string) error {
			opened, err := host.Open(cmd.Context(), flags.config(sys, files, newLog(sys)))
			if err != nil {
				return err
			}
			status := opened.Plugins()
			err = opened.Close(context.WithoutCancel(cmd.Context()))
			if table {
				return errors.Join(err, writeTable(sys.stdout, status))
			}
			return errors.Join(err, writePlugins(sys.stdout, status))
		},
	}
	flags.add(cmd)
	cmd.Flags().BoolVar(&table, "table", false, "print a table for people instead")
	cmd.Flags().BoolVar(&all, "all", false, "taken as in Datasette, which lists its own plugins too; this host has none")
	return cmd
}

// pluginJSON is one plugin as Datasette prints it, and what only this host
// knows.
type pluginJSON struct {
	Name      string   `json:"name"`
	Static    bool     `json:"static"`
	Templates bool     `json:"templates"`
	Version   *string  `json:"version"`
	Hooks     []string `json:"hooks"`
	State     string   `json:"state"`
	Error     string   `json:"error,omitempty"`
	Secrets   []string `json:"secrets"`
	Sandbox   string   `json:"sandbox"`
	Missing   []string `json:"sandbox_missing,omitempty"`
}

func writePlugins(w io.Writer, status []secrets.PluginStatus) error {
	rows := []pluginJSON{}
	for _, plugin := range status {
		row := pluginJSON{
			Name: plugin.Name, Hooks: append([]string{}, plugin.Hooks...),
			State: string(plugin.State), Error: plugin.LastError,
			Secrets: append([]string{}, plugin.Secrets...),
			Sandbox: plugin.Sandbox, Missing: plugin.Missing,
		}
		if plugin.Version != "" {
			row.Version = &plugin.Version
		}
		rows = append(rows, row)
	}
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "    ")
	encoder.SetEscapeHTML(false)
	return encoder.Encode(rows)
}

func writeTable(w io.Writer, status []secrets.PluginStatus) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "NAME\tSTATE\tSECRETS\tERROR")
	for _, plugin := range status {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", plugin.Name, plugin.State, strings.Join(plugin.Secrets, ","), plugin.LastError)
	}
	return table.Flush()
}
