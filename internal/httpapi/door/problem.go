package door

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

// A Problem is an answer other than success, in words for the client.
type Problem struct {
	Status     int
	Message    string
	RetryAfter time.Duration // 0: says nothing
	// Body is sent instead of {"message": Message} by calls whose errors have another
	// shape; nil everywhere else.
	Body any
}

// Error returns the status and the message.
func (p *Problem) Error() string { return fmt.Sprintf("%d %s", p.Status, p.Message) }

// BadRequest is a Problem with status 400.
func BadRequest(format string, args ...any) error {
	return &Problem{Status: http.StatusBadRequest, Message: fmt.Sprintf(format, args...)}
}

// NotFound is a Problem with status 404.
func NotFound(message string) error {
	return &Problem{Status: http.StatusNotFound, Message: message}
}

// ErrForbidden is every refusal of a key: unknown, or without the role. It is
// answered 401 in plain text, as clients know it.
var ErrForbidden = errors.New("forbidden")

// domainNotFound words a missing domain as the families of calls do.
func domainNotFound(rt Route, name string) error {
	switch {
	case strings.HasPrefix(rt.Pattern, "/v3/{domain}/templates"):
		return NotFound("domain not found")
	case strings.HasPrefix(rt.Pattern, "/v3/{domain}/"):
		return NotFound("Domain not found: " + name[:min(len(name), 255)])
	}
	return NotFound("Domain not found")
}

// fail answers an error. What is not a problem of the client's making is logged
// with the id that the client is told, and nothing else.
func (d *Door) fail(w *answer, r *http.Request, err error) {
	if w.status != 0 {
		d.deps.Log.WarnContext(r.Context(), "answer broke off", "request", w.id, "error", err.Error())
		panic(http.ErrAbortHandler)
	}
	p, ok := d.problemOf(err)
	switch {
	case errors.Is(err, ErrForbidden):
		w.Header().Set("WWW-Authenticate", `Basic realm="MG API"`)
		w.text(http.StatusUnauthorized, "Forbidden")
	case ok:
		if p.RetryAfter > 0 {
			w.Header().Set("Retry-After", strconv.Itoa(max(1, int(p.RetryAfter/time.Second))))
		}
		if p.Status >= 500 {
			d.deps.Log.WarnContext(r.Context(), "request refused", "request", w.id, "status", p.Status, "error", err.Error())
		}
		if p.Body != nil {
			w.json(p.Status, p.Body)
			return
		}
		w.json(p.Status, Message{p.Message})
	case r.Context().Err() != nil:
		// The client is gone; nobody reads an answer.
		panic(http.ErrAbortHandler)
	default:
		d.deps.Log.ErrorContext(r.Context(), "request failed", "request", w.id, "method", r.Method, "path", shownPath(r), "error", err.Error())
		w.internalError()
	}
}

// problemOf finds the answer in an error.
func (d *Door) problemOf(err error) (*Problem, bool) {
	var (
		p       *Problem
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
		return &Problem{Status: refused.Status, Message: refused.Message, RetryAfter: refused.RetryAfter}, true
	case errors.As(err, &field):
		return &Problem{Status: http.StatusBadRequest, Message: field.Problem}, true
	case errors.As(err, &refusal):
		return &Problem{Status: http.StatusBadRequest, Message: refusal.Problem}, true
	case errors.Is(err, store.ErrFull):
		return &Problem{Status: http.StatusInsufficientStorage, Message: "The server has no room for new data. Please try again later.", RetryAfter: time.Minute}, true
	case errors.Is(err, store.ErrClosed):
		return &Problem{Status: http.StatusServiceUnavailable, Message: "The server is shutting down. Please try again.", RetryAfter: 5 * time.Second}, true
	case errors.Is(err, context.DeadlineExceeded):
		return &Problem{Status: http.StatusServiceUnavailable, Message: "The request took too long. Please try again.", RetryAfter: time.Second}, true
	}
	return nil, false
}

// A Message is the body of most answers that tell no more than that.
type Message struct {
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

// Reply writes a successful answer: status 200 and v as JSON.
func Reply(w http.ResponseWriter, v any) error { return ReplyStatus(w, http.StatusOK, v) }

// Say is Reply for answers that are no more than a text: {"message": text}.
func Say(w http.ResponseWriter, text string) error { return Reply(w, Message{text}) }

// ReplyStatus is Reply with another status.
func ReplyStatus(w http.ResponseWriter, status int, v any) error {
	w.(*answer).json(status, v)
	return nil
}

// ReplyText writes a successful answer in plain text.
func ReplyText(w http.ResponseWriter, s string) error {
	w.(*answer).text(http.StatusOK, s)
	return nil
}

// ReplyNothing writes status 204.
func ReplyNothing(w http.ResponseWriter) error {
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// Missing gives store.ErrNotFound the answer it has in a call, and leaves other errors alone.
func Missing(err, answer error) error {
	if errors.Is(err, store.ErrNotFound) {
		return answer
	}
	return err
}
