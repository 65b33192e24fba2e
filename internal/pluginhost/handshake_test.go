package pluginhost_test

import (
	"encoding/base64"
	"encoding/pem"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/datasette-secrets/datasette-secrets/internal/pluginhost"
	"github.com/datasette-secrets/datasette-secrets/internal/pluginwire"
	"github.com/datasette-secrets/datasette-secrets/internal/sandbox"
)

// certificate is one in the form of a handshake.
func certificate(t testing.TB) string {
	t.Helper()
	identity, err := pluginwire.NewIdentity()
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode([]byte(identity.Bootstrap().Cert))
	return base64.RawStdEncoding.EncodeToString(block.Bytes)
}

func TestParseHandshake(t *testing.T) {
	t.Parallel()
	cert := certificate(t)
	tests := []struct {
		line   string
		text   string // what go-plugin is given
		own    bool   // the plugin brings a certificate
		reason string
	}{
		{"1|1|unix|/a/b|grpc|\n", "1|1|unix|/a/b|grpc|", false, ""},
		{"1|1|unix|/a/b|grpc\r\n", "1|1|unix|/a/b|grpc", false, ""},
		{"1|1|unix|/a/b|grpc||true\n", "1|1|unix|/a/b|grpc||true", false, ""},
		{"1|1|unix|/a/b|grpc|" + cert + "\n", "1|1|unix|/a/b|grpc|", true, ""},
		{"1|1|unix|/a/b|grpc|" + cert + "|true\n", "1|1|unix|/a/b|grpc||true", true, ""},
		{"1|1|unix|/a/b|grpc|" + cert + "=\n", "", false, "is not Base64 without padding"},
		{"1|1|unix|/a/b|grpc|!" + cert + "\n", "", false, "is not Base64 without padding"},
		{"1|1|unix|/a/b|grpc|" + cert[:len(cert)/8*4] + "\n", "", false, "cannot be read"},
		{"1|1|unix|/a/b|grpc|AAAA\n", "", false, "cannot be read"},
		{"1|1|unix|/a/b\n", "", false, "is no handshake"},
		{"2|1|unix|/a/b|grpc|\n", "", false, "version of the go-plugin protocol"},
		{"1|2|unix|/a/b|grpc|\n", "", false, "version of the plugin protocol"},
		{"1|1|tcp|127.0.0.1:1|grpc|\n", "", false, "listens on a network"},
		{"1|1|unix|/a/b|netrpc|\n", "", false, "does not speak gRPC"},
		{"", "", false, "is no handshake"},
	}
	for _, test := range tests {
		text, own, err := pluginhost.ParseHandshake(test.line)
		if test.reason != "" {
			if err == nil || !strings.Contains(err.Error(), test.reason) || strings.Contains(err.Error(), "/a/b") {
				t.Errorf("%.60q: %v, want %q", test.line, err, test.reason)
			}
			continue
		}
		if err != nil || text != test.text || (own != nil) != test.own {
			t.Errorf("%.60q: %q, %v, %v", test.line, text, own != nil, err)
		}
	}
}

func FuzzParseHandshake(f *testing.F) {
	f.Add("1|1|unix|/a/b|grpc|")
	f.Add("1|1|unix|/a/b|grpc|" + certificate(f) + "|true\n")
	f.Fuzz(func(t *testing.T, line string) {
		text, _, err := pluginhost.ParseHandshake(line)
		if err != nil {
			return
		}
		if !strings.HasPrefix(strings.TrimSpace(line), "1|1|unix|") {
			t.Errorf("%q is accepted", line)
		}
		// What go-plugin reads says the same, but for the certificate.
		again, none, err := pluginhost.ParseHandshake(text)
		if err != nil || again != text || none != nil {
			t.Errorf("%q became %q, then %q, %v", line, text, again, err)
		}
	})
}

// A plugin of somebody who knows go-plugin only works as it does anywhere, in
// the sandbox and out of it, and stays what it is over a restart.
func TestBarePlugin(t *testing.T) {
	t.Parallel()
	program := filepath.Join(t.TempDir(), "bare")
	build := exec.Command("go", "build", "-o", program, "../../tests/testdata/plugins/bare")
	if output, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building the plugin: %v\n%s", err, output)
	}
	for _, mode := range []sandbox.Mode{sandbox.Enforce, sandbox.Off} {
		t.Run(string(mode), func(t *testing.T) {
			t.Parallel()
			dir := pluginsDir(t)
			copyFile(t, program, pluginFile(dir, "bare"))
			must(t, os.Chmod(pluginFile(dir, "bare"), 0o755))
			w := startWith(t, pluginhost.Config{Dir: dir, Timings: quick(), Sandbox: mode})
			reads := func() int { return strings.Count(w.log.text(), `bare: 22 bytes from \"database\", <nil>`) }
			for range 2 {
				before := reads()
				eventually(t, func() error {
					if reads() == before {
						return errorf("it reads no secret")
					}
					return nil
				})
				must(t, w.Restart("bare"))
				w.isReady("bare")
			}
			if status := w.status("bare"); status.LastError != "" {
				t.Errorf("it is %+v", status)
			}
		})
	}
}

// Once a plugin has brought its own certificate, the one that it was given
// leads nowhere.
func TestTwoFacedPlugin(t *testing.T) {
	t.Parallel()
	w := start(t, quick(), "twofaced")
	if line := w.says("with what it was given: "); !strings.Contains(line, "given: Unavailable") {
		t.Errorf("the line is %s", line)
	}
	if line := w.says("with its own: "); !strings.Contains(line, "its own: got it from database") {
		t.Errorf("the line is %s", line)
	}
}
