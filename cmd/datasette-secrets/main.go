// Command datasette-secrets is a host for encrypted secrets: it serves the
// pages at /-/secrets, starts plugins and gives them the secrets that they
// declared. Its flags, configuration, cookies and database are those of
// Datasette and its plugin datasette-secrets.
//
// This package turns words into calls of package host: one file per command,
// flags on top and the work below. run is the whole program, with everything
// it touches as an argument.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/datasette-secrets/datasette-secrets/host"
)

// system is what a command may touch of the world outside.
type system struct {
	stdin     io.Reader
	stdout    io.Writer
	stderr    io.Writer
	lookupEnv func(string) (string, bool)
	environ   []string
	entry     host.Entry
}

func main() {
	entry := host.Enter(os.Args) // does not return in a process that is to become a plugin
	if err := host.HideMemory(); err != nil {
		fmt.Fprintln(os.Stderr, "Warning:", err) // an old kernel; everything else works
	}
	ctx, stop := untilSignal()
	code := run(ctx, os.Args[1:], system{os.Stdin, os.Stdout, os.Stderr, os.LookupEnv, os.Environ(), entry})
	stop()
	os.Exit(code)
}

// untilSignal returns a context that the first SIGINT or SIGTERM ends; the
// second ends the program at once.
func untilSignal() (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(context.Background())
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-signals
		cancel()
		<-signals
		os.Exit(exitSecondSignal)
	}()
	return ctx, cancel
}

// run is the program. It returns the exit code.
func run(ctx context.Context, args []string, sys system) int {
	root := newRoot(sys)
	args, err := normalize(root, args)
	if err != nil {
		return report(sys.stderr, root, err)
	}
	root.SetArgs(args)
	ran, err := root.ExecuteContextC(ctx)
	return report(sys.stderr, ran, err)
}

func newRoot(sys system) *cobra.Command {
	root := &cobra.Command{
		Use:   "datasette-secrets",
		Short: "A host for encrypted secrets and the plugins that use them",
		Long: `A host for encrypted secrets and the plugins that use them, compatible with
Datasette. Without the name of a command, "serve" is meant.

Exit codes:
` + exitCodesHelp(),
		Version:       host.Version,
		SilenceErrors: true,

		SuggestionsMinimumDistance: 2,
		SilenceUsage:               true,
		Args:                       cobra.NoArgs,
		RunE:                       func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetIn(sys.stdin)
	root.SetOut(sys.stdout)
	root.SetErr(sys.stderr)
	root.SetVersionTemplate("datasette-secrets, version {{.Version}}\n")
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usage(err) })
	// Datasette's -h is the host, so help has no short form.
	root.PersistentFlags().Bool("help", false, "show this message and exit")
	group := &cobra.Command{
		Use: "secrets", Short: "Commands as Datasette's plugin names them",
		Args: noSuchCommand,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	group.AddCommand(newGenerateKey())
	root.AddCommand(newServe(sys), newPlugins(sys), newPlugin(sys), newClient(sys), newDoctor(sys), newKey(sys), newSeal(sys), newHSM(sys), newUnseal(sys), newCreateToken(sys), newAudit(sys), newExplain(sys), newWhoCan(sys), newGenerateKey(), newImport(sys), group)
	return root
}

func noSuchCommand(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usagef("No such command '%s'.", args[0])
	}
	return nil
}
