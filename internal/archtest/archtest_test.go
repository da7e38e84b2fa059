package archtest

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const (
	module = "github.com/sealpost/sealpost/"
	root   = "../.."
)

// source is one Go file of the module.
type source struct {
	path   string // from the root, with slashes
	pkg    string // below internal/, as the table has it
	test   bool
	lines  int
	text   string
	syntax *ast.File
	fset   *token.FileSet
}

// at writes the place of a node for a message.
func (s source) at(n ast.Node) string {
	return fmt.Sprintf("%s:%d", s.path, s.fset.Position(n.Pos()).Line)
}

func (s source) imports() []string {
	var paths []string
	for _, i := range s.syntax.Imports {
		p, err := strconv.Unquote(i.Path.Value)
		if err == nil {
			paths = append(paths, p)
		}
	}
	return paths
}

// parse makes a source of a file's text.
func parse(name, text string) (source, error) {
	fset := token.NewFileSet()
	syntax, err := parser.ParseFile(fset, name, text, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return source{}, err
	}
	folder := path.Dir(name)
	pkg, internal := strings.CutPrefix(folder, "internal/")
	if !internal {
		pkg = "../" + folder
	}
	return source{
		path: name, pkg: pkg, test: strings.HasSuffix(name, "_test.go"),
		lines: strings.Count(text, "\n"), text: text, syntax: syntax, fset: fset,
	}, nil
}

// walk calls each with every file of the module that is kept in version control, as
// far as its folders tell.
func walk(t *testing.T, each func(name, text string)) {
	t.Helper()
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		base := d.Name()
		if d.IsDir() {
			hidden := strings.HasPrefix(base, ".") && base != ".." && base != "." && base != ".ci"
			if hidden || slices.Contains([]string{"bin", "data", "lab-data"}, base) && filepath.Dir(name) == root {
				return filepath.SkipDir
			}
			return nil
		}
		if base == ".git" || base == "sealpost.toml" { // a worktree's link; the settings of a developer
			return nil
		}
		rel, err := filepath.Rel(root, name)
		if err != nil {
			return err
		}
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		each(filepath.ToSlash(rel), string(text))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// sources returns all Go files of the module.
func sources(t *testing.T) []source {
	t.Helper()
	var all []source
	walk(t, func(name, text string) {
		if !strings.HasSuffix(name, ".go") || strings.Contains(name, "testdata/") {
			return
		}
		s, err := parse(name, text)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, s)
	})
	if len(all) < 10 {
		t.Fatalf("found %d Go files, which cannot be all", len(all))
	}
	return all
}

func TestImportsFollowTheTable(t *testing.T) {
	rooms := table()
	for _, s := range sources(t) {
		for _, complaint := range checkImports(rooms, s) {
			t.Error(complaint)
		}
	}
}

func TestTableNamesOnlyItsOwnRows(t *testing.T) {
	rooms := table()
	for name, r := range rooms {
		for _, other := range strings.Fields(r.imports + " " + r.tests + " " + testSupport) {
			if _, known := rooms[other]; !known {
				t.Errorf("%s may import %s, which has no row", name, other)
			}
		}
	}
}

// A cycle in the table would mean that two rooms may each import the other.
func TestTableHasNoCycle(t *testing.T) {
	rooms := table()
	done := make(map[string]bool)
	var visit func(name string, way []string)
	visit = func(name string, way []string) {
		if slices.Contains(way, name) {
			t.Errorf("cycle: %s", strings.Join(append(way, name), " → "))
			return
		}
		if done[name] {
			return
		}
		for _, other := range strings.Fields(rooms[name].imports) {
			visit(other, append(slices.Clone(way), name))
		}
		done[name] = true
	}
	for name := range rooms {
		visit(name, nil)
	}
}

func TestStoresAreKnownToAppAndTestsOnly(t *testing.T) {
	for name, r := range table() {
		for _, other := range strings.Fields(r.imports) {
			if other == "store/sqlite" && name != "app" && name != "httpapi/apitest" {
				t.Errorf("the table lets %s import %s; only app knows implementations", name, other)
			}
		}
	}
}

func checkImports(rooms map[string]room, s source) []string {
	r, known := rooms[s.pkg]
	if !known {
		return []string{fmt.Sprintf("%s: package %s has no row in the table", s.path, s.pkg)}
	}
	allowed := strings.Fields(r.imports)
	if s.test {
		allowed = append(allowed, strings.Fields(r.tests+" "+testSupport+" "+s.pkg)...)
	}
	var complaints []string
	for _, p := range s.imports() {
		inner, ours := strings.CutPrefix(p, module)
		if !ours {
			continue
		}
		other, internal := strings.CutPrefix(inner, "internal/")
		if !internal || !slices.Contains(allowed, other) {
			complaints = append(complaints, fmt.Sprintf("%s: %s must not import %s", s.path, s.pkg, inner))
		}
	}
	return complaints
}

func TestCheckImportsRefuses(t *testing.T) {
	tests := []struct{ name, file, imported, want string }{
		{"a room next door", "internal/queue/x.go", "internal/delivery", "queue must not import internal/delivery"},
		{"an implementation", "internal/accept/x.go", "internal/store/sqlite", "accept must not import internal/store/sqlite"},
		{"a package without a row", "internal/util/x.go", "internal/mail", "package util has no row"},
		{"test support in a program", "internal/delivery/x.go", "internal/smtptest", "delivery must not import internal/smtptest"},
		{"more than commands in main", "cmd/sealpost/main.go", "internal/app", "../cmd/sealpost must not import internal/app"},
		{"another command", "internal/app/x.go", "cmd/sealpost", "app must not import cmd/sealpost"},
		{"the same in a test: support", "internal/delivery/x_test.go", "internal/smtptest", ""},
		{"the same in a test: implementation", "internal/queue/x_test.go", "internal/store/sqlite", ""},
		{"the package under test", "internal/queue/x_test.go", "internal/queue", ""},
		{"the room next door, even in a test", "internal/queue/x_test.go", "internal/delivery", "queue must not import internal/delivery"},
		{"a room beneath", "internal/queue/x.go", "internal/store", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, err := parse(tt.file, fmt.Sprintf("package x\nimport _ %q\n", module+tt.imported))
			if err != nil {
				t.Fatal(err)
			}
			got := strings.Join(checkImports(table(), s), "\n")
			if tt.want == "" && got != "" || !strings.Contains(got, tt.want) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}
