package httpapi

import (
	"bytes"
	"encoding/json"
	"io"
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
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
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

func decode(t testing.TB, r io.Reader, v any) {
	t.Helper()
	if err := json.NewDecoder(r).Decode(v); err != nil {
		t.Fatal(err)
	}
}
