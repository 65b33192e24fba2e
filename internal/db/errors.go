package db

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/mattn/go-sqlite3"

	secrets "github.com/datasette-secrets/datasette-secrets"
)

// classify adds what was being done to an error of SQLite, and its class. The
// texts of SQLite name tables and columns, never their contents.
func classify(doing string, err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return fmt.Errorf("%s: %w: %w", doing, secrets.ErrUnavailable, err)
	}
	var sqliteErr sqlite3.Error
	if !errors.As(err, &sqliteErr) {
		return fmt.Errorf("%s: %w", doing, err)
	}
	if sqliteErr.Code == sqlite3.ErrCorrupt || sqliteErr.Code == sqlite3.ErrNotADB {
		return fmt.Errorf("%s: the file is damaged or is not a SQLite database; restore it from a backup or choose another file: %w", doing, err)
	}
	if hint := temporary(sqliteErr.Code); hint != "" {
		return fmt.Errorf("%s: %w: %s: %w", doing, secrets.ErrUnavailable, hint, err)
	}
	return fmt.Errorf("%s: %w", doing, err)
}

// Interrupted makes ErrUnavailable of the end of a context that somebody waited
// with, while doing what doing says.
func Interrupted(doing string, err error) error { return classify(doing, err) }

// misfit makes ErrIntegrity of a row that holds what no program stores there,
// such as a text for a number: SQLite takes anything in any column. What it
// holds is not repeated.
func misfit(err error) error {
	if err == nil || !strings.HasPrefix(err.Error(), "sql: Scan error") {
		return err
	}
	return fmt.Errorf("%w: a column holds what no program stores there", secrets.ErrIntegrity)
}

// temporary says what to do about a failure that lies outside this program,
// and is empty for every other.
func temporary(code sqlite3.ErrNo) string {
	switch code {
	case sqlite3.ErrBusy, sqlite3.ErrLocked:
		return "another process keeps the database locked; try again, or stop that process"
	case sqlite3.ErrFull:
		return "the disk is full; free some space"
	case sqlite3.ErrReadonly:
		return "the database or its folder is read-only; make both writable for this user"
	case sqlite3.ErrCantOpen, sqlite3.ErrPerm, sqlite3.ErrAuth:
		return "the database file cannot be opened; make sure that it exists, and that it and its folder are writable for this user"
	case sqlite3.ErrIoErr, sqlite3.ErrProtocol, sqlite3.ErrNomem, sqlite3.ErrInterrupt:
		return "reading or writing the database file failed"
	}
	return ""
}
