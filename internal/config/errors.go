package config

import (
	"errors"
	"fmt"
)

// ErrUsage: an option of the command line has a wrong value. The error's text
// is the whole sentence for the user, in Datasette's words where it has some;
// a command that gets it ends with exit code 2.
var ErrUsage = errors.New("wrong value for an option")

// usageError is an ErrUsage that prints as its own text only.
type usageError struct{ text string }

func (e usageError) Error() string { return e.text }

func (usageError) Unwrap() error { return ErrUsage }

func usage(format string, args ...any) error {
	return usageError{fmt.Sprintf(format, args...)}
}
