package archtest

import (
	"fmt"
	"go/ast"
	"go/token"
	"path"
	"regexp"
	"strings"
	"testing"
)

// maxLines is where a file surely holds a second subject.
const maxLines = 600

// rule judges one package: all files of one folder.
type rule struct {
	name  string
	check func(files []source) []string
}

func rules() []rule {
	return []rule{
		{"testing stays in tests", eachFile(checkTesting)},
		{"no init functions", eachFile(checkInit)},
		{"math/rand is v2", eachFile(checkRand)},
		{"files are at most 600 lines", eachFile(checkLength)},
		{"tests sleep in virtual time only", checkSleep},
		{"package variables do not change", checkVariables},
	}
}

func TestRules(t *testing.T) {
	packages := make(map[string][]source)
	for _, s := range sources(t) {
		folder := path.Dir(s.path)
		packages[folder] = append(packages[folder], s)
	}
	for _, r := range rules() {
		t.Run(r.name, func(t *testing.T) {
			for _, files := range packages {
				for _, complaint := range r.check(files) {
					t.Error(complaint)
				}
			}
		})
	}
}

func eachFile(check func(source) []string) func([]source) []string {
	return func(files []source) []string {
		var complaints []string
		for _, s := range files {
			complaints = append(complaints, check(s)...)
		}
		return complaints
	}
}

func checkTesting(s source) []string {
	for _, p := range s.imports() {
		if (p == "testing" || strings.HasPrefix(p, "testing/")) && !s.test && !mayImportTesting(s.pkg) {
			return []string{fmt.Sprintf("%s: imports %s outside a test", s.path, p)}
		}
	}
	return nil
}

func checkInit(s source) []string {
	for _, d := range s.syntax.Decls {
		if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil && f.Name.Name == "init" {
			return []string{s.at(f) + ": has an init function; construct values where they are used"}
		}
	}
	return nil
}

func checkRand(s source) []string {
	for _, p := range s.imports() {
		if p == "math/rand" {
			return []string{s.path + ": imports math/rand; use math/rand/v2"}
		}
	}
	return nil
}

func checkLength(s source) []string {
	if s.lines > maxLines {
		return []string{fmt.Sprintf("%s: has %d lines, more than %d; look for the second subject", s.path, s.lines, maxLines)}
	}
	return nil
}

// checkSleep refuses time.Sleep in the tests of a package that knows no testing/synctest. It cannot
// see whether a sleep really stands inside a bubble.
func checkSleep(files []source) []string {
	var complaints []string
	for _, s := range files {
		for _, p := range s.imports() {
			if p == "testing/synctest" {
				return nil
			}
		}
		if !s.test {
			continue
		}
		ast.Inspect(s.syntax, func(n ast.Node) bool {
			if sel, ok := n.(*ast.SelectorExpr); ok && sel.Sel.Name == "Sleep" {
				if x, ok := sel.X.(*ast.Ident); ok && x.Name == "time" {
					complaints = append(complaints, s.at(n)+": sleeps in real time; use testing/synctest")
				}
			}
			return true
		})
	}
	return complaints
}

// checkVariables refuses package-level variables that change: those declared without a value, and
// those that a function of the package assigns to. Tables, errors, patterns and pools are
// values that nobody assigns to. It cannot see a change through a method or a pointer.
func checkVariables(files []source) []string {
	var complaints []string
	variables := make(map[string]bool)
	for _, s := range files {
		if s.test {
			continue
		}
		for _, d := range s.syntax.Decls {
			g, ok := d.(*ast.GenDecl)
			if !ok || g.Tok != token.VAR {
				continue
			}
			for _, spec := range g.Specs {
				v := spec.(*ast.ValueSpec)
				if len(v.Values) == 0 && !embedded(g, v) {
					complaints = append(complaints, s.at(v)+": a package variable without a value can only be there to change; put it in a struct")
				}
				for _, name := range v.Names {
					variables[name.Name] = name.Name != "_"
				}
			}
		}
	}
	for _, s := range files {
		if s.test {
			continue
		}
		for _, d := range s.syntax.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Body != nil {
				complaints = append(complaints, assignments(s, f, variables)...)
			}
		}
	}
	return complaints
}

// embedded reports whether a variable gets its value from //go:embed.
func embedded(g *ast.GenDecl, v *ast.ValueSpec) bool {
	for _, doc := range []*ast.CommentGroup{g.Doc, v.Doc} {
		if doc == nil {
			continue
		}
		for _, c := range doc.List {
			if strings.HasPrefix(c.Text, "//go:embed ") {
				return true
			}
		}
	}
	return false
}

// assignments complains about statements of f that assign to package variables. A name that f declares itself,
// anywhere, is taken for the local one.
func assignments(s source, f *ast.FuncDecl, variables map[string]bool) []string {
	local := declared(f)
	var complaints []string
	complain := func(n ast.Node, target ast.Expr) {
		if name := base(target); variables[name] && !local[name] {
			complaints = append(complaints, fmt.Sprintf("%s: %s changes the package variable %s", s.at(n), f.Name.Name, name))
		}
	}
	ast.Inspect(f.Body, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.AssignStmt:
			if n.Tok != token.DEFINE {
				for _, target := range n.Lhs {
					complain(n, target)
				}
			}
		case *ast.IncDecStmt:
			complain(n, n.X)
		case *ast.RangeStmt:
			if n.Tok == token.ASSIGN {
				complain(n, n.Key)
				complain(n, n.Value)
			}
		case *ast.CallExpr:
			if id, ok := n.Fun.(*ast.Ident); ok && (id.Name == "delete" || id.Name == "clear") && len(n.Args) > 0 {
				complain(n, n.Args[0])
			}
		}
		return true
	})
	return complaints
}

// base returns the name at the root of x, x.f, x[i], *x; empty when there is none.
func base(e ast.Expr) string {
	for {
		switch x := e.(type) {
		case *ast.Ident:
			return x.Name
		case *ast.SelectorExpr:
			e = x.X
		case *ast.IndexExpr:
			e = x.X
		case *ast.StarExpr:
			e = x.X
		case *ast.ParenExpr:
			e = x.X
		default:
			return ""
		}
	}
}

// declared returns the names that a function declares: parameters, results, variables.
func declared(f *ast.FuncDecl) map[string]bool {
	names := make(map[string]bool)
	add := func(e ast.Expr) {
		if id, ok := e.(*ast.Ident); ok {
			names[id.Name] = true
		}
	}
	ast.Inspect(f, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.Field:
			for _, name := range n.Names {
				add(name)
			}
		case *ast.AssignStmt:
			if n.Tok == token.DEFINE {
				for _, target := range n.Lhs {
					add(target)
				}
			}
		case *ast.RangeStmt:
			if n.Tok == token.DEFINE {
				add(n.Key)
				add(n.Value)
			}
		case *ast.ValueSpec:
			for _, name := range n.Names {
				add(name)
			}
		}
		return true
	})
	return names
}

// foreignPath is the path of a file on somebody's machine: such a name has no
// meaning to anybody else.
var foreignPath = regexp.MustCompile("(^|[\\s\"'`(=])/(?:home|root|Users|work|workspace|tmp)/[a-zA-Z]")

// bareTODO is a promise without an address.
var bareTODO = regexp.MustCompile(`\b(?:TODO|FIXME|XXX)\b(?:[^(#]|$)`)

func TestNoFileNamesAMachineOrAnOpenPromise(t *testing.T) {
	walk(t, func(name, text string) {
		if strings.Contains(name, "testdata/") || name == "go.sum" || name == "internal/archtest/rules_test.go" || strings.ContainsRune(text, 0) {
			return
		}
		for number, complaint := range checkText(text) {
			t.Errorf("%s:%d: %s", name, number, complaint)
		}
	})
}

// checkText returns complaints by line number.
func checkText(text string) map[int]string {
	complaints := make(map[int]string)
	number := 0
	for line := range strings.Lines(text) {
		number++
		if found := foreignPath.FindString(line); found != "" {
			complaints[number] = fmt.Sprintf("names a path of one machine: %q", found)
		}
		if bareTODO.MatchString(line) {
			complaints[number] = "an open promise needs an issue: TODO(#123)"
		}
	}
	return complaints
}

func TestRulesRefuse(t *testing.T) {
	tests := []struct {
		rule, name, file, text string
		want                   string
	}{
		{"testing stays in tests", "in a room", "internal/mail/x.go", `import "testing"`, "imports testing outside a test"},
		{"testing stays in tests", "in test support", "internal/realmta/x.go", `import "testing"`, ""},
		{"no init functions", "init", "internal/mail/x.go", "func init() {}", "x.go:2: has an init function"},
		{"no init functions", "method of that name", "internal/mail/x.go", "type T int\nfunc (T) init() {}", ""},
		{"math/rand is v2", "old", "internal/mail/x.go", `import "math/rand"`, "use math/rand/v2"},
		{"math/rand is v2", "new", "internal/mail/x.go", `import "math/rand/v2"`, ""},
		{"files are at most 600 lines", "long", "internal/mail/x.go", strings.Repeat("\n", 600), "has 602 lines"},
		{"tests sleep in virtual time only", "real time", "internal/mail/x_test.go", "import \"time\"\nfunc f() { time.Sleep(1) }", "x_test.go:3: sleeps in real time"},
		{"tests sleep in virtual time only", "virtual time", "internal/mail/x_test.go", "import (\n\"time\"\n\"testing/synctest\"\n)\nvar _ = synctest.Test\nfunc f() { time.Sleep(1) }", ""},
		{"package variables do not change", "no value", "internal/mail/x.go", "var cache map[string]int", "without a value"},
		{"package variables do not change", "embedded", "internal/mail/x.go", "//go:embed x.sql\nvar files embed.FS", ""},
		{"package variables do not change", "assigned", "internal/mail/x.go", "var n = 1\nfunc f() { n = 2 }", "f changes the package variable n"},
		{"package variables do not change", "element assigned", "internal/mail/x.go", "var m = map[int]int{}\nfunc f() { m[1] = 2 }", "f changes the package variable m"},
		{"package variables do not change", "counted", "internal/mail/x.go", "var s = struct{ n int }{}\nfunc f() { s.n++ }", "changes the package variable s"},
		{"package variables do not change", "deleted from", "internal/mail/x.go", "var m = map[int]int{}\nfunc f() { delete(m, 1) }", "changes the package variable m"},
		{"package variables do not change", "local of that name", "internal/mail/x.go", "var n = 1\nfunc f() int { n := 2; n = 3; return n }", ""},
		{"package variables do not change", "table", "internal/mail/x.go", "var names = [...]string{\"a\"}\nfunc f() string { return names[0] }", ""},
	}
	byName := make(map[string]rule)
	for _, r := range rules() {
		byName[r.name] = r
	}
	for _, tt := range tests {
		t.Run(tt.rule+"/"+tt.name, func(t *testing.T) {
			s, err := parse(tt.file, "package x\n"+tt.text+"\n")
			if err != nil {
				t.Fatal(err)
			}
			got := strings.Join(byName[tt.rule].check([]source{s}), "\n")
			if tt.want == "" && got != "" || !strings.Contains(got, tt.want) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestCheckTextRefuses(t *testing.T) {
	tests := []struct {
		text string
		want int // complaints
	}{
		{"see /home/amy/x", 1},
		{`dir := "/tmp/data"`, 1},
		{"// TODO: later", 1},
		{"// TODO", 1},
		{"// TODO(#12): later", 0},
		{"https://example.com/home/amy and /var/lib/sealpost", 0},
		{"mktemp below ${TMPDIR:-/tmp}", 0},
	}
	for _, tt := range tests {
		if got := len(checkText(tt.text)); got != tt.want {
			t.Errorf("%q: got %d complaints, want %d", tt.text, got, tt.want)
		}
	}
}
