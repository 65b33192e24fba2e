package tests

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// direct is every module that the code imports itself, and why. A new one is
// argued for in the commit that adds it.
func direct() map[string]string {
	return map[string]string{
		"filippo.io/age":                            "the passphrase seal is an ordinary file of age, which the program age opens in an emergency",
		"github.com/agnivade/levenshtein":           "\"did you mean\" for names of secrets and of configuration keys",
		"github.com/chromedp/cdproto":               "tests: a real browser",
		"github.com/chromedp/chromedp":              "tests: a real browser",
		"github.com/fernet/fernet-go":               "the tokens that Python's cryptography reads",
		"github.com/gorilla/mux":                    "routes on the path as it was sent, unescaped",
		"github.com/hashicorp/go-hclog":             "go-plugin asks for its logger",
		"github.com/hashicorp/go-plugin":            "plugins as subprocesses over gRPC",
		"github.com/mattn/go-sqlite3":               "SQLite",
		"github.com/microcosm-cc/bluemonday":        "the few tags allowed in descriptions",
		"github.com/miekg/pkcs11":                   "HSMs, smart cards and TPMs, through their makers' modules",
		"github.com/prometheus/client_golang":       "metrics: the format, histograms, and the figures of the process and of Go",
		"github.com/rogpeppe/go-internal":           "tests: scripts for the command line",
		"github.com/spf13/cobra":                    "commands, flags and shell completion",
		"go.yaml.in/yaml/v3":                        "the syntax of YAML; its meaning is ours",
		"golang.org/x/mod":                          "the Merkle tree, proofs and signed heads of the log",
		"golang.org/x/net":                          "an HTML tokenizer for descriptions, and for tests",
		"golang.org/x/sys":                          "peer credentials of unix sockets, and the kernel's calls for sandboxes",
		"golang.org/x/time":                         "limits on rates: of plugins' calls and lines, of clients, of tries to unseal",
		"google.golang.org/genproto/googleapis/rpc": "error details that name their reason",
		"google.golang.org/grpc":                    "the transport of plugins",
		"google.golang.org/protobuf":                "the messages of plugins",
	}
}

func TestDirectDependencies(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	line := regexp.MustCompile(`(?m)^(?:require )?\t?([\w./-]+\.[\w./-]+) v[^ \n]+( // indirect)?$`)
	used := map[string]bool{}
	for _, m := range line.FindAllStringSubmatch(string(data), -1) {
		if m[2] != "" {
			continue
		}
		used[m[1]] = true
		if direct()[m[1]] == "" {
			t.Errorf("go.mod requires %s, which is not on the list", m[1])
		}
	}
	for name := range direct() {
		if !used[name] {
			t.Errorf("%s is on the list, but go.mod does not require it directly", name)
		}
	}
}

// A plugin author's program is small: it links no database and no web page.
func TestPluginAPILinksLittle(t *testing.T) {
	t.Parallel()
	forbidden := []string{"github.com/mattn/go-sqlite3", "database/sql", "github.com/gorilla/mux", "github.com/spf13/cobra", "github.com/microcosm-cc/bluemonday", module + "/internal/vault"}
	for _, p := range list(t, "./pluginapi", "./plugins/demo", "./examples/...") {
		for _, dep := range p.Deps {
			if slices.Contains(forbidden, dep) {
				t.Errorf("%s links %s", p.name(), dep)
			}
		}
	}
}

// What tests need is not part of the program.
func TestProgramLinksNoTests(t *testing.T) {
	t.Parallel()
	for _, p := range list(t, "./cmd/...") {
		for _, dep := range p.Deps {
			if strings.Contains(dep, "chromedp") || strings.Contains(dep, "httptest") || strings.HasSuffix(dep, "/plugintest") {
				t.Errorf("%s links %s", p.name(), dep)
			}
		}
	}
}
