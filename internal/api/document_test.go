package api_test

import (
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/datasette-secrets/datasette-secrets/internal/api"
)

// The document and the tables say the same: every route, every code, and every
// status that an answer of a code has.
func TestDocumentIsTheTables(t *testing.T) {
	t.Parallel()
	var document struct {
		Paths      map[string]map[string]json.RawMessage
		Components struct {
			Schemas struct {
				Code struct {
					Enum        []string
					Description string
				}
			}
			Responses map[string]struct{ Description string }
		}
	}
	ok(t, json.Unmarshal(api.Document(), &document))
	var routes []string
	for path, methods := range document.Paths {
		for method := range methods {
			if method != "parameters" {
				routes = append(routes, strings.ToUpper(method)+" "+path)
			}
		}
	}
	if got, want := sorted(routes), sorted(api.Routes()); !slices.Equal(got, want) {
		t.Errorf("the document has\n%q\nand the table of routes\n%q", got, want)
	}
	codes := api.Statuses()
	if got, want := sorted(document.Components.Schemas.Code.Enum), sorted(slices.Collect(maps.Keys(codes))); !slices.Equal(got, want) {
		t.Errorf("the document has\n%q\nand the table of codes\n%q", got, want)
	}
	for code, status := range codes {
		response := document.Components.Responses["Error"+itoa(status)]
		if !slices.Contains(strings.Split(response.Description, ", "), code) {
			t.Errorf("the answers with status %d do not name %s: %q", status, code, response.Description)
		}
		if !strings.Contains(document.Components.Schemas.Code.Description, "- "+code+" ("+itoa(status)+"): ") {
			t.Errorf("the document does not say what %s (%d) means", code, status)
		}
	}
}

// Every class of errors.go has a row.
func TestEveryClassHasACode(t *testing.T) {
	t.Parallel()
	for _, class := range sentinels() {
		if code := api.CodeOf(fmt.Errorf("doing x: %w", class)); code == "internal" {
			t.Errorf("%v has no row", class)
		}
	}
	file, err := parser.ParseFile(token.NewFileSet(), "../../errors.go", nil, 0)
	ok(t, err)
	found := 0
	ast.Inspect(file, func(n ast.Node) bool {
		if spec, is := n.(*ast.ValueSpec); is {
			found += len(spec.Names)
		}
		return true
	})
	if found != len(sentinels()) {
		t.Errorf("errors.go has %d classes, this test knows %d", found, len(sentinels()))
	}
}

func sorted(texts []string) []string { return slices.Sorted(slices.Values(texts)) }
