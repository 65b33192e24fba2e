package main

import (
	"encoding/hex"
	"fmt"

	"github.com/spf13/cobra"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/internal/audit"
	"github.com/datasette-secrets/datasette-secrets/internal/vault"
)

// provenJSON is what became of the check of one entry.
type provenJSON struct {
	OK    bool      `json:"ok"`
	Entry int64     `json:"entry"`
	Head  *headJSON `json:"head"`           // null: it is not proven
	What  string    `json:"what,omitempty"` // why not
}

func newAuditCheck(sys system) *cobra.Command {
	var keys []string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "check PROOF ENTRY",
		Short: "Check that an entry is in the log that a proof speaks of",
		Long: `Check that an entry is in the log that a proof speaks of, and says what it said when
it was written. PROOF is a file of "audit prove", and ENTRY one of "audit show --json";
- reads standard input. No database is needed, only the public key of the host that
signed: "audit keys" prints it there.

The exit code is 0 if the entry is proven, and 8 if it is not.`,
		Example: `  datasette-secrets audit check 1234.proof 1234.json --key log.key`,
		Args:    cobra.ArbitraryArgs,
		RunE: func(_ *cobra.Command, args []string) error {
			switch {
			case len(args) != 2:
				return usagef("Give two files: the proof, which \"audit prove\" prints, and the entry, which \"audit show --json\" prints.")
			case args[0] == "-" && args[1] == "-":
				return usagef("The proof and the entry cannot both come from standard input.")
			case len(keys) == 0:
				return usagef("Missing option '--key': the public key of the host that signed, or a file with it.")
			}
			verifying, err := readKept(sys, keys, audit.SplitKeys)
			if err != nil {
				return fmt.Errorf("--key: %w", err)
			}
			return checkEntry(sys, args[0], args[1], verifying, asJSON)
		},
	}
	cmd.Flags().StringArrayVar(&keys, "key", nil, "public key of the host that signed, or a file with one; may be repeated")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	cmd.MarkFlagFilename("key")
	return cmd
}

func checkEntry(sys system, proofPath, entryPath string, verifying []string, asJSON bool) error {
	proof, err := readKeptFile(sys, proofPath)
	if err != nil {
		return err
	}
	text, err := readKeptFile(sys, entryPath)
	if err != nil {
		return err
	}
	entry, err := vault.ParseLogEntry([]byte(text))
	if err != nil {
		return fmt.Errorf("%w: %s: %w; \"audit show --json\" prints an entry", secrets.ErrInvalid, entryPath, err)
	}
	told := provenJSON{Entry: entry.ID}
	if head, err := audit.CheckEntry(proof, entry, verifying...); err != nil {
		told.What = err.Error()
	} else {
		told.OK, told.Head = true, &headJSON{head.Size, head.Time, hex.EncodeToString(head.Root[:])}
	}
	if asJSON {
		err = writeJSON(sys, told)
	} else if told.OK {
		err = writeProven(sys, told)
	}
	if err == nil && !told.OK {
		err = unprovenError{told}
	}
	return err
}

func writeProven(sys system, told provenJSON) error {
	_, err := fmt.Fprintf(sys.stdout, "%s  entry %d says what it said when it was written to the log, which had %d entries at %s UTC\n",
		sys.colours().paint(green, "well"), told.Entry, told.Head.Size, harmless(told.Head.Time))
	return err
}

// unprovenError is an entry that its proof does not prove. It is ErrIntegrity.
type unprovenError struct{ provenJSON }

func (e unprovenError) Error() string {
	return fmt.Sprintf("entry %d is not proven: %s", e.Entry, harmless(e.What))
}

func (e unprovenError) Is(target error) bool { return target == secrets.ErrIntegrity }
