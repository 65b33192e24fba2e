package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/host"
	"github.com/datasette-secrets/datasette-secrets/internal/access"
)

// permissionFlags are those of the commands about permissions, whose arguments
// are an action, the name of a secret if it is about one, and databases.
type permissionFlags struct {
	databaseFlags
	root, defaultDeny, asJSON bool
}

// on makes cmd a command about an action. act does the work, and prints.
func (f *permissionFlags) on(sys system, cmd *cobra.Command, act func(ctx context.Context, console *host.Console, action, secret string) error) *cobra.Command {
	f.add(cmd)
	cmd.Flags().BoolVar(&f.root, "root", false, "as if the host, when none runs, had been started with --root")
	cmd.Flags().BoolVar(&f.defaultDeny, "default-deny", false, "the same with --default-deny")
	cmd.Flags().BoolVar(&f.asJSON, "json", false, "print JSON")
	cmd.Use += " ACTION [NAME] [FILES]..."
	cmd.Args = func(_ *cobra.Command, args []string) error {
		if len(args) == 0 {
			return usagef("Missing argument 'ACTION': %s.", strings.Join(actionNames(), ", "))
		}
		if access.AboutSecret(args[0]) && len(args) < 2 {
			return usagef("Missing argument 'NAME': the secret that %s is about.", args[0])
		}
		return nil
	}
	cmd.ValidArgsFunction = func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		switch {
		case len(args) == 0:
			return actionNames(), cobra.ShellCompDirectiveNoFileComp
		case len(args) == 1 && access.AboutSecret(args[0]):
			return f.names(cmd.Context(), sys), cobra.ShellCompDirectiveNoFileComp
		}
		return nil, cobra.ShellCompDirectiveDefault
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		action, secret, files := args[0], "", args[1:]
		if access.AboutSecret(action) {
			secret, files = args[1], args[2:]
			if secret == "-" && action == access.ManageSecrets {
				secret = "" // all of them together
			}
		}
		if err := access.CheckAction(action, secret); err != nil {
			return err
		}
		return f.open(cmd.Context(), sys, files, func(console *host.Console) error {
			return act(cmd.Context(), console, action, secret)
		})
	}
	return cmd
}

// open is that of databaseFlags, with the flags that count for permissions.
func (f *permissionFlags) open(ctx context.Context, sys system, files []string, work func(*host.Console) error) error {
	cfg := f.config(sys, files)
	cfg.Root, cfg.DefaultDeny = f.root, f.defaultDeny
	return withConsole(ctx, cfg, work)
}

// names are those of the secrets, for a shell that completes them; none when
// that does not work out.
func (f *permissionFlags) names(ctx context.Context, sys system) (names []string) {
	_ = f.open(ctx, sys, nil, func(console *host.Console) (err error) {
		names, err = console.Names(ctx)
		return err
	})
	return names
}

func actionNames() []string {
	var names []string
	for _, a := range access.Actions() {
		names = append(names, a.Name)
	}
	return names
}

// whoFlags say who would do it.
type whoFlags struct{ actor, proof, plugin, client string }

func (f *whoFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.actor, "actor", "", "who would do it: JSON such as '{\"id\": \"alice\"}'; nobody, if left out")
	flags.StringVar(&f.plugin, "plugin", "", "the plugin that would do it")
	flags.StringVar(&f.client, "client", "", "the client that would do it")
	flags.StringVar(&f.proof, "proof", "", "how the actor is known: "+strings.Join(proofs(), ", ")+" (default: proven for a plugin, asserted for a client, else signed-in)")
	cmd.RegisterFlagCompletionFunc("proof", cobra.FixedCompletions(proofs(), cobra.ShellCompDirectiveNoFileComp))
}

func proofs() []string {
	var all []string
	for _, p := range []secrets.Proof{
		secrets.ProofSignedIn, secrets.ProofToken, secrets.ProofVouched, secrets.ProofProven, secrets.ProofAsserted, secrets.ProofLocal,
	} {
		all = append(all, string(p))
	}
	return all
}

// question makes a question of the flags.
func (f *whoFlags) question(action, secret string) (host.Question, error) {
	q := host.Question{Action: action, Secret: secret, Plugin: f.plugin, Client: f.client}
	switch {
	case f.plugin != "" && f.client != "":
		return q, usagef("--plugin and --client do not go together.")
	case f.proof != "" && f.actor == "":
		return q, usagef("--proof says how the actor is known, and there is no --actor.")
	case f.proof != "" && !slices.Contains(proofs(), f.proof):
		return q, usagef("Invalid value for '--proof': %q is none of %s.", f.proof, strings.Join(proofs(), ", "))
	case f.actor == "":
		return q, nil
	}
	var actor map[string]any
	if err := json.Unmarshal([]byte(f.actor), &actor); err != nil || actor == nil {
		return q, usagef(`Invalid value for '--actor': it must be a JSON object, such as '{"id": "alice"}'.`)
	}
	q.Actor, q.Proof = []byte(f.actor), secrets.Proof(f.proof)
	switch {
	case f.proof != "":
	case f.plugin != "":
		q.Proof = secrets.ProofProven
	case f.client != "":
		q.Proof = secrets.ProofAsserted
	default:
		q.Proof = secrets.ProofSignedIn
	}
	return q, nil
}

func newExplain(sys system) *cobra.Command {
	flags, who := &permissionFlags{}, &whoFlags{}
	cmd := &cobra.Command{
		Use:   "explain",
		Short: "Say whether somebody may do something, by which rule, and what would change it",
		Long: `Say whether somebody may do an ACTION, about the secret NAME if it is about one,
by which rule, where in the configuration that stands, and what would have to be
different for another answer. The NAME "-" means all secrets together.

The host that runs is asked, else the configuration and the database: then give
the flags that the host gets. A question is no use, and leaves no trace.`,
		Example: `  datasette-secrets explain datasette-secret OPENAI_API_KEY --actor '{"id": "alice"}' --plugin llm --internal internal.db -c datasette.yml
  datasette-secrets explain manage-secrets - --actor '{"id": "alice"}' --internal internal.db -c datasette.yml`,
	}
	flags.on(sys, cmd, func(ctx context.Context, console *host.Console, action, secret string) error {
		q, err := who.question(action, secret)
		if err != nil {
			return err
		}
		e, err := console.Explain(ctx, q)
		if err != nil {
			return err
		}
		if flags.asJSON {
			return writeJSON(sys, e)
		}
		return writeExplanation(sys.stdout, q, e)
	})
	who.add(cmd)
	return cmd
}

// writeExplanation writes an explanation for people: a line each for the
// decision, its place and what would change it.
func writeExplanation(w io.Writer, q host.Question, e host.Explanation) error {
	var b bytes.Buffer
	line := func(label, text string) { fmt.Fprintf(&b, "%-8s %s\n", label+":", oneLine(text)) }
	decision, other := "refused", "allowed"
	if e.Allowed {
		decision, other = other, decision
	}
	line(decision, e.Rule)
	if e.Place != "" {
		line("place", e.Place)
	}
	for i, c := range e.Nearest {
		label := other
		if i > 0 {
			label = "and"
		}
		line(label, c.Place+", "+c.If)
	}
	if e.Unknown != "" {
		line("note", e.Unknown)
	}
	if q.Action == access.DatasetteSecret && q.Plugin == "" && q.Client == "" {
		line("note", "this is about the actor alone; --plugin or --client ask about a program too")
	}
	_, err := w.Write(b.Bytes())
	return err
}
