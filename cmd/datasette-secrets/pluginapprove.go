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

// requestFlags name what a plugin asks for.
type requestFlags struct{ secrets, hooks []string }

func (f *requestFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringArrayVar(&f.secrets, "secret", nil, "decide about this secret only; may be repeated")
	cmd.Flags().StringArrayVar(&f.hooks, "hook", nil, "decide about this hook only, such as http; may be repeated")
}

func (f *requestFlags) requests() []host.Request {
	var requests []host.Request
	for _, name := range f.secrets {
		requests = append(requests, host.Request{Kind: "secret", Name: name})
	}
	for _, name := range f.hooks {
		requests = append(requests, host.Request{Kind: "hook", Name: name})
	}
	return requests
}

func newPluginApprove(sys system) *cobra.Command {
	flags, requests := &pluginFlags{}, &requestFlags{}
	cmd := &cobra.Command{
		Use:   "approve",
		Short: "Grant a plugin what it asks for",
		Long: `Grant a plugin what it asks for: everything that is pending, or what --secret and
--hook name. A secret that another plugin may read, and the hook "authenticator",
with which a plugin signs people in, are granted only by name.

It counts at once, also for a host that runs. "plugin refuse" takes it back.`,
		Example: `  datasette-secrets plugin approve weather --internal internal.db
  datasette-secrets plugin approve weather --secret OPENAI_API_KEY --internal internal.db`,
	}
	flags.on(sys, cmd, func(ctx context.Context, console *host.Console, plugin string) error {
		approved, err := console.Approve(ctx, plugin, requests.requests()...)
		if err != nil {
			return err
		}
		all, err := console.Plugins(ctx)
		if err != nil {
			return err
		}
		return writeApproved(sys.stdout, plugin, approved, all)
	})
	requests.add(cmd)
	return cmd
}

// writeApproved tells what was granted, and what is left.
func writeApproved(w io.Writer, plugin string, approved []host.Request, all []host.PluginReport) error {
	var b strings.Builder
	i := slices.IndexFunc(all, func(p host.PluginReport) bool { return p.Name == plugin })
	for _, r := range all[i].Requests {
		if slices.Contains(approved, r.Request) {
			fmt.Fprintf(&b, "%s may now %s%s\n", plugin, may(r.Request), sharedWith(r))
		}
	}
	if len(approved) == 0 {
		fmt.Fprintf(&b, "Nothing was granted to %s.\n", plugin)
	}
	for _, r := range all[i].Requests {
		if pending(r) {
			fmt.Fprintf(&b, "Still pending: %s %s%s\n", r.Kind, r.Name, delicacy(r))
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// may says what somebody may do who is granted a request.
func may(r host.Request) string {
	if r.Kind == "secret" {
		return "read the secret " + r.Name
	}
	return "serve the hook " + r.Name
}

func sharedWith(r host.RequestReport) string {
	if len(r.HeldBy) == 0 {
		return ""
	}
	return ", as " + strings.Join(r.HeldBy, " and ") + " may"
}

func newPluginRefuse(sys system) *cobra.Command {
	flags, requests := &pluginFlags{}, &requestFlags{}
	cmd := &cobra.Command{
		Use:   "refuse",
		Short: "Refuse a plugin what it asks for, or take back what it was granted",
		Long: `Refuse a plugin what it asks for: everything that is pending, or what --secret
and --hook name, which may be granted already. What is refused stays refused,
also when the plugin is started again or upgraded. It counts at once, also for a
host that runs. "plugin approve" with the same name takes it back.`,
		Example: `  datasette-secrets plugin refuse weather --internal internal.db`,
	}
	flags.on(sys, cmd, func(ctx context.Context, console *host.Console, plugin string) error {
		refused, err := console.Refuse(ctx, plugin, requests.requests()...)
		if err != nil {
			return err
		}
		if len(refused) == 0 {
			fmt.Fprintf(sys.stdout, "Nothing was refused to %s.\n", plugin)
		}
		for _, r := range refused {
			fmt.Fprintf(sys.stdout, "%s may not %s\n", plugin, may(r))
		}
		return nil
	})
	requests.add(cmd)
	return cmd
}
