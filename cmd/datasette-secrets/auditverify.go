package main

import (
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/host"
	"github.com/datasette-secrets/datasette-secrets/internal/audit"
	"github.com/datasette-secrets/datasette-secrets/internal/vault"
)

// maxKept bounds a file of heads or keys, in bytes: more than a year of a head
// every minute.
const maxKept = 256 << 20

// verifyFlags are those of audit verify.
type verifyFlags struct {
	databaseFlags
	heads []string
	keys  []string
	json  bool
}

// problemJSON is one thing that is wrong.
type problemJSON struct {
	Entry *int64 `json:"entry"` // null if it is none in particular
	What  string `json:"what"`
}

type headJSON struct {
	Size int64  `json:"size"`
	Time string `json:"time"`
	Root string `json:"root"`
}

type verifyJSON struct {
	OK       bool          `json:"ok"`
	Entries  int64         `json:"entries"`
	Pruned   int64         `json:"pruned"`
	Root     string        `json:"root"`
	Head     *headJSON     `json:"head"` // null: none was signed yet
	Keys     []string      `json:"keys"`
	OwnKeys  bool          `json:"own_keys"`        // they came from the database
	Doubt    string        `json:"doubt,omitempty"` // why whose the keys are cannot be told
	Rows     int64         `json:"rows"`
	Older    int64         `json:"older"`
	Foreign  int64         `json:"foreign"`
	Problems []problemJSON `json:"problems"`
}

func newAuditVerify(sys system) *cobra.Command {
	flags := &verifyFlags{}
	cmd := &cobra.Command{
		Use:   "verify [FILES]...",
		Short: "Find out whether anybody edited the log",
		Long: `Find out whether anybody edited the log: changed an entry, removed, added or moved
one, or cut off the end. The first bad entry is named. The log is also compared with
the secrets that are stored.

Who can write the file can also put a whole older file in its place, or a log made
anew with keys of their own. Heads and the public key that were kept elsewhere find
that too: --head proves that the log only grew since then, and --key that this host
signed it.

The exit code is 0 if the log is as it was written, and 8 if it is not.`,
		Example: `  datasette-secrets audit verify --internal internal.db
  datasette-secrets audit verify --head kept.heads --key log.key --internal internal.db`,
		RunE: func(cmd *cobra.Command, files []string) error {
			heads, err := readKept(sys, flags.heads, audit.SplitHeads)
			if err != nil {
				return fmt.Errorf("--head: %w", err)
			}
			keys, err := readKept(sys, flags.keys, audit.SplitKeys)
			if err != nil {
				return fmt.Errorf("--key: %w", err)
			}
			return flags.openLog(cmd.Context(), sys, files, func(door *vault.Vault) error {
				return flags.run(cmd.Context(), sys, door, keys, heads)
			})
		},
	}
	flags.add(cmd)
	cmd.Flags().StringArrayVar(&flags.heads, "head", nil, "file of signed heads that were kept elsewhere; - reads standard input; may be repeated")
	cmd.Flags().StringArrayVar(&flags.keys, "key", nil, "public key that was kept elsewhere, or a file with one; may be repeated")
	cmd.Flags().BoolVar(&flags.json, "json", false, "print JSON")
	cmd.MarkFlagFilename("head")
	cmd.MarkFlagFilename("key")
	return cmd
}

// readKept reads files of heads or keys. A key may stand for itself.
func readKept(sys system, places []string, split func(string) ([]string, error)) (all []string, err error) {
	for _, place := range places {
		if audit.IsKey(place) {
			all = append(all, place)
			continue
		}
		text, err := readKeptFile(sys, place)
		if err != nil {
			return nil, err
		}
		some, err := split(text)
		if err != nil {
			return nil, fmt.Errorf("%w: %s: %w", secrets.ErrInvalid, place, err)
		}
		all = append(all, some...)
	}
	return all, nil
}

func readKeptFile(sys system, path string) (string, error) {
	in := sys.stdin
	if path != "-" {
		f, err := os.Open(path)
		if err != nil {
			return "", fmt.Errorf("%w: %w", secrets.ErrInvalid, err)
		}
		defer f.Close()
		in = f
	}
	data, err := io.ReadAll(io.LimitReader(in, maxKept+1))
	if err != nil {
		return "", fmt.Errorf("%w: %w", secrets.ErrInvalid, err)
	}
	if len(data) > maxKept {
		return "", fmt.Errorf("%w: %s has more than %d bytes; give the newer part of it", secrets.ErrInvalid, path, maxKept)
	}
	return string(data), nil
}

func (f *verifyFlags) run(ctx context.Context, sys system, door *vault.Vault, keys, heads []string) error {
	check, err := door.VerifyLog(ctx, host.Operator(), keys, heads)
	if err != nil {
		return err
	}
	if f.json {
		err = writeJSON(sys, newVerifyJSON(check))
	} else {
		err = writeVerified(sys, check, len(heads))
	}
	if err == nil && len(check.Bad) > 0 {
		err = editedError{first: firstBad(check)}
	}
	return err
}

func newVerifyJSON(check vault.LogCheck) verifyJSON {
	all := verifyJSON{
		OK: len(check.Bad) == 0, Entries: check.Entries, Pruned: check.Pruned, Root: hex.EncodeToString(check.Root[:]),
		Keys: append([]string{}, check.Keys...), OwnKeys: check.OwnKeys, Doubt: check.Doubt,
		Rows: check.Rows, Older: check.Older, Foreign: check.Foreign, Problems: []problemJSON{},
	}
	if check.Head.Time != "" {
		all.Head = &headJSON{check.Head.Size, check.Head.Time, hex.EncodeToString(check.Head.Root[:])}
	}
	for _, problem := range check.Bad {
		p := problemJSON{What: problem.What}
		if problem.Entry != 0 {
			p.Entry = &problem.Entry
		}
		all.Problems = append(all.Problems, p)
	}
	return all
}

func writeVerified(sys system, check vault.LogCheck, kept int) error {
	c := sys.colours()
	var b strings.Builder
	for _, problem := range check.Bad {
		b.WriteString(c.paint(red, "wrong") + "  " + harmless(problem.String()) + "\n")
	}
	if len(check.Bad) == 0 {
		fmt.Fprintf(&b, "%s  the log is as it was written: %d entries", c.paint(green, "well"), check.Entries)
		if check.Pruned > 0 {
			fmt.Fprintf(&b, ", %d of them pruned", check.Pruned)
		}
		b.WriteString("\n")
		if check.Head.Time == "" {
			fmt.Fprintf(&b, "%s  no head was signed yet: a log that was made anew would look the same\n", c.paint(yellow, "note"))
		} else {
			fmt.Fprintf(&b, "%s  the newest head is of %d entries, signed at %s UTC\n", c.paint(green, "well"), check.Head.Size, harmless(check.Head.Time))
		}
		if kept > 0 {
			fmt.Fprintf(&b, "%s  it has grown from each of the %d heads that were kept elsewhere\n", c.paint(green, "well"), kept)
		}
		fmt.Fprintf(&b, "%s  %d stored versions agree with it\n", c.paint(green, "well"), check.Rows-check.Older-check.Foreign)
		if check.Older > 0 {
			fmt.Fprintf(&b, "%s  %d stored versions are older than what it still tells\n", c.paint(yellow, "note"), check.Older)
		}
		if check.Foreign > 0 {
			fmt.Fprintf(&b, "%s  %d versions were stored by another program, which keeps no log\n", c.paint(yellow, "note"), check.Foreign)
		}
	}
	if check.Doubt != "" {
		fmt.Fprintf(&b, "%s  %s\n", c.paint(yellow, "note"), check.Doubt)
	}
	if check.OwnKeys {
		fmt.Fprintf(&b, "%s  the public key came from the database itself; one that was kept elsewhere proves more: --key\n", c.paint(yellow, "note"))
	}
	_, err := fmt.Fprint(sys.stdout, b.String())
	return err
}

// firstBad is the first problem that names an entry, or else the first.
func firstBad(check vault.LogCheck) audit.Problem {
	for _, problem := range check.Bad {
		if problem.Entry != 0 {
			return problem
		}
	}
	return check.Bad[0]
}

// editedError is a log that is not as it was written. It is ErrIntegrity.
type editedError struct{ first audit.Problem }

func (e editedError) Error() string {
	return "the log is not as it was written; first: " + harmless(e.first.String()) + ". Keep a copy of the database, and find out who could write it"
}

func (e editedError) Is(target error) bool { return target == secrets.ErrIntegrity }
