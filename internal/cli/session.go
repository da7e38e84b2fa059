package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/url"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/sealpost/sealpost/internal/apiclient"
	"github.com/sealpost/sealpost/internal/config"
	"github.com/sealpost/sealpost/internal/store"
)

// lockPatience is how long a command waits for a server that has the data folder and
// does not answer yet.
const lockPatience = 5 * time.Second

// A session is one run of a command.
type session struct {
	env Env
	globals

	client  *apiclient.Client
	offline bool // the client's server is this process
	closers []func() error
}

// close gives back what the session holds; the lock of the data folder above all.
func (s *session) close() {
	for i := len(s.closers) - 1; i >= 0; i-- {
		if err := s.closers[i](); err != nil {
			s.note("close: %v", err)
		}
	}
	s.closers = nil
}

// getenv returns a variable of the environment; empty if it is not set.
func (s *session) getenv(name string) string {
	for _, e := range s.env.Environ {
		if value, ok := strings.CutPrefix(e, name+"="); ok {
			return value
		}
	}
	return ""
}

// note tells people something that is not the result.
func (s *session) note(format string, args ...any) {
	_, _ = fmt.Fprintln(s.env.Stderr, clean(fmt.Sprintf(format, args...)))
}

// json reports whether the result is for programs.
func (s *session) json() bool { return s.Output == "json" }

// show prints a result: the server's JSON, or the table made for people.
func (s *session) show(raw json.RawMessage, t *table) error {
	if s.json() {
		return s.writeJSON(raw)
	}
	return t.write(s.env.Stdout)
}

// writeJSON prints one JSON document.
func (s *session) writeJSON(raw json.RawMessage) error {
	var b bytes.Buffer
	if err := json.Indent(&b, raw, "", "  "); err != nil {
		return err
	}
	b.WriteByte('\n')
	_, err := s.env.Stdout.Write(cleanJSON(b.Bytes()))
	return err
}

// writeValue prints a value of ours as one JSON document.
func (s *session) writeValue(v any) error {
	raw, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return s.writeJSON(raw)
}

// say prints a line for people.
func (s *session) say(format string, args ...any) error {
	_, err := fmt.Fprintln(s.env.Stdout, clean(fmt.Sprintf(format, args...)))
	return err
}

// loadConfig finds and reads the configuration.
func (s *session) loadConfig() (config.Config, string, error) {
	path, err := config.Find(s.Config, s.env.Environ)
	if err != nil {
		return config.Config{}, "", &ExitError{ExitUsage, err}
	}
	cfg, err := config.Load(path, s.env.Environ)
	if err != nil {
		return config.Config{}, path, &ExitError{ExitUsage, err}
	}
	return cfg, path, nil
}

// connect finds the server: the one that is named, the one that runs here, or none, and
// then this process takes its place.
func (s *session) connect(ctx context.Context) (*apiclient.Client, error) {
	c, err := s.find(ctx)
	if err == nil {
		c.ActFor(s.ActFor)
	}
	return c, err
}

func (s *session) find(ctx context.Context) (*apiclient.Client, error) {
	if s.client != nil {
		return s.client, nil
	}
	address := s.URL
	if address == "" {
		address = s.getenv("SEALPOST_URL")
	}
	if address != "" {
		return s.connectRemote(address)
	}
	if s.Key != "" {
		return nil, usagef("--key needs --url or SEALPOST_URL; the server of this host is asked through its socket, without a key")
	}
	cfg, _, err := s.loadConfig()
	if err != nil {
		if errors.Is(err, config.ErrNoFile) {
			return nil, usagef("%w, or name a running server with --url", err)
		}
		return nil, err
	}
	return s.connectLocal(ctx, cfg)
}

func (s *session) connectRemote(address string) (*apiclient.Client, error) {
	key := s.Key
	if key == "" {
		key = s.getenv("SEALPOST_API_KEY")
	}
	if key == "" {
		return nil, usagef("a server that is named by its URL needs an API key; set SEALPOST_API_KEY")
	}
	client, err := apiclient.New(address, key)
	if err != nil {
		return nil, &ExitError{ExitUsage, err}
	}
	if u, err := url.Parse(address); err == nil && u.Scheme == "http" && !isLoopback(u.Hostname()) {
		s.note("warning: the API key travels unencrypted to %s; use https", u.Host)
	}
	s.use(client)
	return client, nil
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

func (s *session) use(c *apiclient.Client) {
	s.client = c
	s.closers = append(s.closers, c.Close)
}

// connectLocal reaches the server of a configuration, or takes its place.
func (s *session) connectLocal(ctx context.Context, cfg config.Config) (*apiclient.Client, error) {
	path := filepath.Join(cfg.Server.DataDir, apiclient.SocketName)
	client, err := apiclient.Socket(ctx, path)
	if err == nil {
		s.use(client)
		return client, nil
	}
	if err := socketProblem(err); err != nil {
		return nil, err
	}
	err = s.takePlace(ctx, cfg)
	if !errors.Is(err, store.ErrLocked) {
		return s.client, err
	}
	// A server that starts or stops has the folder and no socket.
	deadline := time.NewTimer(lockPatience)
	defer deadline.Stop()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if client, err := apiclient.Socket(ctx, path); err == nil {
				s.use(client)
				return client, nil
			}
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-deadline.C:
			return nil, &ExitError{ExitUnreachable, fmt.Errorf("the data folder %s is in use, but no server answers at %s; "+
				"if one is starting or stopping, try again in a moment", cfg.Server.DataDir, path)}
		}
	}
}

// socketProblem returns nil if nobody is behind the socket, so that no server runs.
func socketProblem(err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return nil
	case errors.Is(err, fs.ErrPermission):
		return &ExitError{ExitUnreachable, fmt.Errorf("%w; run the command as the user that the server runs as, or use --url with an API key", err)}
	}
	return err
}

// takePlace makes this process the server.
func (s *session) takePlace(ctx context.Context, cfg config.Config) error {
	if s.env.Offline == nil {
		return &ExitError{ExitUnreachable, errors.New("no server runs on this host's configuration; start it with: sealpost serve")}
	}
	handler, closer, err := s.env.Offline(ctx, cfg)
	if err != nil {
		return err
	}
	s.closers = append(s.closers, closer.Close)
	s.offline = true
	s.use(apiclient.InProcess(handler))
	return nil
}

// needServer refuses what makes sense with a running server only.
func (s *session) needServer(what string) error {
	if !s.offline {
		return nil
	}
	return &ExitError{ExitUnreachable, fmt.Errorf("%s needs a running server, and none runs on this configuration; start it with: sealpost serve", what)}
}

// readSecret reads one line from standard input.
func (s *session) readSecret() (string, error) {
	const most = 4 << 10
	b, err := io.ReadAll(io.LimitReader(s.env.Stdin, most+1))
	if err != nil {
		return "", fmt.Errorf("read standard input: %w", err)
	}
	line, rest, _ := strings.Cut(string(b), "\n")
	line = strings.TrimSuffix(line, "\r")
	if line == "" || len(b) > most || strings.TrimSpace(rest) != "" {
		return "", usagef("standard input must be one line, which is the secret")
	}
	return line, nil
}
