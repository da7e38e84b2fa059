// Package contract checks HTTP handlers against files: what a client sends above, what
// it gets below. It is test support.
//
// A file is a txtar archive of pairs "request" and "answer"; several calls in it see
// each other's effects. A request is its method and path, its header fields, an empty
// line, and its body. "Key: name" takes the place of Authorization. Without a
// Content-Type the body is one name=value a line, and sent urlencoded; "Form: multipart"
// sends the same lines as multipart/form-data, where name@file=value is a file. In both,
// \n in a value is a line end.
//
// What differs from run to run is replaced in answers: see volatile.
package contract

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
)

// A Caller sends a request with the named key; the empty name is no key.
type Caller func(key string, r *http.Request) *httptest.ResponseRecorder

// Run checks every file of the folder against a handler of its own. With update it
// writes the answers instead.
func Run(t *testing.T, folder string, update bool, start func(t *testing.T) Caller) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(folder, "*.txt"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no contract files in %s: %v", folder, err)
	}
	for _, name := range files {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txt"), func(t *testing.T) {
			t.Parallel()
			check(t, name, update, start(t))
		})
	}
}

func check(t *testing.T, name string, update bool, call Caller) {
	t.Helper()
	archive, err := txtar.ParseFile(name)
	if err != nil {
		t.Fatal(err)
	}
	var got []txtar.File
	memory := map[string]string{}
	for _, f := range archive.Files {
		if f.Name != "request" {
			continue
		}
		got = append(got, f, txtar.File{Name: "answer", Data: []byte(exchange(t, call, string(f.Data), memory))})
	}
	want := txtar.Format(archive)
	have := txtar.Format(&txtar.Archive{Comment: archive.Comment, Files: got})
	if bytes.Equal(want, have) {
		return
	}
	if update {
		if err := os.WriteFile(name, have, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	t.Errorf("got:\n%s\nwant:\n%s", have, want)
}

// exchange sends a request as a contract file spells it and returns the answer in
// the same style.
func exchange(t *testing.T, call Caller, text string, memory map[string]string) string {
	t.Helper()
	for name, value := range memory {
		text = strings.ReplaceAll(text, "${"+name+"}", value)
	}
	head, body, _ := strings.Cut(text, "\n\n")
	lines := strings.Split(strings.TrimSpace(head), "\n")
	method, target, _ := strings.Cut(lines[0], " ")
	fields := map[string]string{}
	for _, line := range lines[1:] {
		name, value, _ := strings.Cut(line, ": ")
		fields[name] = value
	}
	r := httptest.NewRequest(method, target, nil)
	contentType, encoded := encodeBody(body, fields)
	if encoded != "" {
		r = httptest.NewRequest(method, target, strings.NewReader(encoded))
	}
	if contentType != "" {
		r.Header.Set("Content-Type", contentType)
	}
	for name, value := range fields {
		if name != "Key" && name != "Form" && name != "Content-Type" {
			r.Header.Set(name, value)
		}
	}
	w := call(fields["Key"], r)
	remember(w.Body.Bytes(), memory)
	return showAnswer(t, w)
}

// encodeBody turns the lines of a request's body into what is sent.
func encodeBody(body string, fields map[string]string) (contentType, encoded string) {
	if ct, ok := fields["Content-Type"]; ok {
		return ct, strings.TrimSuffix(body, "\n")
	}
	if body == "" {
		return "", ""
	}
	var parts []string
	for line := range strings.SplitSeq(strings.TrimSpace(body), "\n") {
		name, value, _ := strings.Cut(line, "=")
		value = strings.ReplaceAll(value, `\n`, "\r\n")
		if fields["Form"] != "multipart" {
			parts = append(parts, queryEscape(name)+"="+queryEscape(value))
			continue
		}
		name, file, isFile := strings.Cut(name, "@")
		disposition := fmt.Sprintf(`form-data; name="%s"`, name)
		if isFile {
			disposition += fmt.Sprintf(`; filename="%s"`, file)
		}
		parts = append(parts, "--BOUNDARY\r\nContent-Disposition: "+disposition+"\r\n\r\n"+value+"\r\n")
	}
	if fields["Form"] == "multipart" {
		return `multipart/form-data; boundary=BOUNDARY`, strings.Join(parts, "") + "--BOUNDARY--\r\n"
	}
	return "application/x-www-form-urlencoded", strings.Join(parts, "&")
}

// queryEscape leaves readable what may be read.
func queryEscape(s string) string {
	return strings.NewReplacer("%", "%25", "&", "%26", "+", "%2B", "=", "%3D", " ", "+", "\r", "%0D", "\n", "%0A", "\x00", "%00").Replace(s)
}

// remember keeps values of an answer that later requests of the file refer to:
// ${key} a stored message, ${next} a link's token, ${id} a key, ${route} a route, ${hook} a webhook, ${hex24} what has a long id.
func remember(body []byte, memory map[string]string) {
	for name, re := range map[string]*regexp.Regexp{
		"key":   regexp.MustCompile(`(?:/messages/|"message":")([0-9a-f]{16})"`),
		"next":  regexp.MustCompile(`"next":"[^"]*/events/([^"]+)"`),
		"id":    regexp.MustCompile(`"id":"([0-9a-f]{16})"`),
		"hex24": regexp.MustCompile(`"(?:id|pool_id)":"([0-9a-f]{24})"`),
		"route": regexp.MustCompile(`"id":"([0-9a-f]{24})"`),
		"hook":  regexp.MustCompile(`"webhook_id":"([0-9a-f]{24})"`),
	} {
		if m := re.FindSubmatch(body); m != nil {
			memory[name] = string(m[1])
		}
	}
}

// A replacement is an expression and what stands in the place of its matches.
type replacement struct {
	re   *regexp.Regexp
	with string
}

// volatile is what differs from run to run, with what stands in its place.
func volatile() []replacement {
	return []replacement{
		{regexp.MustCompile(`[+ ][0-9a-zA-Z+/]{8,44}\+A[A-Za-z0-9+/]{43}`), "+KEY"},
		{regexp.MustCompile(`[A-Za-z0-9+/]{91}=`), "SIGNATURE"},
		{regexp.MustCompile(`[A-Za-z0-9+/]{43}=`), "HASH"},
		{regexp.MustCompile(`"salt":"[^"]*"`), `"salt":"SALT"`},
		{regexp.MustCompile(`octets \d+`), "octets 700"},
		{regexp.MustCompile(`(day":"|evidence/)\d{4}-\d\d-\d\d`), "${1}2006-01-02"},
		{regexp.MustCompile(`[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT`), "Mon, 02 Jan 2006 15:04:05 GMT"},
		{regexp.MustCompile(`[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} 20(?:2[6-9]|[3-5]\d) \d\d:\d\d:\d\d (UTC|-0000)`), "Mon, 02 Jan 2006 15:04:05 ${1}"},
		{regexp.MustCompile(`\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b`), "UUID"},
		{regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z`), "2006-01-02T15:04:05Z"},
		{regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d"`), `2006-01-02T15:04:05"`},
		{regexp.MustCompile(`"timestamp": \d+\.\d{6}`), `"timestamp": 1740437043.641821`},
		{regexp.MustCompile(`/events/[A-Za-z0-9_-]{20,}`), "/events/TOKEN"},
		{regexp.MustCompile(`\b[0-9]{14}\.[0-9a-f]{8,32}(\.[0-9a-z]+)*@`), "MESSAGEID@"},
		{regexp.MustCompile(`\b[0-9a-f]{24}\b`), "HEX24"},
		{regexp.MustCompile(`key-[0-9a-f]{48}`), "key-SECRET"},
		{regexp.MustCompile(`\b[0-9a-f]{16}\b`), "HEX16"},
		{regexp.MustCompile(`p=[A-Za-z0-9+/]{40,}=*`), "p=PUBLIC"},
		{regexp.MustCompile(`(selector": ?"|identifier": ?")?([a-z0-9]+)-20\d{6}(x\d+)?\b`), "${1}${2}-20060102"},
		{regexp.MustCompile(`": "[a-z2-7]{26}"`), `": "PASSWORD"`},
		{regexp.MustCompile(`"seconds": \d+(\.\d+)?(e-\d+)?`), `"seconds": 0.25`},
		{regexp.MustCompile(`X-Ratelimit-Reset: \d{13}`), "X-Ratelimit-Reset: 1620637982656"},
		{regexp.MustCompile(`=_[A-Z2-7]{26}`), "=_BOUNDARY"},
		{regexp.MustCompile(`[A-Z][a-z]{2}, \d\d? [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d \+0000`), "Mon, 02 Jan 2006 15:04:05 +0000"},
	}
}

// shownHeaders are the header fields that answers promise.
func shownHeaders() []string {
	return []string{"Content-Type", "Www-Authenticate", "Content-Disposition", "Content-Security-Policy", "Retry-After", "X-Ratelimit-Limit", "X-Ratelimit-Remaining", "X-Ratelimit-Reset"}
}

func showAnswer(t *testing.T, w *httptest.ResponseRecorder) string {
	t.Helper()
	var b strings.Builder
	fmt.Fprintf(&b, "%d\n", w.Code)
	for _, name := range shownHeaders() {
		for _, v := range w.Header().Values(name) {
			fmt.Fprintf(&b, "%s: %s\n", name, v)
		}
	}
	b.WriteString("\n")
	var pretty bytes.Buffer
	if strings.HasPrefix(w.Header().Get("Content-Type"), "application/json") {
		if err := json.Indent(&pretty, w.Body.Bytes(), "", "  "); err != nil {
			t.Fatalf("answer is not JSON: %v: %s", err, w.Body)
		}
	} else {
		pretty.Write(w.Body.Bytes())
	}
	b.WriteString(strings.TrimRight(pretty.String(), "\n"))
	b.WriteString("\n")
	s := b.String()
	for _, v := range volatile() {
		s = v.re.ReplaceAllString(s, v.with)
	}
	return s
}

// Covers checks that the files of the folder call every route; a route is a method and
// a pattern of http.ServeMux.
func Covers(t *testing.T, folder string, routes []string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(folder, "*.txt"))
	if err != nil {
		t.Fatal(err)
	}
	var requests []string
	for _, name := range files {
		archive, err := txtar.ParseFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range archive.Files {
			if f.Name == "request" {
				line, _, _ := strings.Cut(string(f.Data), "\n")
				requests = append(requests, strings.TrimSuffix(line, "/"))
			}
		}
	}
	braces := regexp.MustCompile(`\\\{[a-z]+\\\}`)
	for _, route := range routes {
		re := regexp.MustCompile("^" + braces.ReplaceAllString(regexp.QuoteMeta(strings.TrimSuffix(route, "/{$}")), "[^/?]+") + `(\?.*)?$`)
		if !slices.ContainsFunc(requests, re.MatchString) {
			t.Errorf("no contract file calls %s", route)
		}
	}
}
