package tlsrpt

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/sealpost/sealpost/internal/store"
	"github.com/sealpost/sealpost/internal/tlsrpt/report"
)

// Limits on the conversation with a stranger's server.
const (
	postTime    = time.Minute // from connecting to the end of the answer
	maxHeader   = 32 << 10    // octets of the answer's header
	maxAnswer   = 4 << 10     // octets of its body that are read
	maxRecorded = 200         // octets of it that are kept, and of an error, which may quote it
)

// newClient returns a client that follows no redirects, keeps no connections and uses no proxy.
//
// It does not insist on a certificate that verifies. RFC 8460 section 3 allows that, and
// section 7 says why it is right: where TLS is broken, the host for reports is likely to
// be broken in the same way, and whoever could read a report on its way can see most of
// it by watching the mail. Whether it verified is kept with the report.
func (r *Room) newClient() *http.Client {
	return &http.Client{
		Timeout: postTime,
		CheckRedirect: func(*http.Request, []*http.Request) error {
			return http.ErrUseLastResponse // a redirect could lead anywhere
		},
		Transport: &http.Transport{
			DialContext:            r.deps.Dial,
			DisableKeepAlives:      true,
			TLSHandshakeTimeout:    30 * time.Second,
			MaxResponseHeaderBytes: maxHeader,
			TLSClientConfig: &tls.Config{
				MinVersion:         tls.VersionTLS12,
				InsecureSkipVerify: true, // see above; verified looks at the chain
			},
		},
	}
}

// verified reports whether the certificates of a connection verify for the host.
func (r *Room) verified(s *tls.ConnectionState, host string) bool {
	if s == nil || len(s.PeerCertificates) == 0 {
		return false
	}
	others := x509.NewCertPool()
	for _, c := range s.PeerCertificates[1:] {
		others.AddCert(c)
	}
	_, err := s.PeerCertificates[0].Verify(x509.VerifyOptions{DNSName: host, Roots: r.deps.Roots, Intermediates: others})
	return err == nil
}

// post brings a report to an https destination (RFC 8460 section 5.4). Any 2xx is a yes; other
// answers that will not change by themselves are a final no.
func (r *Room) post(ctx context.Context, l load, uri string, to *store.TLSDestination) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, uri, bytes.NewReader(l.gzip))
	if err != nil {
		to.Note, to.Final = reason(err), true
		return
	}
	req.Header.Set("Content-Type", report.MediaTypeGzip)
	req.Header.Set("User-Agent", "sealpost")
	resp, err := r.client.Do(req)
	if err != nil {
		to.Note = reason(err)
		return
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(io.LimitReader(resp.Body, maxAnswer)) // for the record only
	to.Unverified = !r.verified(resp.TLS, req.URL.Hostname())
	to.Note = strconv.Itoa(resp.StatusCode) + " " + http.StatusText(resp.StatusCode)
	switch code := resp.StatusCode; {
	case code >= 200 && code < 300:
		to.Done, to.Final = true, true
		return
	case code >= 300 && code < 400:
		to.Note += " (redirects are not followed)"
		to.Final = true
	case code >= 400 && code < 500 && code != http.StatusRequestTimeout && code != http.StatusTooEarly && code != http.StatusTooManyRequests:
		to.Final = true
	}
	if text := bytes.TrimSpace(body); len(text) > 0 {
		to.Note += fmt.Sprintf(": %.*q", maxRecorded, text)
	}
}

// reason is an error as it is kept: without the URL, which stands beside it, and cut.
func reason(err error) string {
	if e := (*url.Error)(nil); errors.As(err, &e) {
		err = e.Err
	}
	s := err.Error()
	if len(s) <= maxRecorded {
		return s
	}
	return strings.ToValidUTF8(s[:maxRecorded], "") + " [...]"
}
