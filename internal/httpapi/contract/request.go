package contract

import (
	"bytes"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

// Request returns a request with a body.
func Request(t testing.TB, method, path, body string) *http.Request {
	t.Helper()
	return httptest.NewRequestWithContext(t.Context(), method, path, strings.NewReader(body))
}

// FormRequest makes a POST with fields in their order.
func FormRequest(t testing.TB, path string, isMultipart bool, fields [][2]string) *http.Request {
	t.Helper()
	var b bytes.Buffer
	if !isMultipart {
		for i, f := range fields {
			if i > 0 {
				b.WriteByte('&')
			}
			b.WriteString(url.QueryEscape(f[0]) + "=" + url.QueryEscape(f[1]))
		}
		r := Request(t, "POST", path, b.String())
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
	r := Request(t, "POST", path, b.String())
	r.Header.Set("Content-Type", mw.FormDataContentType())
	return r
}
