package apiclient

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Bounds on answers.
const (
	maxAnswer      = 64 << 20 // octets: a stored message inside JSON
	maxRefusal     = 64 << 10 // octets of an error's body that are read
	maxRefusalText = 500      // octets of an error's text that are kept
	usualTime      = 30 * time.Second
)

// An Answer is a successful answer: what we read from it, and the JSON as the
// server wrote it.
type Answer[T any] struct {
	Value T
	JSON  json.RawMessage
	Date  time.Time // of the server's clock, to the second; zero if it sent none
}

// An Error is a server that said no.
type Error struct {
	Status     int           // HTTP status
	Message    string        // the server's words; foreign text
	RetryAfter time.Duration // 0 if it did not say
}

// Error returns the server's words, or the status if it had none.
func (e *Error) Error() string {
	text := e.Message
	if text == "" {
		text = http.StatusText(e.Status)
	}
	if e.RetryAfter > 0 {
		return fmt.Sprintf("%s (try again in %s)", text, e.RetryAfter)
	}
	return text
}

// Unreachable is a server that did not answer: not there, not on time, or not a
// server of ours.
type Unreachable struct {
	Target string // where it should have been
	Err    error
}

// Error says where no answer came from, and why.
func (e *Unreachable) Error() string { return fmt.Sprintf("no answer from %s: %v", e.Target, e.Err) }

// Unwrap returns the reason.
func (e *Unreachable) Unwrap() error { return e.Err }

// A call is a request before it is sent.
type call struct {
	method string
	path   []string // segments, not yet escaped
	query  url.Values
	form   url.Values // the body, unless content is set
	accept string
	// content is a body of another kind, with its type.
	content     io.Reader
	contentType string
	timeout     time.Duration // 0: usualTime
}

// do makes a call and reads its answer into a T. Its errors are *Error, *Unreachable,
// or the context's.
func do[T any](ctx context.Context, c *Client, req call) (Answer[T], error) {
	var a Answer[T]
	body, date, err := c.send(ctx, req)
	if err != nil {
		return a, err
	}
	a.JSON, a.Date = bytes.TrimSpace(body), date
	if err := json.Unmarshal(body, &a.Value); err != nil {
		return a, &Unreachable{c.target, fmt.Errorf("the answer to %s is not what a Sealpost server says: %w", strings.Join(req.path, "/"), err)}
	}
	return a, nil
}

// send makes a call and returns the body of a successful answer.
func (c *Client) send(ctx context.Context, req call) ([]byte, time.Time, error) {
	timeout := req.timeout
	if timeout == 0 {
		timeout = usualTime
	}
	late := fmt.Errorf("it took longer than %s", timeout)
	bounded, cancel := context.WithTimeoutCause(ctx, timeout, late)
	defer cancel()
	fail := func(err error) error {
		if ctx.Err() != nil {
			return ctx.Err() // the caller's end, not the server's
		}
		if bounded.Err() != nil {
			err = late
		}
		if u, ok := errors.AsType[*url.Error](err); ok {
			err = u.Err // its text repeats the address
		}
		return &Unreachable{c.target, err}
	}
	r, err := c.request(bounded, req)
	if err != nil {
		return nil, time.Time{}, err
	}
	resp, err := c.http.Do(r)
	if err != nil {
		return nil, time.Time{}, fail(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return nil, time.Time{}, refusal(resp)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err == nil && len(body) > maxAnswer {
		err = fmt.Errorf("the answer is larger than %d MiB", maxAnswer>>20)
	}
	if err != nil {
		return nil, time.Time{}, fail(err)
	}
	date, _ := http.ParseTime(resp.Header.Get("Date")) // zero if absent or foreign
	return body, date, nil
}

func (c *Client) request(ctx context.Context, req call) (*http.Request, error) {
	address := c.base
	for _, segment := range req.path {
		if segment == "" || segment == "." || segment == ".." {
			return nil, fmt.Errorf("%q is not a name", segment)
		}
		address += "/" + url.PathEscape(segment)
	}
	if len(req.query) > 0 {
		address += "?" + req.query.Encode()
	}
	body, contentType := req.content, req.contentType
	if body == nil && req.form != nil {
		body, contentType = strings.NewReader(req.form.Encode()), "application/x-www-form-urlencoded"
	}
	r, err := http.NewRequestWithContext(ctx, req.method, address, body)
	if err != nil {
		return nil, fmt.Errorf("prepare the request: %w", err)
	}
	if contentType != "" {
		r.Header.Set("Content-Type", contentType)
	}
	if req.accept != "" {
		r.Header.Set("Accept", req.accept)
	}
	r.Header.Set("User-Agent", "sealpost")
	if c.key != "" {
		r.SetBasicAuth("api", c.key)
	}
	if c.acts != "" {
		r.Header.Set("X-Mailgun-On-Behalf-Of", c.acts)
	}
	return r, nil
}

// refusal reads why the server said no: JSON with a message, or plain words.
func refusal(resp *http.Response) error {
	e := &Error{Status: resp.StatusCode}
	if s, err := strconv.ParseUint(resp.Header.Get("Retry-After"), 10, 20); err == nil {
		e.RetryAfter = time.Duration(s) * time.Second
	}
	if to := resp.Header.Get("Location"); resp.StatusCode/100 == 3 && to != "" {
		e.Message = "the server sends us on to " + cut(to) + "; name that address if you trust it"
		return e
	}
	body, _ := io.ReadAll(io.LimitReader(resp.Body, maxRefusal)) // what came is shown; the status decides
	var said struct {
		Message string `json:"message"`
		Error   string `json:"error"`
		ID      string `json:"id"`
		// Calls about webhooks word their errors apart.
		Reason      string `json:"Reason"`
		Description string `json:"Description"`
		Field       string `json:"Field"`
		Value       string `json:"Value"`
	}
	switch err := json.Unmarshal(body, &said); {
	case err == nil && said.Message != "":
		e.Message = said.Message
	case err == nil && said.Error != "":
		e.Message = said.Error
	case err == nil && said.Reason != "":
		e.Message = said.Reason
	case err == nil && said.Description != "":
		e.Message = said.Description
	case err == nil && said.Field != "":
		e.Message = said.Field + ": " + said.Value
	case err != nil && !strings.Contains(resp.Header.Get("Content-Type"), "html"):
		e.Message = strings.TrimSpace(string(body))
	}
	e.Message = cut(e.Message)
	if resp.StatusCode == http.StatusInternalServerError && said.ID != "" {
		e.Message += " (request " + cut(said.ID) + " in the server's log)"
	}
	return e
}

func cut(s string) string {
	if len(s) <= maxRefusalText {
		return s
	}
	return strings.ToValidUTF8(s[:maxRefusalText], "") + "…"
}
