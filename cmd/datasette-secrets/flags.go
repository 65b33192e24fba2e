package main

import (
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/datasette-secrets/datasette-secrets/host"
)

// databaseFlags say which database holds the secrets.
type databaseFlags struct {
	internal   string
	configFile string
	metadata   string
	settings   tuples
}

func (f *databaseFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.StringVar(&f.internal, "internal", "", "database file that holds the secrets; made if missing")
	flags.StringVarP(&f.configFile, "config", "c", "", "JSON or YAML file with the configuration; - reads standard input")
	tupleFlag(cmd, &f.settings, "setting", "s", "key and value that go over the configuration file; may be repeated", "KEY", "VALUE")
	flags.StringVarP(&f.metadata, "metadata", "m", "", "JSON or YAML file of older Datasettes; its plugins and allow keys count")
	cmd.MarkFlagFilename("config", "yml", "yaml", "json")
	cmd.MarkFlagFilename("internal", "db", "sqlite", "sqlite3")
}

// config is the part of the host's configuration that says which database.
func (f *databaseFlags) config(sys system, files []string) host.Config {
	cfg := host.Config{
		Files: files, Internal: f.internal, ConfigFile: f.configFile, Metadata: f.metadata,
		Stdin: sys.stdin, LookupEnv: sys.lookupEnv,
	}
	for _, pair := range f.settings.values {
		cfg.Settings = append(cfg.Settings, [2]string{pair[0], pair[1]})
	}
	return cfg
}

// hostFlags are the flags of every command that opens a host.
type hostFlags struct {
	databaseFlags
	immutable   []string
	create      bool
	root        bool
	defaultDeny bool
	secret      string
	pluginsDir  string
	versionNote string
}

func (f *hostFlags) add(cmd *cobra.Command) {
	f.databaseFlags.add(cmd)
	flags := cmd.Flags()
	flags.StringArrayVarP(&f.immutable, "immutable", "i", nil, "database file to attach that nobody writes; may be repeated")
	flags.BoolVar(&f.create, "create", false, "create the database files that do not exist")
	flags.BoolVar(&f.root, "root", false, "let the actor \"root\" do everything, and print a URL that signs it in")
	flags.BoolVar(&f.defaultDeny, "default-deny", false, "deny what is allowed by default")
	flags.StringVar(&f.secret, "secret", "", "secret that signs cookies and tokens (or DATASETTE_SECRET)")
	flags.StringVar(&f.pluginsDir, "plugins-dir", "", "folder of plugins: executables named datasette-secrets-plugin-*")
	flags.StringVar(&f.versionNote, "version-note", "", "text to show with the version")
	cmd.MarkFlagDirname("plugins-dir")
}

// config makes the host's configuration of the flags and files.
func (f *hostFlags) config(sys system, files []string, log *slog.Logger) host.Config {
	cfg := f.databaseFlags.config(sys, files)
	cfg.Immutable, cfg.Create, cfg.PluginsDir = f.immutable, f.create, f.pluginsDir
	cfg.Secret, cfg.Root, cfg.DefaultDeny = f.signingSecret(sys), f.root, f.defaultDeny
	cfg.VersionNote, cfg.Log = f.versionNote, log
	cfg.Entry, cfg.HelperEnv = sys.entry, helperEnv(sys.environ)
	return cfg
}

// helperEnv is what of the environment a process with a PKCS#11 module of
// somebody else gets: nothing that may be a secret of this program.
func helperEnv(environ []string) []string {
	return slices.DeleteFunc(slices.Clone(environ), func(variable string) bool {
		return strings.HasPrefix(variable, "DATASETTE_")
	})
}

func (f *hostFlags) signingSecret(sys system) string {
	if f.secret != "" {
		return f.secret
	}
	secret, _ := sys.lookupEnv("DATASETTE_SECRET")
	return secret
}

// ignoredFlags are flags of datasette serve that are about browsing data. They
// are taken, so that one command line fits both programs, and named in a
// warning.
type ignoredFlags struct{ cmd *cobra.Command }

func (f *ignoredFlags) add(cmd *cobra.Command) {
	f.cmd = cmd
	flags := cmd.Flags()
	for _, name := range ignoredBools() {
		flags.Bool(name, false, "")
		flags.MarkHidden(name)
	}
	for _, name := range []string{"template-dir", "static", "inspect-file", "load-extension"} {
		flags.StringArray(name, nil, "")
		flags.MarkHidden(name)
	}
	flags.BoolP("open", "o", false, "")
	flags.MarkHidden("open")
}

func ignoredBools() []string {
	return []string{"reload", "cors", "memory", "crossdb", "nolock", "pdb"}
}

// warnings names the flags that were given without effect.
func (f *ignoredFlags) warnings() []string {
	var warnings []string
	names := append(ignoredBools(), "open", "template-dir", "static", "inspect-file", "load-extension")
	for _, name := range names {
		if f.cmd.Flags().Changed(name) {
			warnings = append(warnings, fmt.Sprintf("--%s has no effect here: this host manages secrets and does not browse data", name))
		}
	}
	return warnings
}
