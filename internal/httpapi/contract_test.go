package httpapi

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
)

var update = flag.Bool("update", false, "rewrite the answers in testdata/contract")

// The contract, one case a file: what a client sends above, what it gets below.
// A file may hold several calls, which see each other's effects.
//
// A request is its method and path, its header fields, an empty line, and its
// body. "Key: name" takes the place of Authorization; the names are in
// rigKeys. Without a Content-Type the body is one name=value a line, and sent
// urlencoded; "Form: multipart" sends the same lines as multipart/form-data, where
// name@file=value is a file.
//
// What differs from run to run is replaced in answers: see volatile.
func TestContract(t *testing.T) {
	files, err := filepath.Glob("testdata/contract/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no contract files: %v", err)
	}
	for _, name := range files {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txt"), func(t *testing.T) {
			t.Parallel()
			archive, err := txtar.ParseFile(name)
			if err != nil {
				t.Fatal(err)
			}
			rg := newContractRig(t)
			var got []txtar.File
			memory := map[string]string{}
			for _, f := range archive.Files {
				if f.Name != "request" {
					continue
				}
				got = append(got, f, txtar.File{Name: "answer", Data: []byte(rg.exchange(t, string(f.Data), memory))})
			}
			want := txtar.Format(archive)
			have := txtar.Format(&txtar.Archive{Comment: archive.Comment, Files: got})
			if bytes.Equal(want, have) {
				return
			}
			if *update {
				if err := os.WriteFile(name, have, 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			t.Errorf("got:\n%s\nwant:\n%s", have, want)
		})
	}
}

func newContractRig(t *testing.T) *rig {
	return newRig(t, func(c *Config, d *Deps) {
		d.Resolver = fakeResolver{
			txt: map[string][]string{
				"s1._domainkey.example.com": {"v=DKIM1; k=rsa; p=KEY"},
				"example.com":               {"some-verification=1", "v=spf1 a:mx.example.net -all"},
				"example.org":               {"v=spf1 mx -all"},
			},
			fail: map[string]bool{"s1._domainkey.example.org": true},
		}
	})
}

// exchange sends a request as a contract file spells it and returns the answer in
// the same style.
func (rg *rig) exchange(t *testing.T, text string, memory map[string]string) string {
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
	w := rg.do(fields["Key"], r)
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
// ${key} a stored message, ${next} a link's token, ${id} a key, ${row} a queue row.
func remember(body []byte, memory map[string]string) {
	for name, re := range map[string]*regexp.Regexp{
		"key":  regexp.MustCompile(`(?:/messages/|"message":")([0-9a-f]{16})"`),
		"next": regexp.MustCompile(`"next":"[^"]*/events/([^"]+)"`),
		"id":   regexp.MustCompile(`"id":"([0-9a-f]{16})"`),
	} {
		if m := re.FindSubmatch(body); m != nil {
			memory[name] = string(m[1])
		}
	}
}

// volatile is what differs from run to run, with what stands in its place.
var volatile = []struct {
	re   *regexp.Regexp
	with string
}{
	{regexp.MustCompile(`[+ ][0-9a-zA-Z+/]{8,44}\+A[A-Za-z0-9+/]{43}`), "+KEY"},
	{regexp.MustCompile(`[A-Za-z0-9+/]{91}=`), "SIGNATURE"},
	{regexp.MustCompile(`[A-Za-z0-9+/]{43}=`), "HASH"},
	{regexp.MustCompile(`"salt":"[^"]*"`), `"salt":"SALT"`},
	{regexp.MustCompile(`octets \d+`), "octets 700"},
	{regexp.MustCompile(`(day":"|evidence/)\d{4}-\d\d-\d\d`), "${1}2006-01-02"},
	{regexp.MustCompile(`[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT`), "Mon, 02 Jan 2006 15:04:05 GMT"},
	{regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z`), "2006-01-02T15:04:05Z"},
	{regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d"`), `2006-01-02T15:04:05"`},
	{regexp.MustCompile(`"timestamp": \d+\.\d{6}`), `"timestamp": 1740437043.641821`},
	{regexp.MustCompile(`/events/[A-Za-z0-9_-]{20,}`), "/events/TOKEN"},
	{regexp.MustCompile(`\b[0-9]{14}\.[0-9a-f]{8,32}(\.[0-9a-z]+)*@`), "MESSAGEID@"},
	{regexp.MustCompile(`\b[0-9a-f]{24}\b`), "HEX24"},
	{regexp.MustCompile(`key-[0-9a-f]{48}`), "key-SECRET"},
	{regexp.MustCompile(`\b[0-9a-f]{16}\b`), "HEX16"},
	{regexp.MustCompile(`p=MII[A-Za-z0-9+/=]+`), "p=PUBLIC"},
	{regexp.MustCompile(`": "[a-z2-7]{26}"`), `": "PASSWORD"`},
	{regexp.MustCompile(`X-Ratelimit-Reset: \d{13}`), "X-Ratelimit-Reset: 1620637982656"},
	{regexp.MustCompile(`=_[A-Z2-7]{26}`), "=_BOUNDARY"},
	{regexp.MustCompile(`[A-Z][a-z]{2}, \d\d? [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d \+0000`), "Mon, 02 Jan 2006 15:04:05 +0000"},
}

// shownHeaders are the header fields that answers promise.
var shownHeaders = []string{"Content-Type", "Www-Authenticate", "Content-Disposition", "Content-Security-Policy", "Retry-After", "X-Ratelimit-Limit", "X-Ratelimit-Remaining", "X-Ratelimit-Reset"}

func showAnswer(t *testing.T, w *httptest.ResponseRecorder) string {
	t.Helper()
	var b strings.Builder
	fmt.Fprintf(&b, "%d\n", w.Code)
	for _, name := range shownHeaders {
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
	for _, v := range volatile {
		s = v.re.ReplaceAllString(s, v.with)
	}
	return s
}

// Every route of the table is in the contract.
func TestContractCoversEveryRoute(t *testing.T) {
	files, err := filepath.Glob("testdata/contract/*.txt")
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
	for _, rt := range routes() {
		re := regexp.MustCompile("^" + rt.method + " " + regexp.MustCompile(`\\\{[a-z]+\\\}`).ReplaceAllString(regexp.QuoteMeta(strings.TrimSuffix(rt.pattern, "/{$}")), "[^/?]+") + `(\?.*)?$`)
		if !slices.ContainsFunc(requests, re.MatchString) {
			t.Errorf("no contract file calls %s %s", rt.method, rt.pattern)
		}
	}
}
