package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/datasette-secrets/datasette-secrets/internal/plugincheck"
	"github.com/datasette-secrets/datasette-secrets/internal/script"
)

// holdName is the hidden command that is killed to see its plugin end.
const holdName = "__hold"

// testFlags are those of "plugin test".
type testFlags struct {
	json   bool
	read   []string
	config string
	only   []string
	slow   int
	starts int
}

func newPluginTest(sys system) *cobra.Command {
	flags := &testFlags{}
	cmd := &cobra.Command{
		Use:   "test PATH [flags] [-- ARGS...]",
		Short: "Check that a program is a plugin that every host gets along with",
		Long: `Check that a program is a plugin that every host gets along with, in whatever
language it is written. The program runs in the sandbox of plugins and gets ARGS
as its arguments. It may read what --read names; without that, a script may read
its project and its interpreter's libraries, as far as they are recognised.

The exit code is 0 only if no check fails.`,
		Example: `  datasette-secrets plugin test ./datasette-secrets-plugin-weather
  datasette-secrets plugin test ./weather --read .venv --json -- --verbose`,
		RunE: func(cmd *cobra.Command, args []string) error {
			path, rest, err := onePath(cmd, args)
			if err != nil {
				return err
			}
			return flags.run(cmd.Context(), sys, path, rest)
		},
	}
	cmd.Flags().SortFlags = false
	cmd.Flags().BoolVar(&flags.json, "json", false, "print the report as JSON")
	cmd.Flags().StringArrayVar(&flags.read, "read", nil, "file or folder that the program may read; may be repeated")
	cmd.Flags().StringVar(&flags.config, "config", "", "its block of the host's configuration, as JSON")
	cmd.Flags().StringArrayVar(&flags.only, "only", nil, "do only this check and those it builds upon; may be repeated")
	cmd.Flags().IntVar(&flags.slow, "slow", 1, "multiply every limit on time, for a slow machine")
	cmd.Flags().IntVar(&flags.starts, "restarts", plugincheck.Restarts, "start and stop it so often for the check restarts")
	cmd.MarkFlagFilename("read")
	cmd.RegisterFlagCompletionFunc("only", cobra.FixedCompletions(plugincheck.Names(), cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

// newHold is what a check starts in order to kill it.
func newHold(sys system) *cobra.Command {
	return &cobra.Command{
		Use: holdName, Hidden: true, Args: noExtra,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return plugincheck.Hold(cmd.Context(), sys.entry, sys.stdin, sys.stdout)
		},
	}
}

// onePath takes the argument before "--", and those after it.
func onePath(cmd *cobra.Command, args []string) (path string, rest []string, err error) {
	before := args
	if dash := cmd.ArgsLenAtDash(); dash >= 0 {
		before, rest = args[:dash], args[dash:]
	}
	if len(before) == 0 {
		return "", nil, usagef("Missing argument 'PATH'.")
	}
	return before[0], rest, noExtra(cmd, before[1:])
}

func (f *testFlags) run(ctx context.Context, sys system, path string, args []string) error {
	cfg, err := f.configure(sys, path, args)
	if err != nil {
		return err
	}
	shown := &checkPrinter{w: sys.stdout, colours: sys.colours(), terminal: isTerminal(sys.stdout)}
	if !f.json {
		shown.granted(cfg.Read)
		cfg.Began, cfg.Done = shown.began, shown.done
	}
	report, err := plugincheck.Run(ctx, cfg)
	if err != nil {
		return err
	}
	if f.json {
		err = writeCheckJSON(sys.stdout, report)
	} else {
		err = shown.sum(report)
	}
	if err == nil && !report.Passed() {
		return quietError{}
	}
	return err
}

func (f *testFlags) configure(sys system, path string, args []string) (plugincheck.Config, error) {
	if f.config != "" && !json.Valid([]byte(f.config)) {
		return plugincheck.Config{}, usagef("Invalid value for '--config': it is not JSON.")
	}
	if f.slow < 1 || f.slow > 100 {
		return plugincheck.Config{}, usagef("Invalid value for '--slow': %d is not in the range 1<=x<=100.", f.slow)
	}
	if f.starts < 1 || f.starts > 1000 {
		return plugincheck.Config{}, usagef("Invalid value for '--restarts': %d is not in the range 1<=x<=1000.", f.starts)
	}
	for _, name := range f.only {
		if !slices.Contains(plugincheck.Names(), name) {
			return plugincheck.Config{}, usagef("Invalid value for '--only': %q is none of %s.", name, strings.Join(plugincheck.Names(), ", "))
		}
	}
	program, err := filepath.Abs(path)
	if err != nil {
		return plugincheck.Config{}, fmt.Errorf("finding %s: %w", path, err)
	}
	var read []string
	for _, folder := range f.read {
		absolute, err := filepath.Abs(folder)
		if err != nil {
			return plugincheck.Config{}, fmt.Errorf("finding %s: %w", folder, err)
		}
		read = append(read, absolute)
	}
	if len(read) == 0 {
		read = script.Folders(program)
	}
	return plugincheck.Config{
		Path: program, Args: args, Read: read, Settings: f.config, Only: f.only, Slow: f.slow, Restarts: f.starts,
		Entry: sys.entry, Holder: []string{"plugin", holdName},
	}, nil
}

// checkPrinter tells a person what is going on.
type checkPrinter struct {
	w        io.Writer
	colours  colours
	terminal bool
	blocked  int // checks that could not be tried; one line is enough for them
}

const nameWidth = 14 // of the longest name of a check

// granted tells what an administrator has to grant the program.
func (p *checkPrinter) granted(read []string) {
	if len(read) > 0 {
		fmt.Fprintf(p.w, "It may read %s; a host needs the same for it under \"read\".\n\n", strings.Join(read, ", "))
	}
}

// began shows, on a terminal, what is waited for.
func (p *checkPrinter) began(name, _ string) {
	if p.terminal {
		fmt.Fprintf(p.w, "      %s …", name)
	}
}

func (p *checkPrinter) done(r plugincheck.Result) {
	if p.terminal {
		fmt.Fprint(p.w, "\r\x1b[K") // the line of began goes
	}
	if r.Blocked {
		p.blocked++
		return
	}
	word := map[plugincheck.Outcome]string{
		plugincheck.Pass: p.colours.paint(green, "pass"), plugincheck.Fail: p.colours.paint(red, "FAIL"), plugincheck.Skip: p.colours.paint(faint, "skip"),
	}[r.Outcome]
	text := r.About
	if r.Outcome == plugincheck.Skip {
		text = p.colours.paint(faint, r.Reason)
	}
	fmt.Fprintf(p.w, "%s  %-*s %s\n", word, nameWidth, r.Name, text)
	if r.Outcome != plugincheck.Fail {
		return
	}
	indent := strings.Repeat(" ", nameWidth+7)
	fmt.Fprintf(p.w, "%s%s\n%sTo do: %s\n", indent, p.colours.paint(red, "But "+r.Reason), indent, r.Fix)
	for _, line := range r.Log {
		fmt.Fprintf(p.w, "%s%s\n", indent, p.colours.paint(faint, "| "+line))
	}
}

// sum is the last line.
func (p *checkPrinter) sum(r plugincheck.Report) error {
	if p.blocked > 0 {
		fmt.Fprintln(p.w, p.colours.paint(faint, fmt.Sprintf("skip  %d more checks, which build upon what failed", p.blocked)))
	}
	for _, missing := range r.Missing {
		fmt.Fprintf(p.w, "This system's sandbox lacks: %s\n", missing)
	}
	_, err := fmt.Fprintf(p.w, "\n%d passed, %d failed, %d skipped\n",
		r.Count(plugincheck.Pass), r.Count(plugincheck.Fail), r.Count(plugincheck.Skip))
	return err
}

// checkJSON is one check as machines read it.
type checkJSON struct {
	Name    string   `json:"name"`
	About   string   `json:"about"`
	Result  string   `json:"result"`
	Reason  string   `json:"reason,omitempty"`
	Fix     string   `json:"fix,omitempty"`
	Log     []string `json:"log,omitempty"`
	Blocked bool     `json:"blocked,omitempty"`
	Seconds float64  `json:"seconds"`
}

// reportJSON is a report as machines read it.
type reportJSON struct {
	Program string      `json:"program"`
	Hash    string      `json:"hash"`
	Result  string      `json:"result"`
	Passed  int         `json:"passed"`
	Failed  int         `json:"failed"`
	Skipped int         `json:"skipped"`
	Read    []string    `json:"read"`
	Missing []string    `json:"sandbox_missing"`
	Checks  []checkJSON `json:"checks"`
}

func writeCheckJSON(w io.Writer, r plugincheck.Report) error {
	out := reportJSON{
		Program: r.Program, Hash: "sha256:" + r.Hash, Result: string(plugincheck.Pass),
		Passed: r.Count(plugincheck.Pass), Failed: r.Count(plugincheck.Fail), Skipped: r.Count(plugincheck.Skip),
		Read: append([]string{}, r.Read...), Missing: append([]string{}, r.Missing...),
	}
	if !r.Passed() {
		out.Result = string(plugincheck.Fail)
	}
	for _, result := range r.Results {
		out.Checks = append(out.Checks, checkJSON{
			result.Name, result.About, string(result.Outcome), result.Reason, result.Fix, result.Log, result.Blocked, result.Took.Seconds(),
		})
	}
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "    ")
	encoder.SetEscapeHTML(false)
	return encoder.Encode(out)
}
