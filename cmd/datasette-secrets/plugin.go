package main

import "github.com/spf13/cobra"

// newPlugin is the parent of the commands about one plugin. Each of them has a
// file of its own.
func newPlugin(_ system) *cobra.Command {
	return &cobra.Command{
		Use:   "plugin",
		Short: "Write a plugin, test it, and decide what it may do",
		Args:  noSuchCommand,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
}
