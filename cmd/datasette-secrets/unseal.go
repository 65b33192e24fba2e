package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/host"
)

// unsealFlags say what a running host is unsealed with.
type unsealFlags struct {
	passphraseFile string
	keyFile        string
	keyEnv         string
	configured     bool
	retryPIN       bool
}

func newUnseal(sys system) *cobra.Command {
	database, flags := &databaseFlags{}, &unsealFlags{}
	cmd := &cobra.Command{
		Use:   "unseal [FILES]...",
		Short: "Open the sealed keys of the host that runs on this database",
		Long: `Open the sealed keys of the host that runs on this database. The host first tries
again what its own configuration has, such as a token that was put in meanwhile.
Then the passphrase, or the PIN of a token, is asked for at the terminal. Each
try is recorded.`,
		Example: `  datasette-secrets unseal --internal internal.db`,
		RunE: func(cmd *cobra.Command, files []string) error {
			console, err := host.OpenConsole(cmd.Context(), database.config(sys, files))
			if err != nil {
				return err
			}
			return errors.Join(flags.run(cmd.Context(), sys, console), console.Close())
		},
	}
	database.add(cmd)
	cmd.Flags().StringVar(&flags.passphraseFile, "passphrase-file", "", "file with the passphrase; - reads standard input")
	cmd.Flags().StringVar(&flags.keyFile, "key-file", "", "file with the key of a seal")
	cmd.Flags().StringVar(&flags.keyEnv, "key-env", "", "environment variable with the key of a seal")
	cmd.Flags().BoolVar(&flags.configured, "configured", false, "try only what the host's configuration has, and ask for nothing")
	cmd.Flags().BoolVar(&flags.retryPIN, "retry-pin", false, "give a token the PIN although it was refused before; it has been corrected")
	cmd.MarkFlagsMutuallyExclusive("passphrase-file", "key-file", "key-env", "configured")
	cmd.MarkFlagFilename("passphrase-file")
	cmd.MarkFlagFilename("key-file")
	return cmd
}

func (f *unsealFlags) run(ctx context.Context, sys system, console *host.Console) error {
	state, err := console.SealState(ctx)
	if err != nil {
		return err
	}
	if !state.Sealed {
		fmt.Fprintln(sys.stderr, "The host is not sealed.")
		return nil
	}
	with, given, err := f.given(sys)
	if err != nil {
		return err
	}
	with.RetryPIN = f.retryPIN
	seal, err := console.Unseal(ctx, with)
	if err != nil && !given && !f.configured {
		seal, err = askAndUnseal(ctx, console, state, with, err)
	}
	if err != nil {
		return err
	}
	fmt.Fprintf(sys.stderr, "The host is unsealed by the seal %q.\n", seal)
	return nil
}

// given is what the flags name.
func (f *unsealFlags) given(sys system) (with host.UnsealWith, given bool, err error) {
	switch {
	case f.passphraseFile != "":
		text, err := readMeans(sys, f.passphraseFile)
		if err != nil {
			return with, true, fmt.Errorf("reading a passphrase: %w", err)
		}
		with.Passphrase = secrets.NewValue(strings.TrimRight(text.Reveal(), "\r\n"))
	case f.keyFile != "":
		if with.Key, err = readMeans(sys, f.keyFile); err != nil {
			return with, true, fmt.Errorf("reading the key of a seal: %w", err)
		}
	case f.keyEnv != "":
		text, ok := sys.lookupEnv(f.keyEnv)
		if !ok {
			return with, true, fmt.Errorf("%w: the environment variable %s is not set", secrets.ErrInvalid, f.keyEnv)
		}
		with.Key = secrets.NewValue(text)
	default:
		return with, false, nil
	}
	if with.Passphrase.Len()+with.Key.Len() == 0 {
		return with, true, fmt.Errorf("%w: what should open a seal is empty", secrets.ErrInvalid)
	}
	return with, true, nil
}

// askAndUnseal asks for the PIN of a configured token, and then for a
// passphrase. failure is why the host could not do without.
func askAndUnseal(ctx context.Context, console *host.Console, state host.SealState, with host.UnsealWith, failure error) (string, error) {
	if len(state.Tokens) > 0 {
		pin, err := askPassphrase(ctx, "PIN of the token of the seal "+strings.Join(state.Tokens, ", "), false)
		if err != nil {
			return "", unlessAlone(err, failure)
		}
		with.PIN = pin
		seal, err := console.Unseal(ctx, with)
		if err == nil || len(state.Passphrases) == 0 {
			return seal, err
		}
		failure = err
	}
	if len(state.Passphrases) == 0 {
		return "", failure
	}
	passphrase, err := askPassphrase(ctx, "Passphrase of the seal "+strings.Join(state.Passphrases, " or "), false)
	if err != nil {
		return "", unlessAlone(err, failure)
	}
	return console.Unseal(ctx, host.UnsealWith{Passphrase: passphrase})
}

// unlessAlone is the error of a question, or what led to it if there was nobody
// to ask.
func unlessAlone(err, failure error) error {
	if errors.Is(err, errNoTerminal) {
		return failure
	}
	return err
}
