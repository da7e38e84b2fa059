package apiclient

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// serving returns a client of a handler on the loopback.
func serving(t *testing.T, key string, h http.HandlerFunc) *Client {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	c, err := New(server.URL, key)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func TestRefusalsBecomeErrorsInTheServersWords(t *testing.T) {
	tests := []struct {
		name                      string
		status                    int
		contentType, header, body string
		want                      Error
	}{
		{"JSON with a message", 404, "application/json", "", `{"message":"Domain not found"}`, Error{404, "Domain not found", 0}},
		{"JSON with an error", 404, "application/json", "", `{"error":"not found"}`, Error{404, "not found", 0}},
		{"plain words", 401, "text/plain; charset=utf-8", "", "Forbidden", Error{401, "Forbidden", 0}},
		{"a page of a proxy is not repeated", 502, "text/html", "", "<html>Bad Gateway</html>", Error{502, "", 0}},
		{"when to come back", 429, "application/json", "120", `{"message":"slow down"}`, Error{429, "slow down", 2 * time.Minute}},
		{"a fault of the server names the request", 500, "application/json", "", `{"message":"Internal Server Error","id":"ab12"}`,
			Error{500, "Internal Server Error (request ab12 in the server's log)", 0}},
		{"nothing", 503, "", "", "", Error{503, "", 0}},
		{"too many words", 400, "text/plain", "", strings.Repeat("x", 1<<20), Error{400, strings.Repeat("x", maxRefusalText) + "…", 0}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := serving(t, "k", func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", tt.contentType)
				if tt.header != "" {
					w.Header().Set("Retry-After", tt.header)
				}
				w.WriteHeader(tt.status)
				_, _ = io.WriteString(w, tt.body)
			})
			_, err := c.Domains(t.Context())
			got, ok := errors.AsType[*Error](err)
			if !ok || *got != tt.want {
				t.Errorf("got %+v (%v), want %+v", got, err, tt.want)
			}
			if err == nil || err.Error() == "" {
				t.Error("the error says nothing")
			}
		})
	}
}

func TestKeyIsSentAndNeverToAnotherHost(t *testing.T) {
	var leaked bool
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { leaked = true }))
	defer other.Close()
	c := serving(t, "the-key", func(w http.ResponseWriter, r *http.Request) {
		user, pass, _ := r.BasicAuth()
		if user != "api" || pass != "the-key" {
			t.Errorf("got login %s:%s, want api:the-key", user, pass)
		}
		http.Redirect(w, r, other.URL, http.StatusTemporaryRedirect)
	})
	_, err := c.Keys(t.Context())
	if no, ok := errors.AsType[*Error](err); !ok || no.Status != 307 || !strings.Contains(no.Message, other.URL) {
		t.Errorf("got %v, want an error that names where the server points", err)
	}
	if leaked {
		t.Error("the redirect was followed")
	}
}

func TestUnreachable(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := "http://" + l.Addr().String()
	_ = l.Close()
	nobody, err := New(address, "k")
	if err != nil {
		t.Fatal(err)
	}
	_, err = nobody.Keys(t.Context())
	if away, ok := errors.AsType[*Unreachable](err); !ok || away.Target != address || !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("nobody listens: got %v", err)
	}
	for name, body := range map[string]string{"not JSON": "<html>", "other JSON": `{"items":"none"}`, "cut off": `{"items":[`} {
		c := serving(t, "", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, body) })
		if _, err := c.Keys(t.Context()); !isUnreachable(err) {
			t.Errorf("%s: got %v, want no Sealpost server there", name, err)
		}
	}
}

func isUnreachable(err error) bool {
	_, ok := errors.AsType[*Unreachable](err)
	return ok
}

func TestAnAnswerThatNeverComesEndsInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := InProcess(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
		start := time.Now()
		_, err := c.Keys(t.Context())
		if !isUnreachable(err) || !strings.Contains(err.Error(), "longer than 30s") {
			t.Errorf("got %v, want an answer that took too long", err)
		}
		if took := time.Since(start); took != usualTime {
			t.Errorf("took %s, want %s", took, usualTime)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := c.Keys(ctx); !errors.Is(err, context.DeadlineExceeded) || isUnreachable(err) {
			t.Errorf("got %v, want the caller's own end", err)
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		if _, err := c.Keys(t.Context()); !isUnreachable(err) {
			t.Errorf("after Close: got %v", err)
		}
	})
}

func TestNewRefusesWhatIsNoServerAndDoesNotRepeatIt(t *testing.T) {
	for _, u := range []string{"", "example.com", "ftp://example.com", "http://", "https://api:canary@example.com", "https://example.com?key=canary", "http://exa mple/canary"} {
		_, err := New(u, "k")
		if err == nil {
			t.Errorf("%q was accepted", u)
		} else if strings.Contains(err.Error(), "canary") {
			t.Errorf("%q is repeated: %v", u, err)
		}
	}
}

func TestPathsStayWhereTheyBelong(t *testing.T) {
	var got string
	c := serving(t, "", func(w http.ResponseWriter, r *http.Request) {
		got = r.URL.EscapedPath()
		_, _ = io.WriteString(w, "{}")
	})
	if _, err := c.DeleteCredential(t.Context(), "a.example", "x/../y?z@a.example"); err != nil {
		t.Fatal(err)
	}
	if want := "/v3/domains/a.example/credentials/x%2F..%2Fy%3Fz@a.example"; got != want {
		t.Errorf("got path %s, want %s", got, want)
	}
	got = ""
	for _, name := range []string{"", ".", ".."} {
		if _, err := c.Domain(t.Context(), name); err == nil || got != "" {
			t.Errorf("%q: got %v and path %s, want it refused before it is sent", name, err, got)
		}
	}
}

func TestLongListsAreReadWhole(t *testing.T) {
	const n = 2345
	c := serving(t, "", func(w http.ResponseWriter, r *http.Request) {
		skip, _ := strconv.Atoi(r.FormValue("skip"))
		limit, _ := strconv.Atoi(r.FormValue("limit"))
		page := Page[map[string]string]{TotalCount: n}
		for i := skip; i < min(skip+limit, n); i++ {
			page.Items = append(page.Items, map[string]string{"name": fmt.Sprint(i), "extra": "kept"})
		}
		_ = json.NewEncoder(w).Encode(page)
	})
	a, err := c.Domains(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(a.Value.Items) != n || a.Value.Items[n-1].Name != fmt.Sprint(n-1) || a.Value.TotalCount != n {
		t.Errorf("got %d items, want %d", len(a.Value.Items), n)
	}
	if strings.Count(string(a.JSON), `"extra"`) != n {
		t.Error("the JSON lost fields that we do not know")
	}
}

func TestSocket(t *testing.T) {
	for _, tt := range []struct{ name, folder string }{
		{"usual", ""},
		{"path longer than an address", strings.Repeat("long-folder-name/", 10)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), tt.folder)
			if err := os.MkdirAll(dir, 0o700); err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(dir, SocketName)
			if _, err := Socket(t.Context(), path); !errors.Is(err, fs.ErrNotExist) || !isUnreachable(err) {
				t.Errorf("no socket: got %v", err)
			}
			l := listenAt(t, dir)
			server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if _, _, ok := r.BasicAuth(); ok {
					t.Error("a key was sent")
				}
				_, _ = io.WriteString(w, `{"total_count":0,"items":[]}`)
			})}
			go func() { _ = server.Serve(l) }()
			c, err := Socket(t.Context(), path)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := c.Keys(t.Context()); err != nil {
				t.Error(err)
			}
			_ = server.Close()
			if _, err := Socket(t.Context(), path); !errors.Is(err, syscall.ECONNREFUSED) && !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("nobody listens: got %v", err)
			}
		})
	}
}

// listenAt listens on the socket of a folder, whose path may be too long for an address.
func listenAt(t *testing.T, dir string) net.Listener {
	t.Helper()
	short := filepath.Join(t.TempDir(), "d")
	if err := os.Symlink(dir, short); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("unix", filepath.Join(short, SocketName))
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestSendWritesEveryPart(t *testing.T) {
	got := map[string][]string{}
	c := serving(t, "", func(w http.ResponseWriter, r *http.Request) {
		if err := r.ParseMultipartForm(1 << 20); err != nil {
			t.Error(err)
		}
		for name, values := range r.MultipartForm.Value {
			got[name] = values
		}
		for _, f := range r.MultipartForm.File["attachment"] {
			got["file "+f.Filename] = []string{fmt.Sprint(f.Size)}
		}
		_, _ = io.WriteString(w, `{"id":"<1@a.example>","message":"Queued. Thank you."}`)
	})
	yes, no := true, false
	big := strings.Repeat("x", 300_000)
	a, err := c.Send(t.Context(), "a.example", Message{
		From: "Ann <ann@a.example>", To: []string{"b@b.example", "c@c.example"}, Bcc: []string{"d@d.example"}, Subject: "Grüße", Text: "hi",
		Headers: [][2]string{{"X-A", "1"}, {"X-A", "2"}}, Tags: []string{"t,1"}, TLS: TLSFlags{RequireTLS: &yes, SkipVerification: &no},
		REQUIRETLS: true, TLSOptional: true,
		Attachments: []Attachment{{"a b.txt", func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(big)), nil }}},
	})
	if err != nil || a.Value.ID != "<1@a.example>" || a.Date.IsZero() {
		t.Fatalf("got %+v, %v", a.Value, err)
	}
	want := map[string][]string{
		"from": {"Ann <ann@a.example>"}, "to": {"b@b.example", "c@c.example"}, "bcc": {"d@d.example"}, "subject": {"Grüße"}, "text": {"hi"},
		"h:X-A": {"1", "2"}, "o:tag": {"t,1"}, "o:require-tls": {"true"}, "o:skip-verification": {"false"}, "o:requiretls": {"yes"}, "o:tls-required": {"no"}, "file a b.txt": {"300000"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("form (-want +got):\n%s", diff)
	}
}

// A flag that is not given must not be sent at all: false would override the domain's true.
func TestFlagsThatAreNotGivenAreNotSent(t *testing.T) {
	var names []string
	c := serving(t, "", func(w http.ResponseWriter, r *http.Request) {
		_ = r.ParseMultipartForm(1 << 20)
		for name := range r.Form {
			names = append(names, name)
		}
		_, _ = io.WriteString(w, "{}")
	})
	if _, err := c.Send(t.Context(), "a.example", Message{From: "a@a.example", To: []string{"b@b.example"}, Text: "x"}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.SetConnection(t.Context(), "a.example", TLSFlags{}, ""); err != nil {
		t.Fatal(err)
	}
	slices.Sort(names)
	if want := []string{"from", "text", "to"}; !slices.Equal(names, want) {
		t.Errorf("sent %v, want %v", names, want)
	}
}

func TestSendEndsWhenTheServerAnswersEarly(t *testing.T) {
	c := serving(t, "", func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, `{"message":"request size exceeds 52.4MiB limit"}`, http.StatusRequestEntityTooLarge)
	})
	endless := Attachment{"endless", func() (io.ReadCloser, error) { return io.NopCloser(endlessReader{}), nil }}
	_, err := c.Send(t.Context(), "a.example", Message{From: "a@a.example", To: []string{"b@b.example"}, Attachments: []Attachment{endless}})
	if err == nil {
		t.Error("got no error")
	}
}

type endlessReader struct{}

func (endlessReader) Read(p []byte) (int, error) { return len(p), nil }

func TestSendSaysWhichFileFailed(t *testing.T) {
	c := serving(t, "", func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) })
	broken := Attachment{"broken.pdf", func() (io.ReadCloser, error) { return nil, fs.ErrPermission }}
	_, err := c.Send(t.Context(), "a.example", Message{From: "a@a.example", To: []string{"b@b.example"}, Attachments: []Attachment{broken}})
	if !errors.Is(err, fs.ErrPermission) || !strings.Contains(err.Error(), "broken.pdf") || isUnreachable(err) {
		t.Errorf("got %v, want our own trouble with the file", err)
	}
}

func TestNextTakesTheTokenOnly(t *testing.T) {
	for link, want := range map[string]string{
		"https://evil.example/v3/a.example/events/abc_-9": "abc_-9",
		"/v3/a.example/events/abc":                        "abc",
		"":                                                "",
		"https://x/v3/a/events/":                          "",
		"https://x/v3/a/events/a/b":                       "",
		"https://x/v3/a/events/a?b":                       "",
	} {
		var p EventPage
		p.Paging.Next = link
		if got := p.Next(); got != want {
			t.Errorf("%q: got %q, want %q", link, got, want)
		}
	}
}
