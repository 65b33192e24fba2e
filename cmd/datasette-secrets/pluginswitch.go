package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/datasette-secrets/datasette-secrets/host"
)

func newPluginEnable(sys system) *cobra.Command {
	return newSwitch(sys, (*host.Console).Enable, "enabled", &cobra.Command{
		Use:   "enable",
		Short: "Let a plugin run that was disabled, or crashed too often",
	})
}

func newPluginDisable(sys system) *cobra.Command {
	return newSwitch(sys, (*host.Console).Disable, "disabled", &cobra.Command{
		Use:   "disable",
		Short: "Stop a plugin until it is enabled",
		Long: `Stop a plugin until it is enabled. From that moment it reads no secrets, and no
host starts it. What it was granted is kept.`,
	})
}

func newPluginRestart(sys system) *cobra.Command {
	return newSwitch(sys, (*host.Console).Restart, "restarted", &cobra.Command{
		Use:   "restart",
		Short: "Stop a plugin of the running host and start it again",
	})
}

// newSwitch is a command that does one thing with one plugin.
func newSwitch(sys system, act func(*host.Console, context.Context, string) error, done string, cmd *cobra.Command) *cobra.Command {
	cmd.Example = "  datasette-secrets plugin " + cmd.Use + " weather --internal internal.db"
	return new(pluginFlags).on(sys, cmd, func(ctx context.Context, console *host.Console, plugin string) error {
		if err := act(console, ctx, plugin); err != nil {
			return err
		}
		_, err := fmt.Fprintf(sys.stdout, "%s is %s.\n", plugin, done)
		return err
	})
}
