package main

import (
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/datasette-secrets/datasette-secrets/host"
	"github.com/datasette-secrets/datasette-secrets/internal/hsm"
	"github.com/datasette-secrets/datasette-secrets/internal/token"
)

// newHSM is the parent of the commands about hardware.
func newHSM(sys system) *cobra.Command {
	group := &cobra.Command{
		Use:   "hsm",
		Short: "Look at an HSM, smart card or TPM, and make a key on it",
		Long: `Look at an HSM, smart card or TPM, and make a key on it that can seal. It is
named by a PKCS#11 URI (RFC 7512), such as

  pkcs11:token=prod;object=datasette-secrets?module-path=/usr/lib/softhsm/libsofthsm2.so&pin-source=file:/run/secrets/pin

Without pin-source the PIN is asked for at the terminal.`,
		Args: noSuchCommand,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	group.AddCommand(newHSMInit(sys), newHSMDoctor(sys))
	return group
}

// open returns the token that a command is about.
func (f *hsmFlags) open(sys system) (*hsm.Token, error) {
	if f.uri == "" {
		return nil, usagef("Missing option '--uri'.")
	}
	tokens := host.NewTokens(host.Config{Entry: sys.entry, HelperEnv: helperEnv(sys.environ)})
	tokens.Stderr = sys.stderr // what a module complains about helps whoever sets it up
	return f.token(sys, tokens, f.uri)
}

func newHSMInit(sys system) *cobra.Command {
	flags := &hsmFlags{}
	cmd := &cobra.Command{
		Use:   "init",
		Short: "Make a key on the token that never leaves it",
		Long: `Make a key on the token that never leaves it: AES-256, or RSA where the token
makes no AES keys that can be used. The URI names the label of the new key with
object=LABEL; a label that is taken is refused.`,
		Args: noExtra,
		RunE: func(cmd *cobra.Command, _ []string) error {
			t, err := flags.open(sys)
			if err != nil {
				return err
			}
			key, mechanism, err := t.Init(cmd.Context())
			if err != nil {
				return err
			}
			fmt.Fprintf(sys.stdout, "made the %s key %q (id %s) on the token %q, which wraps with %s\n", keyKind(key), key.Label, key.ID, key.Token, mechanism)
			fmt.Fprintln(sys.stderr, "Without the token this key is lost: seal with a passphrase as well.")
			return nil
		},
	}
	flags.add(cmd, "PKCS#11 URI of the key to make (RFC 7512)")
	return cmd
}

func keyKind(key token.KeyInfo) string {
	if key.Bits == 0 {
		return key.Kind
	}
	return fmt.Sprintf("%s-%d", key.Kind, key.Bits)
}

func newHSMDoctor(sys system) *cobra.Command {
	flags, asJSON := &hsmFlags{}, false
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Try everything that a seal needs of a token",
		Long: `Try everything that a seal needs of a token: the module, the slots and tokens,
the login, the mechanisms, and a real wrap and unwrap with each. The exit code
is 0 only if a seal would work.`,
		Args: noExtra,
		RunE: func(cmd *cobra.Command, _ []string) error {
			t, err := flags.open(sys)
			if err != nil {
				return err
			}
			report, failure := t.Doctor(cmd.Context())
			if asJSON {
				err = writeJSON(sys, struct {
					Works bool `json:"works"`
					token.Report
				}{failure == nil, report})
			} else {
				err = writeReport(sys, report, failure == nil)
			}
			if err != nil {
				return err
			}
			return failure
		},
	}
	flags.add(cmd, "PKCS#11 URI of the key to look at (RFC 7512)")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// writeReport prints a report for people, one line each.
func writeReport(sys system, r token.Report, works bool) error {
	table := tabwriter.NewWriter(sys.stdout, 0, 0, 2, ' ', 0)
	line := func(what, format string, args ...any) {
		if text := fmt.Sprintf(format, args...); text != "" {
			fmt.Fprintf(table, "%s\t%s\n", what, text)
		}
	}
	line("module", "%s", r.Library)
	for _, s := range r.Slots {
		mark := ""
		if s.Chosen {
			mark = ", which the URI means"
		}
		line("slot", "%d: token %q, %s %s, serial %q, firmware %s%s", s.ID, s.Label, s.Maker, s.Model, s.Serial, s.Firmware, mark)
	}
	line("login", "%s", r.Login)
	line("mechanisms", "%s", strings.Join(named(r.Mechanisms), " "))
	if r.Key != nil {
		line("key", "%s %q, id %s, made on the token: %t", keyKind(*r.Key), r.Key.Label, r.Key.ID, r.Key.Local)
	}
	for _, trial := range r.Trials {
		if trial.Works {
			line(trial.Mechanism, "works: wrap %s, unwrap %s", trial.Wrap.Round(time.Microsecond), trial.Unwrap.Round(time.Microsecond))
		} else {
			line(trial.Mechanism, "does not work: %s", trial.Error)
		}
	}
	if works {
		line("verdict", "a seal would work")
	} else {
		line("verdict", "a seal would not work")
	}
	return table.Flush()
}

// named leaves out the mechanisms that have no name here.
func named(mechanisms []string) []string {
	var some []string
	for _, m := range mechanisms {
		if !strings.HasPrefix(m, "0x") {
			some = append(some, m)
		}
	}
	return some
}
