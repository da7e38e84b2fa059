package apiclient

import (
	"bytes"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// An export is copied octet by octet, with the filter in the query and the key on the way.
func TestExportEvidence(t *testing.T) {
	body := strings.Repeat("{\"record\":{}}\n", 20_000)
	c := serving(t, "secret", func(w http.ResponseWriter, r *http.Request) {
		if _, key, _ := r.BasicAuth(); key != "secret" || r.URL.Path != "/v1/sealpost/evidence" || r.URL.Query().Get("day") != "2026-11-25" {
			t.Errorf("request %s", r.URL)
		}
		_, _ = w.Write([]byte(body))
	})
	var got bytes.Buffer
	if err := c.ExportEvidence(t.Context(), url.Values{"day": {"2026-11-25"}}, &got); err != nil || got.String() != body {
		t.Errorf("%d octets, %v", got.Len(), err)
	}
}

// An export that breaks off is a server that did not answer; a disk that is full is not.
func TestExportEvidenceErrors(t *testing.T) {
	c := serving(t, "k", func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Query().Get("day") {
		case "refused":
			http.Error(w, `{"message":"no such day"}`, http.StatusBadRequest)
		case "broken":
			_, _ = w.Write([]byte("half"))
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		default:
			_, _ = w.Write([]byte("all"))
		}
	})
	ask := func(day string, w *failing) error {
		return c.ExportEvidence(t.Context(), url.Values{"day": {day}}, w)
	}
	if no, ok := errors.AsType[*Error](ask("refused", &failing{})); !ok || no.Message != "no such day" {
		t.Errorf("refused: %v", no)
	}
	if _, ok := errors.AsType[*Unreachable](ask("broken", &failing{})); !ok {
		t.Error("a broken export counts as whole")
	}
	if err := ask("good", &failing{errFull}); !errors.Is(err, errFull) {
		t.Errorf("a full disk: %v", err)
	}
}

var errFull = errors.New("disk full")

// A failing writer takes nothing if it has an error.
type failing struct{ err error }

func (f *failing) Write(b []byte) (int, error) {
	if f.err != nil {
		return 0, f.err
	}
	return len(b), nil
}
