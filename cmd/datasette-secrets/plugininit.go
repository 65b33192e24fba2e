package main

import (
	"fmt"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/datasette-secrets/datasette-secrets/host"
	"github.com/datasette-secrets/datasette-secrets/internal/pluginhost"
	"github.com/datasette-secrets/datasette-secrets/internal/project"
)

// initFlags are those of "plugin init".
type initFlags struct {
	language string
	dir      string
	sdk      string
}

func newPluginInit(sys system) *cobra.Command {
	flags := &initFlags{}
	cmd := &cobra.Command{
		Use:   "init NAME --lang LANG",
		Short: "Begin a project for a plugin that builds, tests and runs at once",
		Long: `Begin a project for a plugin: source, test, build script and README, in Go,
Python or JavaScript. Nothing is overwritten.

Where the SDK is not published, --sdk names one: a clone of this repository, a
wheel, or a package that npm packed.`,
		Example: `  datasette-secrets plugin init weather --lang go
  datasette-secrets plugin init weather --lang python --dir src/weather --sdk ~/datasette-secrets`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usagef("Missing argument 'NAME'.")
			}
			if err := noExtra(cmd, args[1:]); err != nil {
				return err
			}
			return flags.run(sys, args[0])
		},
	}
	cmd.Flags().SortFlags = false
	cmd.Flags().StringVar(&flags.language, "lang", "", "language of the plugin: "+strings.Join(project.Languages(), ", "))
	cmd.Flags().StringVar(&flags.dir, "dir", "", "folder to write into; NAME if not given")
	cmd.Flags().StringVar(&flags.sdk, "sdk", "", "path of an SDK to use instead of the published one")
	cmd.RegisterFlagCompletionFunc("lang", cobra.FixedCompletions(project.Languages(), cobra.ShellCompDirectiveNoFileComp))
	cmd.MarkFlagDirname("dir")
	return cmd
}

func (f *initFlags) run(sys system, name string) error {
	if err := pluginhost.CheckName(name); err != nil {
		return usagef("Invalid value for 'NAME': %s.", err)
	}
	if f.language == "" {
		return usagef("Missing option '--lang': one of %s.", strings.Join(project.Languages(), ", "))
	}
	dir := f.dir
	if dir == "" {
		dir = name
	}
	program, err := project.Write(dir, project.Options{Name: name, Language: f.language, Version: host.Version, SDK: f.sdk})
	if err != nil {
		return fmt.Errorf("beginning the plugin %s: %w", name, err)
	}
	_, err = fmt.Fprintf(sys.stdout, `The plugin %s is in %s. Next:

  cd %s && ./build
  datasette-secrets plugin test %s
  datasette-secrets serve --dev --root --plugin %s
`, name, dir, quoted(filepath.Clean(dir)), program, program)
	return err
}

// quoted is a word for a shell.
func quoted(word string) string {
	if strings.ContainsFunc(word, func(r rune) bool {
		return !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./-+~@%", r)
	}) {
		return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
	}
	return word
}
