package main

import (
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// The forms of the log, as --log-format names them.
const (
	logAuto = "auto" // text for people, JSON for other programs
	logText = "text"
	logJSON = "json"
)

// logFlags say what the log looks like.
type logFlags struct {
	format string
	level  string
}

func (f *logFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.format, "log-format", logAuto, "form of the log on standard error: text, json, or auto: text on a terminal")
	flags.StringVar(&f.level, "log-level", "info", "least important lines of the log: debug (with every request), info, warn or error")
	cmd.RegisterFlagCompletionFunc("log-format", cobra.FixedCompletions(logFormats(), cobra.ShellCompDirectiveNoFileComp))
	cmd.RegisterFlagCompletionFunc("log-level", cobra.FixedCompletions(logLevels(), cobra.ShellCompDirectiveNoFileComp))
}

func logFormats() []string { return []string{logAuto, logText, logJSON} }

func logLevels() []string { return []string{"debug", "info", "warn", "error"} }

func (f *logFlags) check() error {
	if !slices.Contains(logFormats(), f.format) {
		return usagef("Invalid value for '--log-format': it must be one of %s.", strings.Join(logFormats(), ", "))
	}
	if !slices.Contains(logLevels(), f.level) {
		return usagef("Invalid value for '--log-level': it must be one of %s.", strings.Join(logLevels(), ", "))
	}
	return nil
}

// open returns the log. In development mode somebody reads it as it is written,
// and plugins may say more than the host.
func (f *logFlags) open(sys system, dev bool) *slog.Logger {
	var least slog.Level
	_ = least.UnmarshalText([]byte(f.level)) // checked before
	if f.format == logJSON || f.format == logAuto && !dev && !isTerminal(sys.stderr) {
		return slog.New(slog.NewJSONHandler(sys.stderr, &slog.HandlerOptions{Level: least}))
	}
	handler := newTextLog(sys.stderr, sys.coloursOn(sys.stderr), least)
	if dev {
		handler.layout, handler.talk = time.TimeOnly, min(least, slog.LevelDebug)
	}
	return slog.New(handler)
}

// newLog is the log of a command that a person waits for.
func newLog(sys system) *slog.Logger {
	return slog.New(newTextLog(sys.stderr, sys.coloursOn(sys.stderr), slog.LevelInfo))
}
