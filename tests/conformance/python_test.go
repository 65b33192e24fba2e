package conformance_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/tests/harness"
)

// What this host signs, itsdangerous reads.
func Test13PythonReadsWhatIsSigned(t *testing.T) {
	t.Parallel()
	host := start(t, "--root")
	actor, _ := host.Get(t, strings.TrimPrefix(host.SignIn, host.URL), nil).Cookie("ds_actor")
	messages, _ := host.Do(t, harness.Request{Path: "/-/secrets/EXAMPLE_SECRET", Actor: root(), Body: "note=" + strings.Repeat("n", 101)}).Cookie("ds_messages")
	made := harness.Run(t, "", "create-token", "zoë ☃", "--secret", harness.Secret, "-e", "3600", "-a", "manage-secrets", "-a", "view-instance")
	token := strings.TrimPrefix(strings.TrimSpace(made.Stdout), "dstok_")
	large := harness.ActorCookie(t, secrets.Actor{"id": strings.Repeat("x", 300), "name": "Zoë <&> \u2028 ☃"})

	var read struct {
		Actor, Large map[string]map[string]any
		Messages     [][]any
		Token        map[string]any
	}
	harness.PythonScript(t, `
import json, sys
from itsdangerous import URLSafeSerializer
names = ["actor", "large", "messages", "token"]
salts = ["actor", "actor", "messages", "token"]
print(json.dumps({n: URLSafeSerializer("1", salt=s).loads(text) for n, s, text in zip(names, salts, sys.argv[1:])}))
`, &read, actor, large, messages, token)
	if got := toJSON(t, read.Actor); got != `{"a":{"id":"root"}}` {
		t.Errorf("ds_actor holds %s", got)
	}
	if a := read.Large["a"]; a["id"] != strings.Repeat("x", 300) || a["name"] != "Zoë <&> \u2028 ☃" {
		t.Errorf("a large ds_actor holds %v", read.Large)
	}
	if got := toJSON(t, read.Messages); got != `[["Note is too long",3]]` {
		t.Errorf("ds_messages holds %s", got)
	}
	if read.Token["t"] == nil {
		t.Error("the token has no time")
	}
	delete(read.Token, "t")
	if got := toJSON(t, read.Token); got != `{"_r":{"a":["manage-secrets","vi"]},"a":"zoë ☃","d":3600}` {
		t.Errorf("the token holds %s", got)
	}
}

func Test24PythonDecryptsWhatIsStored(t *testing.T) {
	t.Parallel()
	host, file := startWithFile(t)
	value := "pässwörd\r\nline2"
	host.SetSecret(t, "EXAMPLE_SECRET", value, "", root())
	var read []any
	harness.PythonScript(t, `
import json, sqlite3, sys
from cryptography.fernet import Fernet
row = sqlite3.connect(sys.argv[1]).execute("select encrypted from datasette_secrets where name = 'EXAMPLE_SECRET'").fetchone()
print(json.dumps([type(row[0]).__name__, Fernet(sys.argv[2]).decrypt(row[0]).decode()]))
`, &read, file, harness.Key)
	if len(read) != 2 || read[0] != "bytes" || read[1] != value {
		t.Errorf("Python reads %q", read)
	}
}

// getInPython is what Python's get_secret returns.
const getInPython = `
import asyncio, json, sys
from datasette.app import Datasette
from datasette_secrets import get_secret
async def main():
    ds = Datasette(internal=sys.argv[1], config={"plugins": {"datasette-secrets": {"encryption-key": sys.argv[2]}}})
    await ds.invoke_startup()
    print(json.dumps(await get_secret(ds, "EXAMPLE_SECRET", "python")))
asyncio.run(main())
`

// Test40SharedFile has a file that Python's Datasette made open in both: first
// in turns, then at once.
func Test40SharedFile(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "internal.db")
	args := []string{"--internal", file, "-s", "permissions.manage-secrets.id", "root"}
	python := harness.StartDatasette(t, harness.Options{Args: args})
	mode := query(t, file, "pragma journal_mode")[0]["journal_mode"]
	probe := harness.NewProbe(t, "EXAMPLE_SECRET")
	host := harness.Start(t, harness.Options{Args: append(probe.Args, args...)})

	wantRedirect(t, python.SetSecret(t, "EXAMPLE_SECRET", "from Python", "a note", root()), "/-/secrets")
	wantValue(t, probe, "EXAMPLE_SECRET", "from Python")
	if got := cells(t, host.Get(t, "/-/secrets", root()), "EXAMPLE_SECRET"); got["Version"] != "1" || got["Note"] != "a note" {
		t.Errorf("this host lists %v", got)
	}
	wantRedirect(t, host.SetSecret(t, "EXAMPLE_SECRET", "from Go", "", root()), "/-/secrets")
	wantText(t, python.Get(t, "/-/secrets", root()), "<td>2</td>")
	var value string
	harness.PythonScript(t, getInPython, &value, file, harness.Key)
	if value != "from Go" {
		t.Errorf("Python reads %q", value)
	}
	if _, by := lastUse(t, file, "EXAMPLE_SECRET"); by != "python" {
		t.Errorf("last used by %v", by)
	}

	writeAtOnce(t, python, host)
	rows := stored(t, file, "EXAMPLE_SECRET")
	if len(rows) != 2+2*writes {
		t.Errorf("%d versions, want %d", len(rows), 2+2*writes)
	}
	for i, r := range rows {
		if r["version"] != int64(i+1) {
			t.Errorf("row %d is version %v", i, r["version"])
		}
		clearText(t, r)
	}
	wantValue(t, probe, "EXAMPLE_SECRET", clearText(t, rows[len(rows)-1]))
	if got := query(t, file, "pragma journal_mode")[0]["journal_mode"]; got != mode {
		t.Errorf("the journal mode was %v and is %v", mode, got)
	}
	if code := host.Stop(t); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

const writes = 20

// writeAtOnce sets a secret from both sides, without waiting for each other.
func writeAtOnce(t *testing.T, sides ...*harness.Process) {
	var all sync.WaitGroup
	for n, side := range sides {
		all.Go(func() {
			for i := range writes {
				r := side.SetSecret(t, "EXAMPLE_SECRET", fmt.Sprintf("value %d of side %d", i, n), "", root())
				if r.StatusCode != 302 {
					t.Errorf("side %d: status %d\n%s", n, r.StatusCode, r.Text)
				}
			}
		})
	}
	all.Wait()
}
