package door

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
)

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
