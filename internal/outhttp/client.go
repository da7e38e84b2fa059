package outhttp

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode"
)

// Limits of one call.
const (
	// MaxAnswer is how many octets of an answer's body are read; the connection is closed
	// on one that has more.
	MaxAnswer = 64 << 10
	// MaxText is how many octets of the body are kept.
	MaxText       = 1 << 10
	maxHeader     = 16 << 10
	handshakeTime = 10 * time.Second
	idleTime      = 90 * time.Second
)

// Config is how a client connects. DialContext is required.
type Config struct {
	DialContext func(ctx context.Context, network, address string) (net.Conn, error)
	Roots       *x509.CertPool // nil: the system's
	UserAgent   string
	// IdlePerHost is how many connections to one host are kept for the next call; 0: none.
	IdlePerHost int
}

// A Client makes calls. It is safe for concurrent use.
type Client struct {
	http  *http.Client
	agent string
}

// NewClient returns a client.
func NewClient(cfg Config) *Client {
	return &Client{
		agent: cfg.UserAgent,
		http: &http.Client{
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
			Transport: &http.Transport{
				DialContext:            cfg.DialContext,
				TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: cfg.Roots},
				TLSHandshakeTimeout:    handshakeTime,
				MaxResponseHeaderBytes: maxHeader,
				DisableCompression:     true, // what is small here stays small
				DisableKeepAlives:      cfg.IdlePerHost == 0,
				MaxIdleConns:           1024,
				MaxIdleConnsPerHost:    cfg.IdlePerHost,
				IdleConnTimeout:        idleTime,
			},
		},
	}
}

// Close ends the connections that wait for a next call.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// An Answer is what a server said.
type Answer struct {
	Status int
	// Text is the beginning of the body, as text on one line. It is foreign.
	Text string
}

// Post sends a body to a URL that [ParseURL] takes, within the time of ctx. An error is
// that no answer came; its text may hold foreign text and is fit to be shown.
func (c *Client) Post(ctx context.Context, address, contentType string, body []byte) (Answer, error) {
	u, err := ParseURL(address)
	if err != nil {
		return Answer{}, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, u.String(), bytes.NewReader(body))
	if err != nil {
		return Answer{}, err
	}
	req.Header.Set("Content-Type", contentType)
	req.Header.Set("Accept-Encoding", "identity")
	req.Header.Set("User-Agent", c.agent)
	resp, err := c.http.Do(req)
	if err != nil {
		return Answer{}, reason(err)
	}
	defer resp.Body.Close()
	head, err := io.ReadAll(io.LimitReader(resp.Body, MaxAnswer))
	if err != nil {
		return Answer{}, fmt.Errorf("the answer with status %d broke off: %w", resp.StatusCode, reason(err))
	}
	return Answer{Status: resp.StatusCode, Text: text(head)}, nil
}

// reason is an error without the URL, which stands beside it, and cut.
func reason(err error) error {
	if e := (*url.Error)(nil); errors.As(err, &e) {
		err = e.Err
	}
	if errors.Is(err, io.EOF) {
		return fmt.Errorf("the connection was closed without an answer: %w", io.EOF)
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("no answer in time: %w", context.DeadlineExceeded)
	}
	s := err.Error()
	if cut := text([]byte(strings.ReplaceAll(s, "\n", "; "))); cut != s { // joined errors have a line each
		return &shownError{cut, err}
	}
	return err
}

// A shownError is an error whose text is fit to be shown.
type shownError struct {
	text string
	err  error
}

// Error returns the text.
func (e *shownError) Error() string { return e.text }

// Unwrap returns the error as it was.
func (e *shownError) Unwrap() error { return e.err }

// text returns the beginning of foreign octets as text on one line.
func text(b []byte) string {
	s := strings.ToValidUTF8(string(b[:min(len(b), MaxText)]), "\uFFFD")
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || unicode.Is(unicode.Zl, r) || unicode.Is(unicode.Zp, r) {
			return ' '
		}
		return r
	}, s)
	for len(s) > MaxText {
		s = strings.ToValidUTF8(s[:MaxText], "")
	}
	return strings.TrimSpace(s)
}
