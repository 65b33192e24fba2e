package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/host"
	"github.com/datasette-secrets/datasette-secrets/internal/hsm"
	"github.com/datasette-secrets/datasette-secrets/internal/seal"
	"github.com/datasette-secrets/datasette-secrets/internal/token"
	"github.com/datasette-secrets/datasette-secrets/internal/vault"
)

// maxMeans bounds a file with a passphrase or key, in bytes.
const maxMeans = 4096

// newSealFlags say how a new seal wraps the root key.
type newSealFlags struct {
	ask            bool
	generate       bool
	passphraseFile string
	keyFile        string
	keyEnv         string
	workFactor     int
	hsmFlags
}

// hsmFlags name a key in a token, and how it is used.
type hsmFlags struct {
	uri        string
	mechanism  string
	allowPKCS1 bool
	timeout    time.Duration
}

func (f *hsmFlags) add(cmd *cobra.Command, uriHelp string) {
	flags := cmd.Flags()
	flags.StringVar(&f.uri, "uri", "", uriHelp)
	flags.StringVar(&f.mechanism, "mechanism", "", "how the token wraps, one of "+strings.Join(token.MechanismNames(), ", ")+"; the first that works if not given")
	flags.BoolVar(&f.allowPKCS1, "allow-rsa-pkcs1", false, "also use rsa-pkcs1, with which some tokens can be made to decrypt for others")
	flags.DurationVar(&f.timeout, "timeout", hsm.DefaultTimeout, "how long one use of the token may take")
}

// token returns the key that the flags, or another URI, name. The PIN is asked
// for at the terminal if the URI has no pin-source.
func (f *hsmFlags) token(sys system, tokens *hsm.Helper, uri string) (*hsm.Token, error) {
	return tokens.Token(hsm.Config{
		URI: uri, Mechanism: f.mechanism, AllowPKCS1: f.allowPKCS1, Timeout: f.timeout, LookupEnv: sys.lookupEnv,
		AskPIN: func(ctx context.Context) (secrets.Value, error) {
			pin, err := askPassphrase(ctx, "PIN of the token", false)
			if errors.Is(err, errNoTerminal) {
				err = usagef("There is no terminal to ask for the PIN: name it by pin-source=file:PATH or pin-source=env:NAME in the URI.")
			}
			return pin, err
		},
	})
}

func (f *newSealFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.BoolVar(&f.ask, "passphrase", false, "the new seal is a passphrase, asked for at the terminal (the default)")
	flags.StringVar(&f.passphraseFile, "passphrase-file", "", "the new seal is the passphrase in this file; - reads standard input")
	flags.BoolVar(&f.generate, "generate-passphrase", false, "the new seal is a random passphrase, which is printed once")
	flags.StringVar(&f.keyFile, "key-file", "", "the new seal is the key in this file, as generate-encryption-key prints it")
	flags.StringVar(&f.keyEnv, "key-env", "", "the new seal is the key in this environment variable")
	flags.IntVar(&f.workFactor, "work-factor", 0, "logarithm of the work to try one passphrase, 10 to 20 (default 18: about a second)")
	f.hsmFlags.add(cmd, "the new seal is the key in a PKCS#11 token with this URI (RFC 7512)")
	cmd.MarkFlagsMutuallyExclusive("passphrase", "passphrase-file", "generate-passphrase", "key-file", "key-env", "uri")
	cmd.MarkFlagFilename("passphrase-file")
	cmd.MarkFlagFilename("key-file")
}

// given reports whether any means were named.
func (f *newSealFlags) given() bool {
	return f.ask || f.generate || f.passphraseFile != "" || f.keyFile != "" || f.keyEnv != "" || f.uri != ""
}

// kind is the kind of the new seal, which is also its name if none is given.
func (f *newSealFlags) kind() seal.Kind {
	if f.keyFile != "" || f.keyEnv != "" {
		return seal.Key
	}
	if f.uri != "" {
		return seal.PKCS11
	}
	return seal.Passphrase
}

// means makes the means of the new seal. show tells the operator a passphrase
// that was made up; it is called once the seal is stored.
func (f *newSealFlags) means(ctx context.Context, sys system, tokens *hsm.Helper) (means seal.Means, show func(), err error) {
	show = func() {}
	switch {
	case f.uri != "":
		means, err = f.token(sys, tokens, f.uri)
	case f.keyFile != "":
		means, err = keyFromFile(sys, f.keyFile)
	case f.keyEnv != "":
		means, err = keyFromEnv(sys, f.keyEnv)
	case f.passphraseFile != "":
		means, err = passphraseFromFile(sys, f.passphraseFile, f.workFactor)
	case f.generate:
		text := secrets.NewValue(randomPassphrase())
		means, err = seal.ByPassphrase(text, f.workFactor)
		show = func() {
			fmt.Fprintln(sys.stderr, "Write this passphrase down and keep it in a safe place; it is not shown again:")
			fmt.Fprintln(sys.stdout, text.Reveal())
		}
	default:
		var text secrets.Value
		if text, err = askPassphrase(ctx, "New passphrase", true); err == nil {
			means, err = seal.ByPassphrase(text, f.workFactor)
		}
	}
	if errors.Is(err, errNoTerminal) {
		err = usagef("There is no terminal to ask for a passphrase: give --passphrase-file, --generate-passphrase, --key-file, --key-env or --uri.")
	}
	return means, show, err
}

// openFlags say what opens the seals that are there.
type openFlags struct {
	passphraseFiles []string
	keyFiles        []string
	keyEnvs         []string
	uris            []string
	retryPIN        bool
}

func (f *openFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringArrayVar(&f.passphraseFiles, "with-passphrase-file", nil, "open a seal with the passphrase in this file; - reads standard input; may be repeated")
	flags.StringArrayVar(&f.keyFiles, "with-key-file", nil, "open a seal with the key in this file; may be repeated")
	flags.StringArrayVar(&f.keyEnvs, "with-key-env", nil, "open a seal with the key in this environment variable; may be repeated")
	flags.StringArrayVar(&f.uris, "with-uri", nil, "open a seal with the key in a PKCS#11 token with this URI; may be repeated")
	flags.BoolVar(&f.retryPIN, "retry-pin", false, "try the token of a seal although it refused the PIN before, which has been corrected")
	cmd.MarkFlagFilename("with-passphrase-file")
	cmd.MarkFlagFilename("with-key-file")
}

// openings are what the flags name or, when they name nothing, what the
// configuration has, and then the passphrases that a person types.
func (f *openFlags) openings(ctx context.Context, sys system, keys *host.Keys) ([]vault.Opening, error) {
	var all []vault.Opening
	add := func(means seal.Means, err error) error {
		all = append(all, vault.Opening{Means: means, RetryPIN: f.retryPIN})
		return err
	}
	for _, path := range f.passphraseFiles {
		if err := add(passphraseFromFile(sys, path, 0)); err != nil {
			return nil, err
		}
	}
	for _, path := range f.keyFiles {
		if err := add(keyFromFile(sys, path)); err != nil {
			return nil, err
		}
	}
	for _, name := range f.keyEnvs {
		if err := add(keyFromEnv(sys, name)); err != nil {
			return nil, err
		}
	}
	for _, uri := range f.uris {
		if err := add((&hsmFlags{allowPKCS1: true}).token(sys, keys.Tokens(), uri)); err != nil {
			return nil, err
		}
	}
	if len(all) > 0 {
		return all, nil
	}
	all, err := askable(ctx, keys)
	for i := range all {
		all[i].RetryPIN = f.retryPIN
	}
	return all, err
}

// askable are the configured means, and a question for each other passphrase.
func askable(ctx context.Context, keys *host.Keys) ([]vault.Opening, error) {
	all := keys.Configured()
	infos, err := keys.Door().Seals(ctx, host.Operator())
	if err != nil {
		return nil, err
	}
	t, err := openTerminal()
	if err != nil {
		return all, nil // nobody to ask
	}
	t.close()
	known := map[string]bool{}
	for _, opening := range all {
		known[opening.Seal] = true
	}
	for _, info := range infos {
		if info.Kind == seal.Passphrase && !known[info.Name] {
			all = append(all, vault.Opening{Seal: info.Name, Means: &asked{name: info.Name}})
		}
	}
	return all, nil
}

// asked is a passphrase that is asked for when it is needed, and once only.
type asked struct {
	name  string
	means seal.Means
}

// Kind returns seal.Passphrase.
func (a *asked) Kind() seal.Kind { return seal.Passphrase }

// Wrap implements seal.Means.
func (a *asked) Wrap(ctx context.Context, root []byte) (string, []byte, error) {
	if err := a.ask(ctx); err != nil {
		return "", nil, err
	}
	return a.means.Wrap(ctx, root)
}

// Unwrap implements seal.Means.
func (a *asked) Unwrap(ctx context.Context, parameters string, wrapped, root []byte) error {
	if err := a.ask(ctx); err != nil {
		return err
	}
	return a.means.Unwrap(ctx, parameters, wrapped, root)
}

func (a *asked) ask(ctx context.Context) error {
	if a.means != nil {
		return nil
	}
	text, err := askPassphrase(ctx, fmt.Sprintf("Passphrase of the seal %q", a.name), false)
	if err != nil {
		return err
	}
	a.means, err = seal.ByPassphrase(text, 0)
	return err
}

func passphraseFromFile(sys system, path string, work int) (seal.Means, error) {
	text, err := readMeans(sys, path)
	if err != nil {
		return nil, fmt.Errorf("reading a passphrase: %w", err)
	}
	return seal.ByPassphrase(secrets.NewValue(strings.TrimRight(text.Reveal(), "\r\n")), work)
}

func keyFromFile(sys system, path string) (seal.Means, error) {
	text, err := readMeans(sys, path)
	if err != nil {
		return nil, fmt.Errorf("reading the key of a seal: %w", err)
	}
	return seal.ByKey(text)
}

func keyFromEnv(sys system, name string) (seal.Means, error) {
	text, ok := sys.lookupEnv(name)
	if !ok {
		return nil, fmt.Errorf("%w: the environment variable %s is not set", secrets.ErrInvalid, name)
	}
	return seal.ByKey(secrets.NewValue(text))
}

// readMeans reads a small file; "-" is standard input.
func readMeans(sys system, path string) (secrets.Value, error) {
	in := sys.stdin
	if path != "-" {
		f, err := os.Open(path)
		if err != nil {
			return secrets.Value{}, err
		}
		defer f.Close()
		in = f
	}
	data, err := io.ReadAll(io.LimitReader(in, maxMeans+1))
	defer clear(data)
	if err != nil {
		return secrets.Value{}, err
	}
	if len(data) > maxMeans {
		return secrets.Value{}, fmt.Errorf("%w: %s has more than %d bytes", secrets.ErrInvalid, path, maxMeans)
	}
	return secrets.NewValue(string(data)), nil
}

// randomPassphrase returns 25 letters and digits in groups, about 124 bits. None
// of them looks like another.
func randomPassphrase() string {
	const letters = "abcdefghjkmnpqrstuvwxyz23456789" // 31 of them
	var b strings.Builder
	for i := range 25 {
		if i > 0 && i%5 == 0 {
			b.WriteByte('-')
		}
		b.WriteByte(letters[randomBelow(len(letters))])
	}
	return b.String()
}

// randomBelow returns a random number from 0 to n-1, for n up to 256.
func randomBelow(n int) int {
	var one [1]byte
	for {
		rand.Read(one[:])            // never fails
		if int(one[0]) < 256-256%n { // so that each number is as likely as the others
			return int(one[0]) % n
		}
	}
}
