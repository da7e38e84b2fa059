package door

import (
	"bytes"
	"log/slog"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

func newRequest(t testing.TB, method, path, body string) *http.Request {
	t.Helper()
	return httptest.NewRequestWithContext(t.Context(), method, path, strings.NewReader(body))
}

// newFormRequest makes a POST with fields in their order.
func newFormRequest(t testing.TB, path string, isMultipart bool, fields [][2]string) *http.Request {
	t.Helper()
	var b bytes.Buffer
	if !isMultipart {
		for i, f := range fields {
			if i > 0 {
				b.WriteByte('&')
			}
			b.WriteString(url.QueryEscape(f[0]) + "=" + url.QueryEscape(f[1]))
		}
		r := newRequest(t, "POST", path, b.String())
		r.Header.Set("Content-Type", urlMedia)
		return r
	}
	mw := multipart.NewWriter(&b)
	for _, f := range fields {
		if err := mw.WriteField(f[0], f[1]); err != nil {
			t.Fatal(err)
		}
	}
	if err := mw.Close(); err != nil {
		t.Fatal(err)
	}
	r := newRequest(t, "POST", path, b.String())
	r.Header.Set("Content-Type", mw.FormDataContentType())
	return r
}

func serve(h http.Handler, r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// newDoor returns a door with one call that reads a message and answers nothing.
func newDoor(t testing.TB, change ...func(*Config)) *Door {
	t.Helper()
	cfg := Config{SpoolDir: t.TempDir()}
	for _, c := range change {
		c(&cfg)
	}
	return New(cfg, Deps{Log: slog.New(slog.DiscardHandler)}, []Route{
		On("GET", "/{$}", Public, func(w http.ResponseWriter, _ *Request) error { return ReplyText(w, "hello") }),
		On("POST", "/read", Public, func(w http.ResponseWriter, r *Request) error {
			f, err := r.Form(SendForm())
			if err != nil {
				return err
			}
			f.Close()
			return Say(w, "read")
		}),
	})
}

// readForm reads a request's form as a handler does.
func readForm(d *Door, r *http.Request, rules FormRules) (*Form, error) {
	return (&Request{Request: r, door: d}).Form(rules)
}
