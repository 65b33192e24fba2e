// Package api tests what applications read over HTTP with the real program:
// from outside, and from its own document.
package api

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/datasette-secrets/datasette-secrets/tests/harness"
)

func TestMain(m *testing.M) {
	code := m.Run()
	harness.Clean()
	os.Exit(code)
}

// started is a host, its database, and a client of it that may write.
type started struct {
	*harness.Process
	file  string
	token string
}

func start(t *testing.T, args ...string) started {
	t.Helper()
	file := filepath.Join(t.TempDir(), "internal.db")
	s := started{Process: harness.Start(t, harness.Options{Args: append(args, "--internal", file)}), file: file}
	s.token = s.command(t, "add", "shop", "--write", "--secret", "API_KEY", "--secret", "A")
	return s
}

// command runs a command about clients, and returns its last word.
func (s started) command(t *testing.T, args ...string) string {
	t.Helper()
	r := harness.RunCommand(t, "", harness.Env(), harness.Binary(t), append(append([]string{"client"}, args...), "--internal", s.file)...)
	if r.Code != 0 {
		t.Fatalf("client %s: %s", strings.Join(args, " "), r.Stderr)
	}
	return strings.TrimSpace(r.Stdout)
}

// ask sends a request and returns the status and the body.
func ask(t *testing.T, client *http.Client, method, address, token, body string, headers ...string) (int, string) {
	t.Helper()
	r, err := http.NewRequest(method, address, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	r.Header.Set("Content-Type", "application/json")
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	response, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(text)
}

// An application writes and reads over TCP and over a socket of its own, on
// which there is nothing else; what a command revokes is refused soon.
func TestApplication(t *testing.T) {
	t.Parallel()
	folder, err := os.MkdirTemp("/tmp", "api") // short enough for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(folder) })
	socket := filepath.Join(folder, "api.sock")
	s := start(t, "--api-uds", socket)
	overSocket := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socket)
	}}}
	t.Cleanup(overSocket.CloseIdleConnections)
	const path = "/-/api/v1/secrets/API_KEY"
	if status, text := ask(t, overSocket, "POST", "http://host"+path, s.token, `{"value":"sk-1"}`, "If-None-Match", "*"); status != 201 {
		t.Fatalf("got %d %s", status, text)
	}
	for base, client := range map[string]*http.Client{s.URL: http.DefaultClient, "http://host": overSocket} {
		if status, text := ask(t, client, "GET", base+path, s.token, ""); status != 200 || !strings.Contains(text, `"value":"sk-1"`) {
			t.Errorf("%s: got %d %s", base, status, text)
		}
	}
	if status, text := ask(t, overSocket, "GET", "http://host/-/secrets", s.token, ""); status != 404 || !strings.Contains(text, `"code":"not_found"`) {
		t.Errorf("a page on the socket: got %d %s", status, text)
	}
	// The command finds the host; and once it is gone, the file.
	s.command(t, "revoke", "shop")
	if status, text := ask(t, http.DefaultClient, "GET", s.URL+path, s.token, ""); status != 401 {
		t.Errorf("revoked: got %d %s", status, text)
	}
}

// What another process revokes, past this host, is refused within a second.
func TestRevokedByAnotherProcess(t *testing.T) {
	t.Parallel()
	s := start(t)
	other := harness.Start(t, harness.Options{Args: []string{"--internal", s.file}})
	if status, text := ask(t, http.DefaultClient, "GET", other.URL+"/-/api/v1/client", s.token, ""); status != 200 && status != 401 {
		t.Fatalf("got %d %s", status, text)
	}
	s.command(t, "revoke", "shop") // performed by the first host
	patience := time.Now().Add(time.Minute)
	for {
		status, text := ask(t, http.DefaultClient, "GET", other.URL+"/-/api/v1/client", s.token, "")
		if status == 401 {
			break
		}
		if time.Now().After(patience) {
			t.Fatalf("still let in: %d %s", status, text)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// The API is what its document says, whatever is sent to it.
func TestSchemathesis(t *testing.T) {
	t.Parallel()
	s := start(t)
	document := filepath.Join(harness.Root(), "internal", "api", "openapi.json")
	config := filepath.Join(harness.Root(), "tests", "api", "schemathesis.toml")
	examples := "3"
	if harness.Soak() {
		examples = "500"
	}
	cmd := exec.CommandContext(t.Context(), harness.Python(t), "-c", "from schemathesis.cli import schemathesis; schemathesis()",
		"--config-file", config, "run", document, "--url", s.URL+"/-/api/v1", "-H", "Authorization: Bearer "+s.token,
		"--exclude-path", "/events", // which does not end
		"--phases", "coverage,fuzzing", "-n", examples, "--continue-on-failure", "--no-color", "--warnings", "off")
	cmd.Env = harness.Env("PYTHONPATH=" + filepath.Join(harness.Root(), ".venv", "apifuzz"))
	cmd.Dir = t.TempDir() // it leaves a folder of examples
	out, err := cmd.CombinedOutput()
	if failed := new(exec.ExitError); err != nil && !errors.As(err, &failed) {
		t.Fatal(err)
	}
	if err != nil || !strings.Contains(string(out), "Tested: 11") {
		t.Errorf("%v\n%.20000s", err, out)
	}
	if text := s.Stderr.String(); strings.Contains(text, "panic") || strings.Contains(text, "dssc_") {
		t.Errorf("the host's log:\n%.5000s", text)
	}
}
