package tests

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/datasette-secrets/datasette-secrets/pluginapi"
	"github.com/datasette-secrets/datasette-secrets/tests/harness"
)

// command runs a command on the database of a folder, which must succeed.
func command(t *testing.T, dir string, args ...string) string {
	t.Helper()
	got := harness.Run(t, dir, append(args, "--internal", "internal.db")...)
	if got.Code != 0 {
		t.Fatalf("%s: exit code %d\n%s", args, got.Code, got.Stderr)
	}
	return got.Stdout
}

// eventually waits until something is so.
func eventually(t *testing.T, what string, so func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !so(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("it never happens that %s", what)
		}
	}
}

// declares changes what a probe says of itself when it is started again.
func declares(t *testing.T, dir, name string, secrets ...string) {
	t.Helper()
	declared := struct{ Secrets []pluginapi.Secret }{}
	for _, secret := range secrets {
		declared.Secrets = append(declared.Secrets, pluginapi.Secret{Name: secret})
	}
	text, err := json.Marshal(declared)
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, name+".json"), text, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// What an administrator decides at the command line counts in the running host
// at once, with the values that are there.
func TestApprovalInTheRunningHost(t *testing.T) {
	t.Parallel()
	plugins, dir := t.TempDir(), t.TempDir()
	probe := harness.AddProbe(t, plugins, "probe", pluginapi.Secret{Name: "OLD"})
	harness.Start(t, harness.Options{
		Args: append(probe.Args, "--internal", "internal.db"), Dir: dir,
		Env: []string{"DATASETTE_SECRETS_OLD=old", "DATASETTE_SECRETS_NEW=new"},
	})
	gets := func(name, want string) {
		t.Helper()
		if got, err := probe.Get(t, name, "root"); err != nil || got != want {
			t.Errorf("it reads %q, %v of %s", got, err, name)
		}
	}
	denied := func(name string) {
		t.Helper()
		if got, err := probe.Get(t, name, "root"); err == nil {
			t.Errorf("it reads %q of %s", got, name)
		}
		if allowed, _ := probe.Can(t, name, "root"); allowed {
			t.Errorf("it may read %s", name)
		}
		for _, status := range probe.List(t) {
			if status.Name == name && status.Set {
				t.Errorf("it is told that there is %s", name)
			}
		}
	}
	gets("OLD", "old")
	declares(t, plugins, "probe", "OLD", "NEW")
	command(t, dir, "plugin", "restart", "probe")
	eventually(t, "the plugin asks for more", func() bool {
		return strings.Contains(command(t, dir, "plugin", "list"), "secret NEW")
	})
	gets("OLD", "old")
	denied("NEW")
	command(t, dir, "plugin", "approve", "probe")
	gets("NEW", "new")
	command(t, dir, "plugin", "refuse", "probe", "--secret", "OLD")
	denied("OLD")
	gets("NEW", "new")
}

// A host that takes no commands, because another one does, follows what is
// decided about the file within a moment.
func TestDecisionsReachEveryHostOfAFile(t *testing.T) {
	t.Parallel()
	plugins, dir := t.TempDir(), t.TempDir()
	first := harness.Start(t, harness.Options{Args: []string{"--internal", "internal.db"}, Dir: dir})
	probe := harness.AddProbe(t, plugins, "probe", pluginapi.Secret{Name: "OLD"})
	second := harness.Start(t, harness.Options{
		Args: append(probe.Args, "--internal", "internal.db"), Dir: dir,
		Env: []string{"DATASETTE_SECRETS_OLD=old"},
	})
	second.Logs(t, "another host has this database open")
	if strings.Contains(first.Stderr.String(), "commands") {
		t.Errorf("the first host complains:\n%s", first.Stderr)
	}
	if got, err := probe.Get(t, "OLD", ""); err != nil || got != "old" {
		t.Fatalf("it reads %q, %v", got, err)
	}
	command(t, dir, "plugin", "refuse", "probe", "--secret", "OLD")
	eventually(t, "the secret is taken away", func() bool {
		_, err := probe.Get(t, "OLD", "")
		return err != nil
	})
	running := func() string {
		return second.Get(t, "/-/plugins", nil).Text
	}
	command(t, dir, "plugin", "disable", "probe")
	eventually(t, "the plugin is stopped", func() bool { return strings.Contains(running(), "badge-disabled") })
	command(t, dir, "plugin", "enable", "probe")
	eventually(t, "the plugin is started", func() bool { return strings.Contains(running(), "badge-ready") })
}

// A host that was killed leaves a note behind, which is neither a host nor in
// the way of the next one.
func TestNoteOfAKilledHost(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	note := filepath.Join(dir, "internal.db-control")
	start := func() *harness.Process {
		return harness.Start(t, harness.Options{Args: []string{"--internal", "internal.db"}, Dir: dir})
	}
	killed := start()
	var left struct{ Socket string }
	text, err := os.ReadFile(note)
	if err == nil {
		err = json.Unmarshal(text, &left)
	}
	if err != nil {
		t.Fatal(err)
	}
	killed.Kill()
	if _, err := os.Stat(note); err != nil {
		t.Fatal(err) // nobody could remove it
	}
	if got := command(t, dir, "plugin", "list"); got != "There are no plugins.\n" {
		t.Errorf("on the file: %s", got)
	}
	if _, err := os.Stat(note); err != nil {
		t.Error("a command removes the note")
	}
	next := start()
	if strings.Contains(next.Stderr.String(), "another host") {
		t.Errorf("the next host says %s", next.Stderr)
	}
	if _, err := os.Stat(filepath.Dir(left.Socket)); err == nil {
		t.Errorf("%s is left", filepath.Dir(left.Socket))
	}
	next.Stop(t)
	if _, err := os.Stat(note); err == nil {
		t.Error("the host leaves its note")
	}
}

// --follow goes on with what comes, and ends with the host or a signal.
func TestFollowingALog(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	plugins := harness.PluginDir(t, "demo", "plugins/demo")
	host := harness.Start(t, harness.Options{Args: []string{"--plugins-dir", plugins, "--internal", "internal.db"}, Dir: dir})
	output, end := harness.Follow(t, dir, "plugin", "logs", "demo", "--follow", "--internal", "internal.db")
	eventually(t, "the log is there", func() bool { return strings.Contains(output.String(), "the plugin is ready") })
	command(t, dir, "plugin", "disable", "demo")
	eventually(t, "the log goes on", func() bool { return strings.Contains(output.String(), "disables the plugin") })
	if n := len(regexp.MustCompile(`(?m)the plugin is ready$`).FindAllString(output.String(), -1)); n != 1 {
		t.Errorf("a line is told %d times:\n%s", n, output)
	}
	if code := end(); code != 0 {
		t.Errorf("after a signal: exit code %d", code)
	}
	output, end = harness.Follow(t, dir, "plugin", "logs", "demo", "-f", "--internal", "internal.db")
	eventually(t, "the log is there", func() bool { return strings.Contains(output.String(), "the plugin is ready") })
	host.Stop(t)
	eventually(t, "it notices the end of the host", func() bool { return strings.Contains(output.String(), "temporarily unavailable") })
	if code := end(); code != 7 {
		t.Errorf("after the end of the host: exit code %d", code)
	}
}

// A plugin in its sandbox neither finds the way to command its host nor can use
// it when it is told where it is, and so cannot approve itself.
func TestPluginCannotApproveItself(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	plugins := harness.PluginDir(t, "demo", "plugins/demo")
	args := []string{"--plugins-dir", plugins, "--internal", "internal.db"}
	if got := harness.Run(t, dir, append([]string{"plugins"}, args...)...); got.Code != 0 {
		t.Fatal(got.Stderr)
	}
	harness.AddPlugin(t, plugins, "intruder", "tests/testdata/plugins/intruder")
	told := filepath.Join(dir, "socket.txt")
	if err := os.WriteFile(told, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	host := harness.Start(t, harness.Options{
		Args: append(args, "-s", "plugins.intruder.database", filepath.Join(dir, "internal.db"), "-s", "plugins.intruder.socket.$file", told),
		Dir:  dir, Env: []string{"DATASETTE_SECRETS_DEMO_API_KEY=valuable"},
	})
	host.Logs(t, "tried everything")
	var note struct{ Socket, Token string }
	text, err := os.ReadFile(filepath.Join(dir, "internal.db-control"))
	if err == nil {
		err = json.Unmarshal(text, &note)
	}
	if err == nil {
		err = os.WriteFile(told, []byte(note.Socket), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	command(t, dir, "plugin", "restart", "intruder")
	eventually(t, "the intruder has tried again", func() bool { return strings.Count(host.Stderr.String(), "tried everything") == 2 })
	log := host.Stderr.String()
	for line := range strings.Lines(log) {
		var said struct {
			Msg    string
			Fields struct{ Result string }
		}
		if err := json.Unmarshal([]byte(line), &said); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		what, tried := strings.CutPrefix(said.Msg, "tried ")
		if !tried || what == "everything" {
			continue
		}
		result := said.Fields.Result
		good := regexp.MustCompile(map[string]string{
			"the secret":       `approve this first`,
			"the secret again": `approve this first`,
			"the note":         `permission denied|no such file`,
			"the folder":       `permission denied|no such file`,
			"to find sockets":  `^found 0$`,
			"the socket":       `^(status 401|no answer)$`,
		}[what])
		if good.String() == "" || !good.MatchString(result) {
			t.Errorf("it tried %s: %s", what, result)
		}
	}
	if n := strings.Count(log, "tried the socket"); n != 6 {
		t.Errorf("it tried the socket %d times, want 6:\n%s", n, log)
	}
	if strings.Contains(log, note.Token) || strings.Contains(log, "valuable") {
		t.Error("the log tells a token or a value")
	}
	if list := command(t, dir, "plugin", "list"); !strings.Contains(list, "secret DEMO_API_KEY, which demo may read") {
		t.Errorf("it is not pending any more:\n%s", list)
	}
}
