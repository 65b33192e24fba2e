package pluginhost_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/datasette-secrets/datasette-secrets/internal/pluginhost"
	"github.com/datasette-secrets/datasette-secrets/internal/sandbox"
)

func errorf(format string, values ...any) error { return fmt.Errorf(format, values...) }

// A plugin is told nothing about secrets that it did not declare, and only
// classes of errors about its own.
func TestCalls(t *testing.T) {
	t.Parallel()
	w := start(t, quick(), "greedy", "healthy")
	for _, text := range []string{
		"offered [secrets.host.v1.Configuration secrets.host.v1.Secrets]",
		"undeclared PermissionDenied: permission denied: secret not declared by this plugin",
		"unknown PermissionDenied: permission denied: secret not declared by this plugin",
		"unset NotFound: secret is not set",
		"long actor InvalidArgument: invalid request: an actor's id must be UTF-8 text of at most 255 bytes",
		`list [name:\"GREEDY_KEY\"] <nil>`,
		"batch GREEDY_KEY: SECRET_NOT_SET; HEALTHY_KEY: SECRET_NOT_DECLARED; NOBODY_HAS_THIS: SECRET_NOT_DECLARED",
		"large batch InvalidArgument: invalid request: 101 names are asked for at once, at most 100 are allowed",
		`config {\"for\":\"greedy\"} <nil>`,
	} {
		w.says(text)
	}
	w.isUnharmed()
}

// An administrator decides how long a plugin may keep values.
func TestMaxAge(t *testing.T) {
	t.Parallel()
	w := startWith(t, pluginhost.Config{
		Dir: pluginsDir(t, "batcher"), Timings: quick(),
		Grants: map[string]pluginhost.Grant{"batcher": {MaxAge: time.Minute}},
	})
	w.says("batch HEALTHY_KEY: from database, version 1, for 60 s; UNSET_KEY: SECRET_NOT_SET; HEALTHY_KEY: from database, version 1, for 60 s")
}

// The use of a secret is recorded for the actor that the plugin names.
func TestUseIsRecorded(t *testing.T) {
	t.Parallel()
	w := start(t, quick(), "healthy")
	w.says("HEALTHY_KEY got it from database")
	all, err := w.vault.List(t.Context(), rootCaller())
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range all {
		if secret.Name == "HEALTHY_KEY" && secret.LastUsedBy == "demo" && secret.LastUsedAt != "" {
			return
		}
	}
	t.Errorf("no use by demo in %+v", all)
}

// A plugin's socket is for that plugin alone.
func TestIntruder(t *testing.T) {
	t.Parallel()
	// In its sandbox it would not even find the socket.
	w := startWith(t, pluginhost.Config{Dir: pluginsDir(t, "healthy", "intruder"), Timings: quick(), Sandbox: sandbox.Off})
	if line := w.says("intrusions tried"); !strings.Contains(line, "intrusions tried 1") {
		t.Fatalf("the test tried nothing: %s", line)
	}
	if line := w.says("intrusion "); !strings.Contains(line, "intrusion Unavailable") {
		t.Errorf("the intruder had success: %s", line)
	}
	w.says("a connection to the plugin's socket is refused")
	w.isUnharmed()
}

// Nothing of the host's environment, folder or input reaches a plugin.
func TestSnoop(t *testing.T) {
	t.Parallel()
	w := start(t, quick(), "snoop")
	env := w.says("env [")
	if strings.Contains(env, canary) {
		t.Errorf("the plugin saw the host's environment: %s", env)
	}
	_, names, _ := strings.Cut(w.says("variables "), "variables ")
	names, _, _ = strings.Cut(names, ".")
	for name := range strings.SplitSeq(names, ",") {
		if !slices.Contains([]string{"PATH", "LANG", "HOME", "TMPDIR", "DATASETTE_SECRETS_PLUGIN"}, name) && !strings.HasPrefix(name, "PLUGIN_") {
			t.Errorf("the plugin saw the variable %s", name)
		}
	}
	w.says("stdin nothing")
	if cwd := w.says("cwd "); !strings.Contains(cwd, w.runtime) {
		t.Errorf("the plugin was in %s", cwd)
	}
	if strings.Contains(w.log.text(), "nobody-may-see") {
		t.Error("a value is in the log")
	}
}

// Only a plugin that may use the network is told how to.
func TestNetworkVariables(t *testing.T) {
	t.Parallel()
	needSandbox(t)
	certificates := filepath.Join(t.TempDir(), "own.pem")
	must(t, os.WriteFile(certificates, []byte("certificates"), 0o600))
	env := map[string]string{
		"https_proxy": "http://proxy.example:3128", "NO_PROXY": "localhost", "SSL_CERT_FILE": certificates,
		"SSL_CERT_DIR": "/no/such/folder:relative", "LD_PRELOAD": "/evil.so", "AWS_SECRET_ACCESS_KEY": "hunter2",
	}
	w := startWith(t, pluginhost.Config{
		Dir: pluginsDir(t, "snoop", "snoop.1"), Timings: quick(),
		Grants:    map[string]pluginhost.Grant{"snoop": {Network: true}},
		LookupEnv: func(name string) (string, bool) { value, set := env[name]; return value, set },
	})
	for plugin, told := range map[string]string{"snoop": "NO_PROXY,https_proxy,SSL_CERT_FILE,SSL_CERT_DIR,", "snoop.1": ""} {
		want := "variables PATH,LANG,HOME,TMPDIR,PLUGIN_CLIENT_CERT," + told + "DATASETTE_SECRETS_PLUGIN,"
		eventually(t, func() error {
			for line := range strings.Lines(w.log.text()) {
				if strings.Contains(line, want) && strings.Contains(line, "plugin="+plugin+"\n") {
					return nil
				}
			}
			return errorf("%s is not told %s", plugin, want)
		})
	}
	if missing := w.status("snoop").Missing; len(missing) > 0 {
		t.Errorf("what is missing: %q", missing)
	}
}
