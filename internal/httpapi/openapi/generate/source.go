package generate

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"unicode"
	"unicode/utf8"
)

// A Route is a call as the server's table has it.
type Route struct {
	Method, Pattern string
	Access          string // operate, account, manage, send, public
	Group           string // the package that serves it
	Handler         string // its function there
}

func (r Route) key() string { return r.Method + " " + r.Pattern }

// HandlerOf returns the package and the name of a handler. A method is named without its
// receiver.
func HandlerOf(handle any) (group, name string) {
	full := runtime.FuncForPC(reflect.ValueOf(handle).Pointer()).Name() // …/httpapi/tags.(*Surface).list-fm
	full = full[strings.LastIndexByte(full, '/')+1:]
	group, rest, _ := strings.Cut(full, ".")
	rest = strings.TrimSuffix(rest, "-fm")
	if i := strings.LastIndex(rest, ")."); i >= 0 {
		rest = rest[i+2:]
	}
	name, _, _ = strings.Cut(rest, ".") // a closure is named after the function that makes it
	return group, name
}

// comments are the comments of all functions below a folder, by package and name.
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
			if f, ok := decl.(*ast.FuncDecl); ok {
				found[[2]string{file.Name.Name, f.Name.Name}] = strings.Join(strings.Fields(f.Doc.Text()), " ")
			}
		}
		return nil
	})
	return found, err
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
