package tests

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// source is one Go file of the program: no test, nothing generated.
type source struct {
	path string // from the root of the repository
	file *ast.File
	set  *token.FileSet
}

func sources(t *testing.T) []source {
	t.Helper()
	var all []source
	err := filepath.WalkDir("..", func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := strings.TrimPrefix(filepath.ToSlash(path), "../")
		if entry.IsDir() && (strings.HasPrefix(entry.Name(), ".") && path != ".." || name == "build" || name == "tests") {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") || strings.HasSuffix(name, ".pb.go") {
			return nil
		}
		set := token.NewFileSet()
		file, err := parser.ParseFile(set, path, nil, parser.ParseComments)
		all = append(all, source{name, file, set})
		return err
	})
	if err != nil || len(all) == 0 {
		t.Fatalf("reading the code: %v", err)
	}
	return all
}

// SQL stands in internal/db and nowhere else.
func TestSQLOnlyInDB(t *testing.T) {
	t.Parallel()
	sql := regexp.MustCompile(`(?i)^\s*(select\s.+\sfrom|insert\s+into|update\s.+\sset|delete\s+from|create\s+(table|index|unique)|pragma|alter\s+table|begin\s+immediate)\b`)
	for _, s := range sources(t) {
		if strings.HasPrefix(s.path, "internal/db/") {
			continue
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING && sql.MatchString(strings.Trim(lit.Value, "\"`")) {
				t.Errorf("%s: SQL outside internal/db", s.set.Position(lit.Pos()))
			}
			return true
		})
	}
}

// No init, no environment but in cmd, no variables of a package that change:
// what a package does depends on its arguments.
func TestNoHiddenState(t *testing.T) {
	t.Parallel()
	for _, s := range sources(t) {
		for _, decl := range s.file.Decls {
			switch decl := decl.(type) {
			case *ast.FuncDecl:
				if decl.Name.Name == "init" && decl.Recv == nil {
					t.Errorf("%s: init", s.set.Position(decl.Pos()))
				}
			case *ast.GenDecl:
				checkVariables(t, s, decl)
			}
		}
		if strings.HasPrefix(s.path, "cmd/") || s.path == "pluginapi/serve.go" {
			continue // a plugin's whole program is Serve
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			if sel, ok := n.(*ast.SelectorExpr); ok && isEnvironment(sel) {
				t.Errorf("%s: only cmd and pluginapi.Serve read the environment", s.set.Position(sel.Pos()))
			}
			return true
		})
	}
}

// checkVariables allows package variables that nobody changes: compiled
// patterns, errors, embedded files and statements that a type has a method.
func checkVariables(t *testing.T, s source, decl *ast.GenDecl) {
	if decl.Tok != token.VAR {
		return
	}
	for _, spec := range decl.Specs {
		value := spec.(*ast.ValueSpec)
		if value.Names[0].Name == "_" || decl.Doc != nil && strings.Contains(commentText(decl.Doc), "//go:embed") {
			continue
		}
		for _, v := range value.Values {
			if !isConstantCall(v) {
				t.Errorf("%s: a package variable; make it a constant, a function or a field", s.set.Position(value.Pos()))
			}
		}
		if len(value.Values) == 0 {
			t.Errorf("%s: a package variable without a value", s.set.Position(value.Pos()))
		}
	}
}

func commentText(doc *ast.CommentGroup) string {
	var b strings.Builder
	for _, c := range doc.List {
		b.WriteString(c.Text + "\n")
	}
	return b.String()
}

func isConstantCall(v ast.Expr) bool {
	switch v := v.(type) {
	case *ast.CallExpr:
		name := exprName(v.Fun)
		return name == "errors.New" || name == "fmt.Errorf" || name == "regexp.MustCompile" || name == "strings.NewReplacer"
	case *ast.SelectorExpr: // another package's error, given again
		return strings.HasPrefix(v.Sel.Name, "Err")
	}
	return false
}

func isEnvironment(sel *ast.SelectorExpr) bool {
	switch exprName(sel) {
	case "os.Getenv", "os.LookupEnv", "os.Environ", "os.Args":
		return true
	}
	return false
}

func exprName(e ast.Expr) string {
	sel, ok := e.(*ast.SelectorExpr)
	if !ok {
		return ""
	}
	if x, ok := sel.X.(*ast.Ident); ok {
		return x.Name + "." + sel.Sel.Name
	}
	return ""
}

// Every package explains its idea, and every exported name says what it does.
func TestEverythingExportedIsDocumented(t *testing.T) {
	t.Parallel()
	documented := map[string]bool{}
	for _, s := range sources(t) {
		folder := filepath.Dir(s.path)
		documented[folder] = documented[folder] || s.file.Doc != nil
		for _, decl := range s.file.Decls {
			if fn, ok := decl.(*ast.FuncDecl); ok && fn.Name.IsExported() && fn.Doc == nil && exportedReceiver(fn) {
				t.Errorf("%s: %s has no comment", s.set.Position(fn.Pos()), fn.Name.Name)
			}
			if gen, ok := decl.(*ast.GenDecl); ok && gen.Tok == token.TYPE {
				for _, spec := range gen.Specs {
					typ := spec.(*ast.TypeSpec)
					if typ.Name.IsExported() && gen.Doc == nil && typ.Doc == nil {
						t.Errorf("%s: %s has no comment", s.set.Position(typ.Pos()), typ.Name.Name)
					}
				}
			}
		}
	}
	for folder, ok := range documented {
		if !ok {
			t.Errorf("package %s has no comment", folder)
		}
	}
}

// exportedReceiver reports whether a function belongs to no type, or to one
// that others can see.
func exportedReceiver(fn *ast.FuncDecl) bool {
	if fn.Recv == nil {
		return true
	}
	typ := fn.Recv.List[0].Type
	if star, ok := typ.(*ast.StarExpr); ok {
		typ = star.X
	}
	ident, ok := typ.(*ast.Ident)
	return ok && ident.IsExported()
}
