package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/host"
)

func newClientAdd(sys system) *cobra.Command {
	flags, expires := &clientFlags{}, span{}
	client := host.NewClient{}
	cmd := &cobra.Command{
		Use:   "add",
		Short: "Let an application read secrets over HTTP, and print its token",
		Long: `Let an application read secrets over HTTP, and print the token that it shows
with each request. The token is printed this once, and kept nowhere.

What --secret names is granted at once, also if plugins or other clients may
read it. What the application declares by itself later waits for "client
approve". It counts at once, also for a host that runs.`,
		Example: `  datasette-secrets client add billing --secret STRIPE_KEY --expires 90d --internal internal.db`,
	}
	flags.on(sys, cmd, false, func(ctx context.Context, console *host.Console, name string, _ []string) error {
		client.Name, client.Lifetime = name, expires.Duration
		token, err := console.AddClient(ctx, client)
		if err != nil {
			return err
		}
		return flags.writeToken(sys, name, token)
	})
	cmd.Flags().StringArrayVar(&client.Secrets, "secret", nil, "let it read this secret; may be repeated")
	cmd.Flags().BoolVar(&client.Write, "write", false, "let it also create, change and delete what it may read")
	cmd.Flags().Var(&expires, "expires", "how long its token lasts, such as 90d; without, there is no end")
	flags.json(cmd)
	return cmd
}

func newClientRotate(sys system) *cobra.Command {
	flags, overlap := &clientFlags{}, span{}
	cmd := &cobra.Command{
		Use:   "rotate",
		Short: "Give a client another token, and print it",
		Long: `Give a client another token, and print it. The one before counts no more, or
with --overlap for that long: time to change over without a pause. The new token
lasts as long as the one before did, from now on.`,
		Example: `  datasette-secrets client rotate billing --overlap 1h --internal internal.db`,
	}
	flags.on(sys, cmd, false, func(ctx context.Context, console *host.Console, name string, _ []string) error {
		token, err := console.RotateClient(ctx, name, overlap.Duration)
		if err != nil {
			return err
		}
		return flags.writeToken(sys, name, token)
	})
	cmd.Flags().Var(&overlap, "overlap", "how long the token before counts too, such as 1h; at most 30d")
	flags.json(cmd)
	return cmd
}

// writeToken prints a token. Standard output has nothing else, so that a script
// can take it.
func (f *clientFlags) writeToken(sys system, client string, token secrets.Value) error {
	text := token.Reveal()
	if f.asJSON {
		return writeJSON(sys, map[string]string{"name": client, "token": text})
	}
	fmt.Fprintf(sys.stderr, "The token of %s. Keep it now: it is not shown again.\n", client)
	_, err := fmt.Fprintln(sys.stdout, text)
	return err
}

func newClientRevoke(sys system) *cobra.Command {
	flags := &clientFlags{}
	cmd := &cobra.Command{
		Use:   "revoke",
		Short: "End a client for good: its tokens count no more",
		Long: `End a client for good: its tokens count no more, from now on. A host that runs
refuses them within a second. The name stays taken, so that the log of acts never
means two applications by it.`,
		Example: `  datasette-secrets client revoke billing --internal internal.db`,
	}
	return flags.on(sys, cmd, false, func(ctx context.Context, console *host.Console, name string, _ []string) error {
		if err := console.RevokeClient(ctx, name); err != nil {
			return err
		}
		_, err := fmt.Fprintf(sys.stdout, "%s is revoked.\n", name)
		return err
	})
}
