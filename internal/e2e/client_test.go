package e2e

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/textproto"
	"net/url"
	"strings"
	"testing"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
)

// A client is an application that uses the server. It is safe for concurrent use.
type client struct {
	http     *http.Client
	base     string // of the API
	starttls string // addresses of the submission door
	implicit string
	tls      *tls.Config
}

func newClient(t testing.TB, w *world, api, starttls, implicit string) *client {
	transport := &http.Transport{MaxIdleConnsPerHost: 32}
	t.Cleanup(transport.CloseIdleConnections)
	return &client{
		http: &http.Client{Transport: transport, Timeout: patience},
		base: "http://" + api, starttls: starttls, implicit: implicit,
		tls: &tls.Config{RootCAs: w.pki.Roots, ServerName: serverName},
	}
}

// An Event is an event as the contract words it. It is written down here once more, so
// that a name which changes in the code is seen.
type Event struct {
	Event     string  `json:"event"`
	ID        string  `json:"id"`
	Timestamp float64 `json:"timestamp"`
	Severity  string  `json:"severity"`
	Reason    string  `json:"reason"`
	Recipient string  `json:"recipient"`
	Method    string  `json:"method"`
	Status    *Status `json:"delivery-status"`
	Message   struct {
		Headers struct {
			MessageID string `json:"message-id"`
			Subject   string `json:"subject"`
		} `json:"headers"`
		Recipients []string `json:"recipients"`
		Size       int      `json:"size"`
	} `json:"message"`
	Storage struct {
		Key string `json:"key"`
		URL string `json:"url"`
	} `json:"storage"`
	Tags      []string          `json:"tags"`
	Variables map[string]string `json:"user-variables"`
}

// Status is the contract's delivery-status, and what we add about TLS.
type Status struct {
	TLS         *bool   `json:"tls"`
	Verified    *bool   `json:"certificate-verified"`
	MXHost      *string `json:"mx-host"`
	Code        int     `json:"code"`
	Enhanced    string  `json:"enhanced-code"`
	Message     string  `json:"message"`
	Description *string `json:"description"`
	Attempt     int     `json:"attempt-no"`
	Retry       *int    `json:"retry-seconds"`
	UTF8        *bool   `json:"utf8"`
	Detail      *Detail `json:"tls-detail"`
}

// Detail is part of delivery-status.tls-detail.
type Detail struct {
	Require      Flag     `json:"require-tls"`
	Skip         Flag     `json:"skip-verification"`
	Requirement  string   `json:"requirement"`
	Result       string   `json:"result"`
	Fallback     string   `json:"fallback"`
	Version      string   `json:"version"`
	VerifyErrors []string `json:"verify-errors"`
	Downgrade    bool     `json:"downgrade-suspected"`
	Attempts     []Detail `json:"attempts"`
}

// A Flag is an effective flag and where its value came from.
type Flag struct {
	Value  bool   `json:"value"`
	Source string `json:"source"`
}

// do makes a request and returns status and body.
func (c *client) do(h *http.Client, method, target string, form url.Values) (int, []byte, error) {
	var body io.Reader
	if len(form) > 0 && method != "GET" {
		body = strings.NewReader(form.Encode())
	} else if len(form) > 0 {
		target += "?" + form.Encode()
	}
	req, err := http.NewRequest(method, target, body)
	if err != nil {
		return 0, nil, err
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	return c.send(h, req)
}

func (c *client) send(h *http.Client, req *http.Request) (int, []byte, error) {
	req.SetBasicAuth("api", apiKey)
	resp, err := h.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	return resp.StatusCode, data, err
}

func (c *client) wantOK(t testing.TB, h *http.Client, target, method string, form url.Values) map[string]any {
	t.Helper()
	status, data, err := c.do(h, method, target, form)
	if err != nil {
		t.Fatal(err)
	}
	var answer map[string]any
	if err := json.Unmarshal(data, &answer); err != nil || status != http.StatusOK {
		t.Fatalf("%s %s: %d %s", method, target, status, data)
	}
	return answer
}

// call calls the API and wants 200.
func (c *client) call(t testing.TB, method, path string, form url.Values) map[string]any {
	t.Helper()
	return c.wantOK(t, c.http, c.base+path, method, form)
}

// A field is one part of a multipart form; with a file name it is a file.
type field struct {
	name, value string
	file        string // file name; empty: a plain field
	disposition string // replaces the whole Content-Disposition
	mediaType   string
}

// A form is the fields of a multipart form in their order.
type form []field

func (f form) with(more ...field) form { return append(append(form(nil), f...), more...) }

func (f form) encode() (body *bytes.Buffer, contentType string, err error) {
	body = &bytes.Buffer{}
	mw := multipart.NewWriter(body)
	for _, p := range f {
		h := textproto.MIMEHeader{}
		d := fmt.Sprintf(`form-data; name="%s"`, strings.NewReplacer(`"`, `%22`, "\r", "%0D", "\n", "%0A").Replace(p.name))
		if p.file != "" {
			d += fmt.Sprintf(`; filename="%s"`, p.file)
			h.Set("Content-Type", "application/octet-stream")
		}
		if p.disposition != "" {
			d = p.disposition
		}
		if p.mediaType != "" {
			h.Set("Content-Type", p.mediaType)
		}
		h.Set("Content-Disposition", d)
		w, err := mw.CreatePart(h)
		if err != nil {
			return nil, "", err
		}
		if _, err := io.WriteString(w, p.value); err != nil {
			return nil, "", err
		}
	}
	return body, mw.FormDataContentType(), mw.Close()
}

// post sends a multipart form and returns status and body.
func (c *client) post(path string, f form) (int, []byte, error) {
	body, contentType, err := f.encode()
	if err != nil {
		return 0, nil, err
	}
	req, err := http.NewRequest("POST", c.base+path, body)
	if err != nil {
		return 0, nil, err
	}
	req.Header.Set("Content-Type", contentType)
	return c.send(c.http, req)
}

// submit posts a message to an endpoint of the domain, messages or messages.mime, and
// returns its id without angle brackets.
func (c *client) submit(domain, endpoint string, f form) (string, error) {
	status, data, err := c.post("/v3/"+domain+"/"+endpoint, f)
	if err != nil {
		return "", err
	}
	var answer struct{ ID, Message string }
	if err := json.Unmarshal(data, &answer); err != nil || status != http.StatusOK || answer.ID == "" {
		return "", fmt.Errorf("%s: %d %s", endpoint, status, data)
	}
	return strings.Trim(answer.ID, "<>"), nil
}

// mustSubmit is submit for messages that cannot be refused.
func (c *client) mustSubmit(t testing.TB, domain, endpoint string, f form) string {
	t.Helper()
	id, err := c.submit(domain, endpoint, f)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// dialSMTP opens a session on the submission door and logs in.
func (c *client) dialSMTP(domain string, implicit bool) (*smtp.Client, error) {
	var s *smtp.Client
	var err error
	if implicit {
		s, err = smtp.DialTLS(c.implicit, c.tls)
	} else {
		s, err = smtp.DialStartTLS(c.starttls, c.tls)
	}
	if err != nil {
		return nil, err
	}
	if err := s.Auth(sasl.NewPlainClient("", loginName+"@"+domain, password)); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// submitSMTP hands one message to the submission door. A nil error means that it
// was answered 250.
func (c *client) submitSMTP(domain string, implicit bool, o *smtp.MailOptions, content string, to ...string) error {
	s, err := c.dialSMTP(domain, implicit)
	if err != nil {
		return err
	}
	defer s.Close()
	if err := s.Mail("bob@"+domain, o); err != nil {
		return err
	}
	for _, a := range to {
		if err := s.Rcpt(a, nil); err != nil {
			return err
		}
	}
	w, err := s.Data()
	if err != nil {
		return err
	}
	if _, err := io.WriteString(w, content); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	_ = s.Quit()
	return nil
}

// events returns the domain's events that match, oldest first, page by page.
func (c *client) events(domain string, query url.Values) ([]Event, error) {
	q := url.Values{"ascending": {"yes"}, "limit": {"300"}, "begin": {"0"}}
	for k, v := range query {
		q[k] = v
	}
	target, list := c.base+"/v3/"+domain+"/events?"+q.Encode(), []Event(nil)
	for {
		status, data, err := c.do(c.http, "GET", target, nil)
		if err != nil {
			return nil, err
		}
		var page struct {
			Items  []Event
			Paging struct{ Next string }
		}
		if err := json.Unmarshal(data, &page); err != nil || status != http.StatusOK {
			return nil, fmt.Errorf("events: %d %s", status, data)
		}
		if len(page.Items) == 0 {
			return list, nil
		}
		next, err := url.Parse(page.Paging.Next)
		if err != nil {
			return nil, err
		}
		list, target = append(list, page.Items...), c.base+next.RequestURI() // whatever the server is called
	}
}

// of returns the events of one message.
func (c *client) of(t testing.TB, domain, id string) []Event {
	t.Helper()
	list, err := c.events(domain, url.Values{"message-id": {id}})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// outcomes waits until the message has n events that tell an outcome, and returns these.
func (c *client) outcomes(t testing.TB, domain, id string, n int) []Event {
	t.Helper()
	var found []Event
	await(t, fmt.Sprintf("%d outcomes of %s", n, id), func() bool {
		found = nil
		for _, e := range c.of(t, domain, id) {
			if e.Event != "accepted" {
				found = append(found, e)
			}
		}
		return len(found) >= n
	})
	return found
}

// outcome waits for the first outcome.
func (c *client) outcome(t testing.TB, domain, id string) Event {
	t.Helper()
	return c.outcomes(t, domain, id, 1)[0]
}
