package generate

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"reflect"
	"regexp"
	"runtime"
	"strings"
	"unicode"
	"unicode/utf8"
)

// A Route is a call as the server's table has it.
type Route struct {
	Method, Pattern string
	Access          string // operate, administer, account, manage, look, send, public
	Group           string // the package that serves it
	Handler         string // its function there
}

func (r Route) key() string { return r.Method + " " + r.Pattern }

// versionless is the key without the version of the API in its path: POST /v*/domains.
func (r Route) versionless() string {
	return r.Method + " " + regexp.MustCompile(`^/v\d+/`).ReplaceAllString(r.Pattern, "/v*/")
}

// HandlerOf returns the package and the name of a handler. A method is named without its
// receiver, and a closure after the function that makes it.
func HandlerOf(handle any) (group, name string) {
	full := runtime.FuncForPC(reflect.ValueOf(handle).Pointer()).Name() // …/httpapi/tags.(*Surface).list-fm
	full = full[strings.LastIndexByte(full, '/')+1:]
	group, rest, _ := strings.Cut(full, ".")
	made := regexp.MustCompile(`^(func)?\d+$`) // .func1.2: what the compiler calls a closure
	for part := range strings.SplitSeq(strings.TrimSuffix(rest, "-fm"), ".") {
		if !made.MatchString(part) {
			name = part
		}
	}
	return group, name
}

// comments are the comments of all handlers below a folder, and of the functions that make
// some, by package and name.
func comments(root string) (map[[2]string]string, error) {
	found := map[[2]string]string{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go") {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		for _, decl := range file.Decls {
			if f, ok := decl.(*ast.FuncDecl); ok && handles(f.Type) {
				found[[2]string{file.Name.Name, f.Name.Name}] = strings.Join(strings.Fields(f.Doc.Text()), " ")
			}
		}
		return nil
	})
	return found, err
}

// handles reports whether a function is a handler or returns one: a package may have others of
// the same name.
func handles(f *ast.FuncType) bool {
	if f.Results == nil || len(f.Results.List) != 1 {
		return false
	}
	if made, ok := f.Results.List[0].Type.(*ast.FuncType); ok {
		return handles(made)
	}
	if len(f.Params.List) != 2 {
		return false
	}
	w, isWriter := f.Params.List[0].Type.(*ast.SelectorExpr)
	star, isPointer := f.Params.List[1].Type.(*ast.StarExpr)
	if !isWriter || !isPointer {
		return false
	}
	r, isRequest := star.X.(*ast.SelectorExpr)
	return isRequest && w.Sel.Name == "ResponseWriter" && r.Sel.Name == "Request"
}

// sentences turns the comment of a function into a summary and a description for people
// who do not know its name.
func sentences(name, comment string) (summary, description string) {
	text := strings.TrimSpace(strings.TrimPrefix(comment, name))
	first, size := utf8.DecodeRuneInString(text)
	if size > 0 {
		text = string(unicode.ToUpper(first)) + text[size:]
	}
	if i := strings.Index(text, ". "); i > 0 {
		return text[:i], text
	}
	return strings.TrimSuffix(text, "."), text
}
