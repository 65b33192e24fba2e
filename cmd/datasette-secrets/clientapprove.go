package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/datasette-secrets/datasette-secrets/host"
)

func newClientApprove(sys system) *cobra.Command {
	flags := &clientFlags{}
	cmd := &cobra.Command{
		Use:   "approve",
		Short: "Let a client read secrets",
		Long: `Let a client read secrets: those that are named, or everything that it asks for
and nobody else may read. What others may read is shared only by name. It counts
at once, also for a host that runs. "client refuse" takes it back.`,
		Example: `  datasette-secrets client approve billing STRIPE_KEY --internal internal.db`,
	}
	flags.on(sys, cmd, true, func(ctx context.Context, console *host.Console, client string, names []string) error {
		approved, err := console.ApproveClient(ctx, client, names...)
		if err != nil {
			return err
		}
		all, err := console.Clients(ctx)
		if err != nil {
			return err
		}
		i := slices.IndexFunc(all, func(c host.ClientReport) bool { return c.Name == client })
		if flags.asJSON {
			return writeJSON(sys, all[i])
		}
		return writeClientApproved(sys.stdout, all[i], approved)
	})
	flags.json(cmd)
	return cmd
}

// writeClientApproved tells what was granted, and what is left.
func writeClientApproved(w io.Writer, c host.ClientReport, approved []string) error {
	var b strings.Builder
	for _, s := range c.Secrets {
		if slices.Contains(approved, s.Name) {
			fmt.Fprintf(&b, "%s may now read the secret %s%s\n", c.Name, s.Name, heldToo(s))
		}
	}
	if len(approved) == 0 {
		fmt.Fprintf(&b, "Nothing was granted to %s.\n", c.Name)
	}
	for _, s := range c.Secrets {
		if s.State == "pending" {
			fmt.Fprintf(&b, "Still pending: %s%s\n", s.Name, heldBy(s))
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func heldToo(s host.ClientSecretReport) string {
	if len(s.HeldBy) == 0 {
		return ""
	}
	return ", as " + strings.Join(s.HeldBy, " and ") + " may"
}

// heldBy says why a secret is approved only by name, if it is.
func heldBy(s host.ClientSecretReport) string {
	if len(s.HeldBy) == 0 {
		return ""
	}
	return ", which " + strings.Join(s.HeldBy, " and ") + " may read; to share it, name it"
}

func newClientRefuse(sys system) *cobra.Command {
	flags := &clientFlags{}
	cmd := &cobra.Command{
		Use:   "refuse",
		Short: "Refuse a client secrets, or take back what it was granted",
		Long: `Refuse a client secrets: those that are named, which may be granted already, or
everything that it asks for. What is refused stays refused until it is approved.
It counts at once, also for a host that runs.`,
		Example: `  datasette-secrets client refuse billing STRIPE_KEY --internal internal.db`,
	}
	return flags.on(sys, cmd, true, func(ctx context.Context, console *host.Console, client string, names []string) error {
		refused, err := console.RefuseClient(ctx, client, names...)
		if err != nil {
			return err
		}
		if len(refused) == 0 {
			fmt.Fprintf(sys.stdout, "Nothing was refused to %s.\n", client)
		}
		for _, name := range refused {
			fmt.Fprintf(sys.stdout, "%s may not read the secret %s\n", client, name)
		}
		return nil
	})
}
