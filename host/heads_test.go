package host_test

import (
	"context"
	"database/sql"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	_ "github.com/mattn/go-sqlite3"

	"github.com/datasette-secrets/datasette-secrets/host"
)

// A host that ends signs what its log is, and keeps that also where the
// configuration says: in a file that only grows, and at an address.
func TestHeadsAreKeptElsewhere(t *testing.T) {
	t.Parallel()
	var sent []string
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil || r.Method != http.MethodPost {
			t.Errorf("%s, %v", r.Method, err)
		}
		sent = append(sent, string(body))
	}))
	defer server.Close()
	dir := t.TempDir()
	file, kept := filepath.Join(dir, "internal.db"), filepath.Join(dir, "heads.txt")
	settings := append(configured(), [2]string{"plugins.datasette-secrets.audit.heads", `["` + kept + `", "` + server.URL + `", "` + dir + `/none/heads"]`})
	for range 2 {
		h := open(t, host.Config{Internal: file, Settings: settings})
		if err := h.Close(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(kept)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(kept)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	d, err := sql.Open("sqlite3", file)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	var heads []string
	rows, err := d.Query("select signed from datasette_secrets_log_heads order by id")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var signed string
		if err := rows.Scan(&signed); err != nil {
			t.Fatal(err)
		}
		heads = append(heads, signed)
	}
	if len(heads) == 0 || string(text) != strings.Join(heads, "\n")+"\n" || strings.Join(sent, "") != strings.Join(heads, "") {
		t.Errorf("in the database %q\nin the file %q\nsent %q", heads, text, sent)
	}
}
