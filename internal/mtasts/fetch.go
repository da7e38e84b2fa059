package mtasts

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"time"

	"github.com/sealpost/sealpost/internal/dnssec"
	"github.com/sealpost/sealpost/internal/tlsresult"
)

// Limits of one fetch.
const (
	fetchTime     = time.Minute // all of it, waiting for a turn included (RFC 8461 section 3.3)
	connectTime   = 10 * time.Second
	handshakeTime = 15 * time.Second
	headerTime    = 30 * time.Second
	maxHeader     = 16 << 10
	maxAddresses  = 4 // of the policy host
)

// Where a policy is (RFC 8461 section 3.3).
const (
	hostPrefix = "mta-sts."
	policyPath = "/.well-known/mta-sts.txt"
)

// A Dialer opens a connection to an IP address and port. It decides which addresses
// may be connected to at all: the policy host's address is the recipient's choice
// (SEC-66).
type Dialer func(ctx context.Context, network, address string) (net.Conn, error)

// A fetcher gets policies from their hosts. It keeps nothing.
type fetcher struct {
	dns   dnssec.Resolver
	dial  Dialer
	roots *x509.CertPool
	port  string
	turns *turns
}

// Errors that say more than that a fetch failed.
var (
	// errInvalid marks what was fetched and is no policy.
	errInvalid = errors.New("not a valid MTA-STS policy")
	// errBusy: too many other fetches were under way. The host was not contacted.
	errBusy = errors.New("too many policies are being fetched at once; the next attempt tries again")
)

// faultOf returns how RFC 8460 section 4.3.2.2 calls what was wrong with a fetch.
func faultOf(err error) tlsresult.Type {
	var cert *tls.CertificateVerificationError
	switch {
	case err == nil:
		return tlsresult.Success
	case errors.As(err, &cert):
		return tlsresult.STSWebPKIInvalid
	case errors.Is(err, errInvalid):
		return tlsresult.STSPolicyInvalid
	}
	return tlsresult.STSPolicyFetchError
}

// fetch returns the domain's policy without ID and times.
func (f *fetcher) fetch(ctx context.Context, domain string) (Policy, error) {
	host := hostPrefix + domain
	body, err := f.get(ctx, host)
	if err != nil {
		return Policy{}, fmt.Errorf("fetch https://%s%s: %w", host, policyPath, err)
	}
	p, err := ParsePolicy(body)
	if err != nil {
		return Policy{}, fmt.Errorf("read https://%s%s: %w: %w", host, policyPath, errInvalid, err)
	}
	return p, nil
}

func (f *fetcher) get(ctx context.Context, host string) (string, error) {
	addrs, err := f.addresses(ctx, host)
	if err != nil {
		return "", err
	}
	conn, done, err := f.connect(ctx, addrs)
	if err != nil {
		return "", err
	}
	defer done()
	defer conn.Close()
	return f.request(ctx, conn, host)
}

// addresses returns what the policy host resolves to, IPv6 and IPv4 in turn.
func (f *fetcher) addresses(ctx context.Context, host string) ([]netip.Addr, error) {
	var v4 dnssec.Answer
	done := make(chan struct{})
	go func() {
		defer close(done)
		v4 = f.dns.Lookup(ctx, host, dnssec.A)
	}()
	v6 := f.dns.Lookup(ctx, host, dnssec.AAAA)
	<-done
	var addrs []netip.Addr
	for i := range max(len(v6.Records), len(v4.Records)) {
		for _, a := range []dnssec.Answer{v6, v4} {
			if i < len(a.Records) {
				addrs = append(addrs, a.Records[i].Addr)
			}
		}
	}
	if len(addrs) > 0 {
		return addrs[:min(len(addrs), maxAddresses)], nil
	}
	if err := errors.Join(v6.Err(), v4.Err()); err != nil {
		return nil, err
	}
	return nil, errors.New("the policy host has no address")
}

// connect returns a connection to the first address that answers. It is closed by
// its caller, who then calls done.
func (f *fetcher) connect(ctx context.Context, addrs []netip.Addr) (conn net.Conn, done func(), err error) {
	var failures []error
	for _, a := range addrs {
		done, err := f.turns.take(ctx, a)
		if err != nil && len(failures) == 0 {
			return nil, nil, err
		}
		if err != nil {
			break // the time is up, and what happened before says more
		}
		connecting, cancel := context.WithTimeout(ctx, connectTime)
		conn, err := f.dial(connecting, "tcp", net.JoinHostPort(a.String(), f.port))
		cancel()
		if err == nil {
			return conn, done, nil
		}
		done()
		failures = append(failures, err)
		if ctx.Err() != nil {
			break
		}
	}
	return nil, nil, errors.Join(failures...)
}

// request asks for the policy over conn. It follows no redirect (RFC 8461 section
// 3.3), because a transport does not, and has no cookies, proxy or cache.
func (f *fetcher) request(ctx context.Context, conn net.Conn, host string) (string, error) {
	connections := make(chan net.Conn, 1)
	connections <- wholeConn{conn}
	t := &http.Transport{
		DialContext: func(context.Context, string, string) (net.Conn, error) {
			select {
			case c := <-connections:
				return c, nil
			default:
				return nil, errors.New("the policy host closed the connection without an answer")
			}
		},
		// The certificate must be valid for the policy host and for nothing else that
		// we know it by (RFC 8461 section 3.3).
		TLSClientConfig:        &tls.Config{ServerName: host, RootCAs: f.roots, MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:    handshakeTime,
		ResponseHeaderTimeout:  headerTime,
		MaxResponseHeaderBytes: maxHeader,
		DisableCompression:     true,
		DisableKeepAlives:      true,
		ForceAttemptHTTP2:      true,
	}
	defer t.CloseIdleConnections()
	req := (&http.Request{
		Method: http.MethodGet,
		URL:    &url.URL{Scheme: "https", Host: host, Path: policyPath},
		Header: http.Header{
			"Accept":          {"text/plain"},
			"Accept-Encoding": {"identity"}, // what is small here stays small (SEC-52)
			"User-Agent":      {"Sealpost (MTA-STS, RFC 8461)"},
		},
	}).WithContext(ctx)
	resp, err := t.RoundTrip(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	if err := acceptable(resp); err != nil {
		return "", err
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, MaxPolicySize+1))
	switch {
	case err != nil:
		return "", fmt.Errorf("read the policy: %w", err)
	case len(body) > MaxPolicySize:
		return "", errTooLarge
	}
	return string(body), nil
}

// A wholeConn makes an end without warning an error. TLS says so before it ends
// (RFC 8446 section 6.1), but crypto/tls forgives those who do not, and then anybody on the
// path can cut off a policy whose length HTTP does not tell either, and with it its
// last digits or MX hosts.
type wholeConn struct{ net.Conn }

func (c wholeConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if err == io.EOF {
		err = errCut
	}
	return n, err
}

var errCut = errors.New("the policy host ended the connection without saying so: what it sent may be cut off")

var errTooLarge = errors.New("the policy is larger than " + strconv.Itoa(MaxPolicySize) + " octets")

// acceptable checks the head of a response.
func acceptable(resp *http.Response) error {
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("the policy host answered with status %d, not 200", resp.StatusCode)
	}
	if resp.ContentLength > MaxPolicySize {
		return errTooLarge
	}
	if encoding := resp.Header.Get("Content-Encoding"); encoding != "" && encoding != "identity" {
		return fmt.Errorf("the policy is encoded as %s, which was not asked for", quote(encoding))
	}
	// RFC 8461 section 3.2: a host may let its users put images or pages under any
	// path. Parameters do not count, not even broken ones.
	declared := resp.Header.Get("Content-Type")
	media, _, err := mime.ParseMediaType(declared)
	if err != nil && !errors.Is(err, mime.ErrInvalidMediaParameter) || media != "text/plain" {
		return fmt.Errorf("%w: media type is %s, not text/plain", errInvalid, quote(declared))
	}
	return nil
}
