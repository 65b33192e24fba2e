package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/internal/config"
)

// errUsage marks a command line that is wrong in itself.
var errUsage = errors.New("usage")

// exitSecondSignal is the exit code after a second SIGINT or SIGTERM, as a
// shell has it for SIGINT.
const exitSecondSignal = 130

// exitCode is one row of the table of exit codes.
type exitCode struct {
	code    int
	meaning string
	errors  []error
}

// exitCodes is the one table from error to exit code; the first row that
// matches counts.
func exitCodes() []exitCode {
	return []exitCode{
		{2, "the command line is wrong", []error{errUsage, config.ErrUsage, secrets.ErrInvalid}},
		{3, "permission denied", []error{secrets.ErrDenied, secrets.ErrNotDeclared, secrets.ErrNotApproved}},
		{4, "no such secret, or it is not set", []error{secrets.ErrNotFound, secrets.ErrNotSet}},
		{5, "no encryption key is configured", []error{secrets.ErrNotConfigured}},
		{6, "the keys are sealed", []error{secrets.ErrSealed}},
		{7, "temporarily unavailable, such as a locked database", []error{secrets.ErrUnavailable}},
		{8, "something stored is not what was written, or the configured keys cannot read it", []error{secrets.ErrIntegrity}},
	}
}

func exitCodesHelp() string {
	var b strings.Builder
	fmt.Fprintf(&b, "  0    success\n  1    any other failure\n")
	for _, row := range exitCodes() {
		fmt.Fprintf(&b, "  %d    %s\n", row.code, row.meaning)
	}
	fmt.Fprintf(&b, "  %d  ended by a second signal", exitSecondSignal)
	return b.String()
}

// quietError is a failure that has been told already.
type quietError struct{}

func (quietError) Error() string { return "failed" }

// report writes an error for people and returns the exit code.
func report(stderr io.Writer, cmd *cobra.Command, err error) int {
	code := codeOf(err)
	if err == nil || errors.As(err, &quietError{}) {
		return code
	}
	if errors.Is(err, errUsage) || errors.Is(err, config.ErrUsage) {
		fmt.Fprintf(stderr, "Usage: %s\nTry '%s --help' for help.\n\n", cmd.UseLine(), cmd.CommandPath())
	}
	fmt.Fprintf(stderr, "Error: %s\n", err)
	return code
}

func codeOf(err error) int {
	switch {
	case err == nil:
		return 0
	case errors.Is(err, context.Canceled):
		return exitSecondSignal
	}
	for _, row := range exitCodes() {
		for _, class := range row.errors {
			if errors.Is(err, class) {
				return row.code
			}
		}
	}
	return 1
}

// usageError is an error of the command line with a text of its own.
type usageError struct{ text string }

func (e usageError) Error() string        { return e.text }
func (e usageError) Is(target error) bool { return target == errUsage }

func usage(err error) error { return usageError{err.Error()} }

func usagef(format string, args ...any) error { return usageError{fmt.Sprintf(format, args...)} }
