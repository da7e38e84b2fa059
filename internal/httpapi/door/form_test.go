package door

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"os"
	"runtime"
	"strings"
	"testing"

	"github.com/sealpost/sealpost/internal/httpapi/contract"

	"github.com/sealpost/sealpost/internal/compose"
)

// A repeat is a reader of n octets that are nowhere in memory.
type repeat struct{ n int64 }

func (r *repeat) Read(p []byte) (int, error) {
	if r.n == 0 {
		return 0, io.EOF
	}
	n := copy(p[:min(int64(len(p)), r.n)], xs)
	r.n -= int64(n)
	return n, nil
}

var xs = bytes.Repeat([]byte{'x'}, 64<<10)

// part is multipart text with room for a body of n octets.
func part(name, filename string, n int64) io.Reader {
	head := "--B\r\nContent-Disposition: form-data; name=\"" + name + "\""
	if filename != "" {
		head += "; filename=\"" + filename + "\""
	}
	return io.MultiReader(strings.NewReader(head+"\r\n\r\n"), &repeat{n}, strings.NewReader("\r\n"))
}

func multipartRequest(t testing.TB, parts ...io.Reader) *http.Request {
	r := contract.Request(t, "POST", "/", "")
	r.Body = io.NopCloser(io.MultiReader(append(parts, strings.NewReader("--B--\r\n"))...))
	r.ContentLength = -1
	r.Header.Set("Content-Type", "multipart/form-data; boundary=B")
	return r
}

func status(err error) int {
	var p *Problem
	if errors.As(err, &p) {
		return p.Status
	}
	return 0
}

func entries(t *testing.T, dir string) int {
	t.Helper()
	es, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	return len(es)
}

// SEC-20: an upload as large as allowed takes no memory to speak of, is read back
// whole, and leaves no file, not even while it lasts.
func TestLargeUploadsDoNotStayInMemory(t *testing.T) {
	d := newDoor(t)
	const size = maxContent - 1000
	r := multipartRequest(t, part("to", "", 5), part("attachment", "a.bin", size/2), part("inline", "b.bin", size/2))
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	f, err := readForm(d, r, SendForm())
	if err != nil {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&after)
	if allocated := after.TotalAlloc - before.TotalAlloc; allocated > 4<<20 {
		t.Errorf("reading %d octets of files allocated %d octets", int64(size), allocated)
	}
	if n := entries(t, d.cfg.SpoolDir); n != 0 {
		t.Errorf("%d files have a name while the request lasts", n)
	}
	for _, name := range []string{"attachment", "inline"} {
		files := f.Files(name)
		if len(files) != 1 || files[0].Size != size/2 {
			t.Fatalf("%s: %+v", name, files)
		}
		for range 2 { // opened once per copy of a message
			content, err := files[0].Open()
			if err != nil {
				t.Fatal(err)
			}
			n, err := io.Copy(io.Discard, content)
			if err != nil || n != size/2 {
				t.Errorf("%s: read %d octets, %v", name, n, err)
			}
		}
	}
	f.Close()
	if left := d.memory.left.Load(); left != d.cfg.FormMemory {
		t.Errorf("%d octets of memory were not given back", d.cfg.FormMemory-left)
	}
}

// Files before and after the spool moves to disk are read back as they came.
func TestSpoolKeepsSectionsApart(t *testing.T) {
	d := newDoor(t)
	sizes := []int64{0, 1, spoolMemory - 2, 5, spoolMemory * 2, 3}
	var parts []io.Reader
	for i, n := range sizes {
		parts = append(parts, part("attachment", fmt.Sprintf("dir/..\\%d.txt", i), n))
	}
	f, err := readForm(d, multipartRequest(t, parts...), SendForm())
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	files := f.Files("attachment")
	for i, n := range sizes {
		content, err := files[i].Open()
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(content)
		if err != nil || int64(len(b)) != n || files[i].Name != fmt.Sprintf("%d.txt", i) {
			t.Errorf("file %d: %q has %d octets, %v; want %d", i, files[i].Name, len(b), err, n)
		}
	}
}

// Rules as those for messages, but small, so that limits are reached quickly.
var (
	testSend = FormRules{Body: 4 << 20, Content: 1 << 20, Field: 256 << 10, Spooled: SendForm().Spooled}
	testMIME = FormRules{Body: 4 << 20, Content: 1 << 20, Field: 256 << 10, Spooled: MIMEForm().Spooled, Multipart: true}
)

// Section 2's limits on forms, each with the last that is allowed.
func TestFormLimits(t *testing.T) {
	many := func(n int, filename string) []io.Reader {
		parts := make([]io.Reader, n)
		for i := range parts {
			parts[i] = part("to", filename, 1)
		}
		return parts
	}
	for _, c := range []struct {
		name  string
		parts []io.Reader
		rules FormRules
		want  int // 0: accepted
	}{
		{"1,100 fields", many(maxFields, ""), testSend, 0},
		{"1,101 fields", many(maxFields+1, ""), testSend, 400},
		{"100 files", many(maxFiles, "f"), testSend, 0},
		{"101 files", many(maxFiles+1, "f"), testSend, 400},
		{"the longest field", []io.Reader{part("text", "", testSend.Field)}, testSend, 0},
		{"a field of more", []io.Reader{part("text", "", testSend.Field+1)}, testSend, 400},
		{"files as large as a message", []io.Reader{part("attachment", "f", testSend.Content)}, testSend, 0},
		{"files larger than a message", []io.Reader{part("attachment", "f", testSend.Content+1)}, testSend, 413},
		{"fields and files together", []io.Reader{part("text", "", testSend.Field), part("attachment", "f", testSend.Content-testSend.Field+1)}, testSend, 413},
		{"a body without end", []io.Reader{part("attachment", "f", 1<<40)}, testSend, 413},
		{"a message as a field", []io.Reader{part("message", "", testSend.Content)}, testMIME, 0},
		{"a message as a field that is too large", []io.Reader{part("message", "", testSend.Content+1)}, testMIME, 413},
		{"a part without a name", []io.Reader{part("", "", 100)}, testSend, 0},
		{"a part without a name and end", []io.Reader{part("", "", 1<<40)}, testSend, 413},
		{"a long name", []io.Reader{part(strings.Repeat("n", maxFieldName+1), "", 1)}, testSend, 400},
		{"a header of 7 KiB", []io.Reader{strings.NewReader("--B\r\nX: " + strings.Repeat("x", 7<<10) + "\r\n\r\n\r\n")}, testSend, 0},
		{"a header of 32 KiB", []io.Reader{strings.NewReader("--B\r\nX: " + strings.Repeat("x", 32<<10) + "\r\n\r\n\r\n")}, testSend, 400},
		{"a header without end", []io.Reader{strings.NewReader("--B\r\n"), &repeat{1 << 40}}, testSend, 400},
		{"a prologue without end", []io.Reader{&repeat{1 << 40}}, testSend, 400},
		{"a call without a message", []io.Reader{part("name", "", maxSmallBody+1)}, SmallForm(), 413},
		{"a name that is not UTF-8", []io.Reader{strings.NewReader("--B\r\nContent-Disposition: form-data; name=\"\xff\"\r\n\r\nx\r\n")}, testSend, 400},
		{"a value that is not UTF-8", []io.Reader{strings.NewReader("--B\r\nContent-Disposition: form-data; name=\"text\"\r\n\r\n\xff\r\n")}, testSend, 400},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := newDoor(t)
			f, err := readForm(d, multipartRequest(t, c.parts...), c.rules)
			if err == nil {
				f.Close()
			}
			if (err == nil) != (c.want == 0) || status(err) != c.want {
				t.Errorf("got %v, want status %d", err, c.want)
			}
			if left := d.memory.left.Load(); left != d.cfg.FormMemory {
				t.Errorf("%d octets of memory were not given back", d.cfg.FormMemory-left)
			}
			if n := entries(t, d.cfg.SpoolDir); n != 0 {
				t.Errorf("%d files left", n)
			}
		})
	}
}

func TestURLEncodedLimits(t *testing.T) {
	for _, c := range []struct {
		name string
		body io.Reader
		want int
	}{
		{"the longest text", io.MultiReader(strings.NewReader("text="), &repeat{testSend.Field}), 0},
		{"a text of more", io.MultiReader(strings.NewReader("text="), &repeat{testSend.Field + 1}), 400},
		{"a body without end", &repeat{1 << 40}, 413},
		{"1,101 fields", strings.NewReader(strings.Repeat("a=b&", maxFields+1)), 400},
		{"empty pairs", strings.NewReader(strings.Repeat("&", 100_000)), 0},
		{"octets that are not UTF-8", strings.NewReader("text=%ff"), 400},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := newDoor(t)
			r := contract.Request(t, "POST", "/", "")
			r.Body, r.ContentLength = io.NopCloser(c.body), -1
			r.Header.Set("Content-Type", urlMedia)
			f, err := readForm(d, r, testSend)
			if err == nil {
				f.Close()
			}
			if (err == nil) != (c.want == 0) || status(err) != c.want {
				t.Errorf("got %v, want status %d", err, c.want)
			}
		})
	}
}

// A declared length beyond the limit is answered before anything is read.
func TestDeclaredLengthBeyondTheLimit(t *testing.T) {
	d := newDoor(t)
	r := contract.Request(t, "POST", "/read", "")
	r.Body, r.ContentLength = io.NopCloser(&repeat{1 << 40}), maxBody+1
	r.Header.Set("Content-Type", "multipart/form-data; boundary=B")
	w := serve(d.Handler(), r)
	if w.Code != 413 || !strings.Contains(w.Body.String(), "request size exceeds 52.4MiB limit") {
		t.Errorf("status %d %s", w.Code, w.Body)
	}
}

// Q5: gzip is read, its limit is that of what comes out.
func TestGzipBodies(t *testing.T) {
	d := newDoor(t)
	pack := func(r io.Reader) *bytes.Buffer {
		var b bytes.Buffer
		z, err := gzip.NewWriterLevel(&b, gzip.BestSpeed)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(z, r); err != nil {
			t.Fatal(err)
		}
		if err := z.Close(); err != nil {
			t.Fatal(err)
		}
		return &b
	}
	send := func(body io.Reader, contentType string) int {
		r := contract.Request(t, "POST", "/read", "")
		r.Body, r.ContentLength = io.NopCloser(body), -1
		r.Header.Set("Content-Type", contentType)
		r.Header.Set("Content-Encoding", "gzip")
		f, err := readForm(d, r, FormRules{Body: 1 << 20, Content: 2 << 20, Field: 1 << 20, Spooled: SendForm().Spooled})
		if err == nil {
			f.Close()
		}
		return status(err)
	}
	good := "from=bob@example.com&to=ann@example.net&text=Hello"
	if got := send(pack(strings.NewReader(good)), urlMedia); got != 0 {
		t.Errorf("a compressed form: status %d", got)
	}
	bomb := io.MultiReader(part("attachment", "f", 3<<19), strings.NewReader("--B--\r\n"))
	if got := send(pack(bomb), "multipart/form-data; boundary=B"); got != 413 {
		t.Errorf("a bomb: status %d", got)
	}
	packed := pack(strings.NewReader(strings.Repeat(good, 100)))
	packed.Truncate(packed.Len() - 10)
	if got := send(packed, urlMedia); got != 400 {
		t.Errorf("a stream that breaks off: status %d", got)
	}
}

// All requests together hold no more than the budget: the one too many is told
// to come again, and the others are not harmed.
func TestFormMemoryIsShared(t *testing.T) {
	d := newDoor(t, func(c *Config) { c.FormMemory = 3 << 20 })
	first, err := readForm(d, multipartRequest(t, part("text", "", 1<<20)), SendForm())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := readForm(d, multipartRequest(t, part("text", "", 1<<20)), SendForm()); status(err) != 503 {
		t.Errorf("the second form: %v", err)
	}
	first.Close()
	second, err := readForm(d, multipartRequest(t, part("text", "", 1<<20)), SendForm())
	if err != nil {
		t.Fatalf("after the first is gone: %v", err)
	}
	second.Close()
}

// Without room for uploads the client is not blamed.
func TestSpoolTroubleIsOurs(t *testing.T) {
	d := newDoor(t, func(c *Config) { c.SpoolDir = "/nonexistent/folder" })
	_, err := readForm(d, multipartRequest(t, part("attachment", "f", spoolMemory+1)), SendForm())
	if !errors.Is(err, errSpool) || status(err) != 0 {
		t.Errorf("got %v", err)
	}
}

func TestFieldNames(t *testing.T) {
	d := newDoor(t)
	f, err := readForm(d, contract.FormRequest(t, "/x?to=q@example.net&v:q=1", false, [][2]string{
		{"to[]", "a@example.net"}, {"o:tag", "x"}, {"to", "b@example.net"}, {"O:DKIM", "no"}, {"h:X-A", "1"}, {"subject", "s"}, {"template", "t"}, {"", "nothing"}, {"recipient-variables", "{}"},
	}), SendForm())
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if got := strings.Join(f.Values("to"), " "); got != "a@example.net b@example.net q@example.net" {
		t.Errorf("to is %s", got)
	}
	want := []compose.Field{{Name: "o:tag", Value: "x"}, {Name: "O:DKIM", Value: "no"}, {Name: "h:X-A", Value: "1"}, {Name: "template", Value: "t"}, {Name: "recipient-variables", Value: "{}"}, {Name: "v:q", Value: "1"}}
	if got := f.Options(); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("options are %v, want %v", got, want)
	}
}

// A body that breaks off, wherever, is refused and never taken for a shorter one: the lost
// field could be the one that asks for TLS.
func TestBodyThatBreaksOffIsRefused(t *testing.T) {
	d := newDoor(t)
	body := "--B\r\nContent-Disposition: form-data; name=\"to\"\r\n\r\na@b\r\n--B\r\nContent-Disposition: form-data; name=\"o:require-tls\"\r\n\r\nyes\r\n--B--\r\n"
	whole := len(body) - len("\r\n")
	for n := 1; n < whole; n++ {
		r := multipartRequest(t)
		r.Body = io.NopCloser(strings.NewReader(body[:n]))
		f, err := readForm(d, r, testSend)
		if err == nil {
			f.Close()
			t.Errorf("accepted with %v: %q", f.Fields, body[:n])
		}
	}
	r := multipartRequest(t)
	r.Body = io.NopCloser(strings.NewReader(body[:whole])) // only the last line end is missing: some clients leave it off
	f, err := readForm(d, r, testSend)
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
	if len(f.Fields) != 2 {
		t.Errorf("fields are %v", f.Fields)
	}
}

// Whatever bytes come as Multipart: no panic, no memory kept, no file left.
func FuzzMultipart(f *testing.F) {
	f.Add([]byte("--B\r\nContent-Disposition: form-data; name=\"to\"\r\n\r\na@b\r\n--B--\r\n"))
	f.Add([]byte("--B\r\nContent-Disposition: form-data; name=\"attachment\"; filename=\"../a\"\r\n\r\nxyz\r\n--B--\r\n"))
	f.Add([]byte("--B\nContent-Disposition: form-data; name=message\n\nx\n--B--"))
	f.Add([]byte("--B\r\n\r\n--B\r\n\r\n"))
	f.Add([]byte(""))
	d := newDoor(f)
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, rules := range []FormRules{SendForm(), MIMEForm(), SmallForm()} {
			r := multipartRequest(t)
			r.Body = io.NopCloser(bytes.NewReader(body))
			form, err := readForm(d, r, rules)
			if err == nil {
				form.Close()
			} else if s := status(err); s < 400 || s > 499 {
				t.Errorf("%q: %v", body, err)
			}
			if left := d.memory.left.Load(); left != d.cfg.FormMemory {
				t.Fatalf("%q: memory kept", body)
			}
		}
	})
}

// What the standard library writes, ours reads.
func FuzzMultipartRoundTrip(f *testing.F) {
	f.Add("to", "a@example.net", "a.txt", "content")
	f.Add("o:tag", "ü", "..\\x", "")
	d := newDoor(f)
	f.Fuzz(func(t *testing.T, name, value, filename, content string) {
		var b bytes.Buffer
		mw := multipart.NewWriter(&b)
		if mw.WriteField("v:"+name, value) != nil {
			return
		}
		w, err := mw.CreateFormFile("attachment", filename)
		if err != nil {
			return
		}
		if _, err := io.WriteString(w, content); err != nil || mw.Close() != nil {
			return
		}
		r := contract.Request(t, "POST", "/", b.String())
		r.Header.Set("Content-Type", mw.FormDataContentType())
		form, err := readForm(d, r, SendForm())
		if err != nil {
			return
		}
		defer form.Close()
		if len(form.Fields) != 1 || form.Fields[0].Value != value {
			t.Errorf("field is %q, want %q", form.Fields, value)
		}
		files := form.Files("attachment")
		if len(files) == 1 && files[0].Size != int64(len(content)) {
			t.Errorf("file has %d octets, want %d", files[0].Size, len(content))
		}
	})
}
