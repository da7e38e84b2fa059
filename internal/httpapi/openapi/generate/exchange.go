package generate

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/rogpeppe/go-internal/txtar"
)

// An exchange is a request and its answer from a contract file.
type exchange struct {
	method, path string
	query        url.Values
	form         url.Values // of a body that is a form
	files        []string   // names of file fields
	request      any        // of a body that is JSON
	status       int
	media        string
	answer       any    // of an answer that is JSON
	text         string // of any other
}

// readExchanges reads all contract files below a folder, in order.
func readExchanges(root string) ([]exchange, error) {
	var all []exchange
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Base(filepath.Dir(path)) != "contract" || filepath.Ext(path) != ".txt" {
			return err
		}
		archive, err := txtar.ParseFile(path)
		if err != nil {
			return err
		}
		for i := 0; i+1 < len(archive.Files); i += 2 {
			x, err := parseExchange(string(archive.Files[i].Data), string(archive.Files[i+1].Data))
			if err != nil {
				return fmt.Errorf("%s: exchange %d: %w", path, i/2+1, err)
			}
			all = append(all, x)
		}
		return nil
	})
	return all, err
}

func parseExchange(request, answer string) (x exchange, err error) {
	head, body, _ := strings.Cut(request, "\n\n")
	lines := strings.Split(strings.TrimSpace(head), "\n")
	var target string
	x.method, target, _ = strings.Cut(lines[0], " ")
	path, query, _ := strings.Cut(target, "?")
	x.path = path
	if x.query, err = url.ParseQuery(query); err != nil {
		x.query = nil // a contract about broken queries
	}
	fields := map[string]string{}
	for _, line := range lines[1:] {
		name, value, _ := strings.Cut(line, ": ")
		fields[name] = value
	}
	x.readBody(body, fields["Content-Type"])
	return x, x.readAnswer(answer)
}

func (x *exchange) readBody(body, contentType string) {
	body = strings.TrimSuffix(body, "\n")
	switch {
	case body == "":
	case strings.HasPrefix(contentType, "application/json"):
		x.request, _ = decode(body) // a contract about broken bodies has none
	case contentType != "":
	default:
		x.form = url.Values{}
		for line := range strings.SplitSeq(body, "\n") {
			name, value, _ := strings.Cut(line, "=")
			name, _, isFile := strings.Cut(name, "@")
			name = strings.TrimSuffix(name, "[]")
			if isFile {
				x.files = append(x.files, name)
				continue
			}
			x.form.Add(name, value)
		}
	}
}

func (x *exchange) readAnswer(text string) error {
	head, body, _ := strings.Cut(text, "\n\n")
	lines := strings.Split(head, "\n")
	var err error
	if x.status, err = strconv.Atoi(strings.TrimSpace(lines[0])); err != nil {
		return fmt.Errorf("no status: %w", err)
	}
	for _, line := range lines[1:] {
		if value, ok := strings.CutPrefix(line, "Content-Type: "); ok {
			x.media, _, _ = strings.Cut(value, ";")
		}
	}
	if x.media == "application/json" {
		if x.answer, err = decode(body); err != nil {
			return fmt.Errorf("answer: %w", err)
		}
		return nil
	}
	x.text = strings.TrimSpace(body)
	return nil
}

func decode(s string) (v any, err error) {
	dec := json.NewDecoder(bytes.NewReader([]byte(s)))
	dec.UseNumber()
	err = dec.Decode(&v)
	return v, err
}

// pattern returns an expression for the paths of a route.
func pattern(route string) *regexp.Regexp {
	braces := regexp.MustCompile(`\\\{[a-z_]+\\\}`)
	return regexp.MustCompile("^" + braces.ReplaceAllString(regexp.QuoteMeta(strings.TrimSuffix(route, "{$}")), "[^/?]+") + "$")
}

// specific orders routes so that one with fewer variables comes first.
func specific(a, b string) int {
	if n := strings.Count(a, "{") - strings.Count(b, "{"); n != 0 {
		return n
	}
	return strings.Compare(a, b)
}

// contractsOf sorts the exchanges by the route that answers them.
func contractsOf(routes []Route, all []exchange) map[string][]exchange {
	order := slices.Clone(routes)
	slices.SortFunc(order, func(a, b Route) int { return specific(a.Pattern, b.Pattern) })
	found := map[string][]exchange{}
	for _, x := range all {
		for _, r := range order {
			if r.Method == x.method && pattern(r.Pattern).MatchString(x.path) {
				found[r.key()] = append(found[r.key()], x)
				break
			}
		}
	}
	return found
}
