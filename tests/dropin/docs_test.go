package dropin_test

import (
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/datasette-secrets/datasette-secrets/tests/harness"
)

// The commands of docs/datasette.md are run as they stand there, one after the
// other, in a folder with the files that stand there. Only the ports are
// others, and the package is installed already.
func TestDocument(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	text := readFile(t, filepath.Join(harness.Root(), "docs", "datasette.md"))
	for _, port := range []string{"8001", "8002"} {
		text = strings.ReplaceAll(text, port, freePort(t))
	}
	bins := t.TempDir()
	python := harness.Dropin(t)
	harness.WriteFile(t, filepath.Join(bins, "datasette"), "#!/bin/sh\nexec "+python+` -m datasette "$@"`+"\n", 0o755)
	harness.WriteFile(t, filepath.Join(bins, "python"), "#!/bin/sh\nexec "+python+` "$@"`+"\n", 0o755)
	env := harness.Env("PATH="+bins+":"+filepath.Dir(harness.Binary(t))+":"+os.Getenv("PATH"),
		"DATASETTE_SECRET="+harness.Secret, "OLD_KEY="+harness.Key, "PYTHONUNBUFFERED=1",
		"DATASETTE_LOAD_PLUGINS=datasette-secrets,datasette-enrichments,datasette-enrichments-gpt")
	old(t, filepath.Join(dir, "old.db"), map[string]string{"OLD": "hunter2"})

	var host, datasette *harness.Process
	commands := 0
	for _, block := range regexp.MustCompile("(?ms)^( *)```(\\w+)\n(.*?)^ *```").FindAllStringSubmatch(text, -1) {
		body := regexp.MustCompile("(?m)^"+block[1]).ReplaceAllString(block[3], "")
		switch {
		case block[2] == "yaml":
			if host == nil {
				harness.WriteFile(t, filepath.Join(dir, "datasette-host.yml"), body, 0o600)
			}
			harness.WriteFile(t, filepath.Join(dir, "datasette.yml"), body, 0o600)
			continue
		case block[2] == "python":
			harness.WriteFile(t, filepath.Join(dir, "program.py"), body, 0o600)
			continue
		case body == "pip install ./sdk/datasette\n":
			continue // as harness.Dropin did
		}
		commands++
		switch {
		case strings.HasPrefix(body, "datasette "):
			if datasette != nil {
				datasette.Stop(t)
			}
			datasette = serve(t, dir, env, body, `Uvicorn running on (http://[^ ]+)`)
		case strings.HasPrefix(body, "datasette-secrets --internal"):
			host = serve(t, dir, env, body, `serving on (https?://[^ "]+)`)
		default:
			if strings.HasPrefix(body, "datasette-secrets client approve") {
				shows(t, host, "/-/secrets", "OPENAI_API_KEY", "OpenAI API key")
			}
			if strings.HasPrefix(body, "curl") {
				if r := host.SetSecret(t, "STRIPE_KEY", "sk-stripe", "", root()); r.StatusCode != http.StatusFound {
					t.Fatalf("STRIPE_KEY: %s\n%s", r.Status, r.Text)
				}
			}
			r := harness.RunCommand(t, dir, env, "/bin/sh", "-ec", body)
			if r.Code != 0 {
				t.Errorf("%s: exit code %d\n%s%s", body, r.Code, r.Stdout, r.Stderr)
			}
			for part, want := range map[string]string{"curl": `"value":"sk-stripe"`, "program.py": "9 none True\n", "--key-env": ""} {
				if strings.Contains(body, part) && !strings.Contains(r.Stdout, want) {
					t.Errorf("%s prints %q", body, r.Stdout)
				}
			}
		}
	}
	if commands != 11 {
		t.Errorf("%d commands were run", commands)
	}
	shows(t, host, "/-/secrets", "OLD")
}

// serve starts the command of a program that serves.
func serve(t *testing.T, dir string, env []string, command, serving string) *harness.Process {
	t.Helper()
	cmd := exec.Command("/bin/sh", "-ec", "exec "+command)
	cmd.Dir, cmd.Env = dir, env
	return harness.Serve(t, cmd, regexp.MustCompile(serving))
}

// freePort is a port that nobody listens on, and that no program gets that asks
// for any port.
func freePort(t *testing.T) string {
	t.Helper()
	for range 1000 {
		port := strconv.Itoa(10_000 + rand.IntN(20_000))
		if listener, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", port)); err == nil {
			listener.Close()
			return port
		}
	}
	t.Fatal("no port is free")
	return ""
}
