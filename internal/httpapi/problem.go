package httpapi

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/sealpost/sealpost/internal/accept"
	"github.com/sealpost/sealpost/internal/compose"
	"github.com/sealpost/sealpost/internal/store"
)

// A problem is an answer other than success, in words for the client.
type problem struct {
	status     int
	message    string
	retryAfter time.Duration // 0: says nothing
}

// Error returns the status and the message.
func (p *problem) Error() string { return fmt.Sprintf("%d %s", p.status, p.message) }

func badRequest(format string, args ...any) error {
	return &problem{status: http.StatusBadRequest, message: fmt.Sprintf(format, args...)}
}

func notFound(message string) error {
	return &problem{status: http.StatusNotFound, message: message}
}

// errForbidden is every refusal of a key: unknown, or without the role. It is
// answered 401 in plain text, as clients know it.
var errForbidden = errors.New("forbidden")

// domainNotFound words a missing domain as the two families of calls do.
func domainNotFound(rt route, name string) error {
	if strings.HasPrefix(rt.pattern, "/v3/{domain}/") {
		return notFound("Domain not found: " + name[:min(len(name), 255)])
	}
	return notFound("Domain not found")
}

// fail answers an error. What is not a problem of the client's making is logged
// with the id that the client is told, and nothing else.
func (a *API) fail(w *answer, r *http.Request, err error) {
	if w.status != 0 {
		a.deps.Log.WarnContext(r.Context(), "answer broke off", "request", w.id, "error", err.Error())
		panic(http.ErrAbortHandler)
	}
	p, ok := a.problemOf(err)
	switch {
	case errors.Is(err, errForbidden):
		w.Header().Set("WWW-Authenticate", `Basic realm="MG API"`)
		w.text(http.StatusUnauthorized, "Forbidden")
	case ok:
		if p.retryAfter > 0 {
			w.Header().Set("Retry-After", strconv.Itoa(max(1, int(p.retryAfter/time.Second))))
		}
		if p.status >= 500 {
			a.deps.Log.WarnContext(r.Context(), "request refused", "request", w.id, "status", p.status, "error", err.Error())
		}
		w.json(p.status, message{p.message})
	case r.Context().Err() != nil:
		// The client is gone; nobody reads an answer.
		panic(http.ErrAbortHandler)
	default:
		a.deps.Log.ErrorContext(r.Context(), "request failed", "request", w.id, "method", r.Method, "path", r.URL.Path, "error", err.Error())
		w.internalError()
	}
}

// problemOf finds the answer in an error.
func (a *API) problemOf(err error) (*problem, bool) {
	var (
		p       *problem
		refused *accept.Error
		field   *compose.FieldError
		refusal *compose.Refusal
	)
	switch {
	case errors.As(err, &p):
		return p, true
	case errors.As(err, &refused):
		if refused.Status == http.StatusInternalServerError {
			return nil, false
		}
		return &problem{refused.Status, refused.Message, refused.RetryAfter}, true
	case errors.As(err, &field):
		return &problem{status: http.StatusBadRequest, message: field.Problem}, true
	case errors.As(err, &refusal):
		return &problem{status: http.StatusBadRequest, message: refusal.Problem}, true
	case errors.Is(err, store.ErrFull):
		return &problem{http.StatusInsufficientStorage, "The server has no room for new data. Please try again later.", time.Minute}, true
	case errors.Is(err, store.ErrClosed):
		return &problem{http.StatusServiceUnavailable, "The server is shutting down. Please try again.", 5 * time.Second}, true
	case errors.Is(err, context.DeadlineExceeded):
		return &problem{http.StatusServiceUnavailable, "The request took too long. Please try again.", time.Second}, true
	}
	return nil, false
}

// A message is the body of most answers that tell no more than that.
type message struct {
	Message string `json:"message"`
}

// text writes plain text.
func (w *answer) text(status int, s string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Content-Length", strconv.Itoa(len(s)))
	w.WriteHeader(status)
	_, _ = w.Write([]byte(s)) // an answer that nobody reads is no error of ours
}

// json writes a value. It is encoded before the header goes out, so that a
// value that cannot be encoded is still a clean 500.
func (w *answer) json(status int, v any) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		panic(fmt.Sprintf("httpapi: encode %T: %v", v, err)) // a bug; the recovery answers 500
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("Content-Length", strconv.Itoa(b.Len()))
	w.WriteHeader(status)
	_, _ = w.Write(b.Bytes())
}

// internalError writes the answer to everything that should not have happened.
func (w *answer) internalError() {
	w.json(http.StatusInternalServerError, struct {
		Message string `json:"message"`
		ID      string `json:"id"`
	}{"Internal Server Error", w.id})
}

// reply writes a successful answer.
func reply(w http.ResponseWriter, v any) error {
	w.(*answer).json(http.StatusOK, v)
	return nil
}
