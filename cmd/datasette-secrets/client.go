package main

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/datasette-secrets/datasette-secrets/host"
)

// newClient is the parent of the commands about applications that read secrets
// over HTTP.
func newClient(sys system) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "client",
		Short: "Let applications read secrets over HTTP",
		Args:  noSuchCommand,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(
		newClientAdd(sys), newClientList(sys), newClientRotate(sys), newClientRevoke(sys),
		newClientApprove(sys), newClientRefuse(sys),
	)
	return cmd
}

// clientFlags are those of the commands about one client.
type clientFlags struct {
	databaseFlags
	asJSON bool
}

// on makes cmd a command about the client that its first argument names. The
// others are databases to attach, as for serve, or with secrets the names of
// secrets.
func (f *clientFlags) on(sys system, cmd *cobra.Command, secrets bool, act func(ctx context.Context, console *host.Console, client string, names []string) error) *cobra.Command {
	f.add(cmd)
	cmd.Use += " NAME [FILES]..."
	if secrets {
		cmd.Use = cmd.Name() + " NAME [SECRET]..."
	}
	cmd.Args = func(_ *cobra.Command, args []string) error {
		if len(args) == 0 {
			return usagef("Missing argument 'NAME': the client's name.")
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
		files, names := args[1:], []string(nil)
		if secrets {
			files, names = nil, args[1:]
		}
		return f.open(cmd.Context(), sys, files, func(console *host.Console) error {
			return act(cmd.Context(), console, args[0], names)
		})
	}
	return cmd
}

func (f *clientFlags) json(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&f.asJSON, "json", false, "print JSON")
}

// names are the names of the clients, for a shell that completes them; none
// when that does not work out.
func (f *clientFlags) names(ctx context.Context, sys system) (names []string) {
	_ = f.open(ctx, sys, nil, func(console *host.Console) error {
		clients, err := console.Clients(ctx)
		for _, c := range clients {
			names = append(names, c.Name)
		}
		return err
	})
	return names
}

// span is the value of a flag that is a time such as 90d or 12h.
type span struct{ time.Duration }

// maxSpan keeps what is added to now a time that can be written.
const maxSpan = 100 * 365 * 24 * time.Hour

// Set reads a whole number of days, hours, minutes or seconds.
func (s *span) Set(text string) error {
	units := map[byte]time.Duration{'d': 24 * time.Hour, 'h': time.Hour, 'm': time.Minute, 's': time.Second}
	if text == "" {
		return errSpan()
	}
	unit := units[text[len(text)-1]]
	n, err := strconv.ParseUint(text[:len(text)-1], 10, 31)
	if err != nil || n == 0 || unit == 0 || time.Duration(n) > maxSpan/unit {
		return errSpan()
	}
	s.Duration = time.Duration(n) * unit
	return nil
}

func errSpan() error { return fmt.Errorf("should be a time such as 90d, 12h or 30m") }

// String is what help shows as the default: nothing.
func (s *span) String() string { return "" }

// Type is what help shows after the flag's name.
func (s *span) Type() string { return "time" }
