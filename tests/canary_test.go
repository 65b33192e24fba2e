package tests

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/tests/harness"
)

// canary is a value that stands out, with characters that encodings change.
const canary = `cänary/"+<7f3a>&9d1e?value`

// A known value and the key are planted, the program is used in every way that
// handles them, and nothing that it leaves anywhere holds either: no page, no
// header, no log, no file but the key's own.
func TestValuesAndKeysStayInside(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	keyFile := filepath.Join(dir, "the.key")
	if err := os.WriteFile(keyFile, []byte(harness.Key+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	probe := harness.NewProbe(t, "CANARY")
	p := harness.Start(t, harness.Options{
		NoKey: true, Dir: dir, Env: []string{"TMPDIR=" + dir},
		Args: append(probe.Args,
			"--internal", "internal.db", "--root",
			"-s", "plugins.datasette-secrets.encryption-key.$file", keyFile),
	})
	root := secrets.NewActor("root")
	seen := use(t, p, probe, root)

	var left []string
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() || path == keyFile {
			return err
		}
		data, err := os.ReadFile(path)
		seen = append(seen, found{"file " + filepath.Base(path), string(data)})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	cmdline, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", p.Cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	p.Stop(t)
	seen = append(seen,
		found{"standard error", p.Stderr.String()},
		found{"standard output", p.Stdout.String()},
		found{"command line", string(cmdline)})
	if err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.Type().IsRegular() {
			left = append(left, filepath.Base(path))
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if len(left) != 2 {
		t.Errorf("files at the end: %v, want the database and the key", left)
	}
	for _, f := range seen {
		for form, text := range forms() {
			if strings.Contains(f.text, text) {
				t.Errorf("%s holds the %s", f.where, form)
			}
		}
	}
}

type found struct{ where, text string }

// use sets, changes, deletes and restores the canary, makes mistakes with it,
// lets the plugin read it, and returns every answer.
func use(t *testing.T, p *harness.Process, probe *harness.Probe, root secrets.Actor) []found {
	t.Helper()
	var seen []found
	keep := func(what string, r harness.Response) {
		var headers strings.Builder
		_ = r.Header.Write(&headers)
		seen = append(seen, found{what, headers.String() + r.Text})
	}
	do := func(path string, form url.Values) {
		keep(path, p.Do(t, harness.Request{Path: path, Actor: root, Form: form}))
	}
	const page = "/-/secrets/CANARY"
	secret := func(note string) url.Values { return url.Values{"secret": {canary}, "note": {note}} }
	do(page, secret("a note"))
	do(page, secret(strings.Repeat("x", 101)))
	do("/-/secrets/UNDECLARED", secret(""))
	do(page+"/-/delete", url.Values{})
	do(page+"/-/restore", url.Values{"version": {"1"}})
	keep("other site", p.Do(t, harness.Request{Path: page, Actor: root, Form: secret(""), Header: map[string]string{"Sec-Fetch-Site": "cross-site"}}))
	keep("nobody", p.Do(t, harness.Request{Path: page, Form: secret("")}))
	keep("broken", p.Do(t, harness.Request{Path: page, Actor: root, Body: "secret=" + canary + "\xff"}))
	for _, path := range []string{"/", "/-/secrets", page, page + "?secret=1", "/-/plugins", "/-/config", "/-/config.json", "/-/settings.json", "/-/versions", "/-/nosuch"} {
		keep(path, p.Get(t, path, root))
	}
	if value, err := probe.Get(t, "CANARY", "alice"); err != nil || value != canary {
		t.Errorf("the plugin does not get the value: %v", err)
	}
	keep("used", p.Get(t, page, root))
	return seen
}

func forms() map[string]string {
	all := map[string]string{}
	for what, text := range map[string]string{"value": canary, "key": harness.Key} {
		core := strings.TrimRight(text, "=")
		all[what] = core
		all[what+" in base64"] = base64.RawStdEncoding.EncodeToString([]byte(core))[:20]
		all[what+" in URL base64"] = base64.RawURLEncoding.EncodeToString([]byte(core))[:20]
		all[what+" in hexadecimal"] = hex.EncodeToString([]byte(core))
		all[what+" in a URL"] = url.QueryEscape(core)
		all[what+" in JSON"] = strings.Trim(fmt.Sprintf("%q", core), `"`)
		all[what+" in HTML"] = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&#34;").Replace(core)
	}
	raw, err := base64.URLEncoding.DecodeString(harness.Key)
	if err != nil {
		panic(err)
	}
	all["raw key"] = string(raw)
	return all
}
