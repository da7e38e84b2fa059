package apiclient

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// A Client calls one server. It is safe for concurrent use. Close it when done.
type Client struct {
	base   string // without a slash at its end
	key    string // empty: none is sent
	acts   string // sub-account that calls act for; empty: none
	target string // for people: where the server is
	http   *http.Client
	close  func() error
}

// ActFor makes all further calls act for a sub-account, by its id; empty: for none. It must not
// be called while others use the client.
func (c *Client) ActFor(subaccount string) { c.acts = subaccount }

// New returns a client for the server at an http or https URL, with its API key.
// Nothing is sent before the first call.
func New(baseURL, key string) (*Client, error) {
	u, err := url.Parse(baseURL)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		// The text is not repeated: it may hold a password or a key.
		return nil, errors.New("the URL is not the address of a server; write http:// or https:// and a host, such as https://mail.example.com, and nothing else")
	}
	t := newTransport()
	t.Proxy = http.ProxyFromEnvironment
	return newClient(strings.TrimRight(u.String(), "/"), key, u.Scheme+"://"+u.Host, t, nil), nil
}

func newClient(base, key, target string, t *http.Transport, stop func() error) *Client {
	return &Client{
		base: base, key: key, target: target,
		http: &http.Client{
			Transport: t,
			// A redirect is never followed: it could name another host, and the key
			// is not meant for that one.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		close: func() error {
			t.CloseIdleConnections()
			if stop != nil {
				return stop()
			}
			return nil
		},
	}
}

func newTransport() *http.Transport {
	return &http.Transport{
		DialContext:            (&net.Dialer{Timeout: 10 * time.Second}).DialContext,
		TLSHandshakeTimeout:    10 * time.Second,
		IdleConnTimeout:        time.Minute,
		MaxResponseHeaderBytes: 64 << 10,
		ForceAttemptHTTP2:      true,
	}
}

// Target says in a few words where the server is, for messages.
func (c *Client) Target() string { return c.target }

// Close gives back connections, and stops the server of [InProcess].
func (c *Client) Close() error { return c.close() }

// InProcess returns a client for a handler in this process, which is served over
// pipes until Close. No key is sent: whoever holds the handler has its authority.
func InProcess(h http.Handler) *Client {
	pipes := &pipeListener{conns: make(chan net.Conn), closed: make(chan struct{})}
	server := &http.Server{Handler: h, ReadHeaderTimeout: time.Minute}
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = server.Serve(pipes) // always ErrServerClosed: pipes do not fail
	}()
	t := newTransport()
	t.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) { return pipes.dial(ctx) }
	return newClient("http://localhost", "", "the data folder", t, func() error {
		err := server.Close()
		<-served
		return err
	})
}

// A pipeListener accepts the far ends of pipes.
type pipeListener struct {
	conns  chan net.Conn
	closed chan struct{}
}

func (l *pipeListener) dial(ctx context.Context) (net.Conn, error) {
	near, far := net.Pipe()
	select {
	case l.conns <- far:
		return near, nil
	case <-l.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Accept returns the next pipe.
func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// Close ends Accept. The server calls it once.
func (l *pipeListener) Close() error {
	select {
	case <-l.closed:
		return errors.New("closed twice")
	default:
		close(l.closed)
		return nil
	}
}

// Addr returns an address that is no address.
func (l *pipeListener) Addr() net.Addr { return &net.UnixAddr{Name: "pipe", Net: "unix"} }
