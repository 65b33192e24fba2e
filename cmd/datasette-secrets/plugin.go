package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/datasette-secrets/datasette-secrets/host"
)

// newPlugin is the parent of the commands about one plugin. Each of them has a
// file of its own.
func newPlugin(sys system) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "plugin",
		Short: "Write a plugin, test it, and decide what it may do",
		Args:  noSuchCommand,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(
		newPluginInit(sys), newPluginTest(sys), newHold(sys),
		newPluginList(sys), newPluginApprove(sys), newPluginRefuse(sys),
		newPluginEnable(sys), newPluginDisable(sys), newPluginRestart(sys), newPluginLogs(sys),
	)
	return cmd
}

// pluginFlags are those of the commands that decide about one plugin.
type pluginFlags struct{ databaseFlags }

// on makes cmd a command about the plugin that its first argument names. The
// others are databases to attach, as for serve. act does the work.
func (f *pluginFlags) on(sys system, cmd *cobra.Command, act func(ctx context.Context, console *host.Console, plugin string) error) *cobra.Command {
	f.add(cmd)
	cmd.Use += " NAME [FILES]..."
	cmd.Args = func(_ *cobra.Command, args []string) error {
		if len(args) == 0 {
			return usagef("Missing argument 'NAME': the plugin's name, as \"plugin list\" shows it.")
		}
		return nil
	}
	cmd.ValidArgsFunction = func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveDefault
		}
		return f.names(cmd.Context(), sys), cobra.ShellCompDirectiveNoFileComp
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return f.open(cmd.Context(), sys, args[1:], func(console *host.Console) error {
			return act(cmd.Context(), console, args[0])
		})
	}
	return cmd
}

// open lets work use a console.
func (f *databaseFlags) open(ctx context.Context, sys system, files []string, work func(*host.Console) error) error {
	return withConsole(ctx, f.config(sys, files), work)
}

func withConsole(ctx context.Context, cfg host.Config, work func(*host.Console) error) error {
	console, err := host.OpenConsole(ctx, cfg)
	if err != nil {
		return err
	}
	return errors.Join(work(console), console.Close())
}

// names are the names of the plugins, for a shell that completes them; none
// when that does not work out.
func (f *pluginFlags) names(ctx context.Context, sys system) (names []string) {
	_ = f.open(ctx, sys, nil, func(console *host.Console) error {
		plugins, err := console.Plugins(ctx)
		for _, p := range plugins {
			names = append(names, p.Name)
		}
		return err
	})
	return names
}
