package submission

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"runtime/debug"
	"time"

	"github.com/sealpost/sealpost/internal/accept"
	"github.com/sealpost/sealpost/internal/mail"
)

const (
	maxLine     = 2048   // octets of a command line with its CRLF
	maxAuthLine = 12_288 // octets of a line within AUTH
	maxBad      = 10     // commands nobody should send, per session
	maxLogins   = 3      // failed logins per session

	handshakeTimeout = 30 * time.Second
	// earlyTalk is how long we listen before the greeting. Who talks first does not
	// speak SMTP, or speaks what somebody else wrote for it (SEC-08).
	earlyTalk = 10 * time.Millisecond

	lingerTime   = 2 * time.Second
	lingerOctets = 1 << 20
)

var errBadLine = errors.New("command line is too long or not ended by CRLF")

// A session is one connection. All its fields but in belong to its goroutine.
type session struct {
	server  *Server
	conn    net.Conn
	addr    netip.Addr
	network netip.Prefix
	trusted bool
	byProxy bool     // begins with a PROXY header; until it was read, addr is the proxy's
	raw     net.Conn // beneath TLS

	in     *meter
	br     *bufio.Reader
	out    *bufio.Writer
	secure bool // inside TLS

	login  string // who authenticated; empty: nobody did
	domain string // its sending domain

	helo  bool
	esmtp bool
	tx    transaction

	bad, logins int // bad commands, failed logins
	commands    int // since the last accepted message
}

// A transaction is what MAIL and RCPT said. Its zero value is "none".
type transaction struct {
	open       bool
	sender     accept.Sender
	path       mail.Address
	recipients []mail.Address
	utf8       bool
	requireTLS bool
	dsn        mail.DSN // what it says about notices
}

// add takes a recipient. Of one that is named twice, all occasions count.
func (tx *transaction) add(a rcptArgs) {
	tx.recipients = append(tx.recipients, a.address)
	if a.dsn == (mail.RecipientDSN{}) {
		return
	}
	said, before := tx.dsn.Recipients[a.address.Key()]
	if before {
		if a.dsn.Original == "" {
			a.dsn.Original = said.Original
		}
		if a.dsn.Notify |= said.Notify; a.dsn.Notify != mail.NotifyNever {
			a.dsn.Notify &^= mail.NotifyNever
		}
	}
	if tx.dsn.Recipients == nil {
		tx.dsn.Recipients = map[string]mail.RecipientDSN{}
	}
	tx.dsn.Recipients[a.address.Key()] = a.dsn
}

// submission is what the room behind the door is given.
func (tx *transaction) submission(content io.Reader) accept.Submission {
	return accept.Submission{
		Sender: tx.sender, ReversePath: tx.path, Recipients: tx.recipients, Raw: content, RequireTLS: tx.requireTLS,
		DSN: tx.dsn.Only(tx.recipients),
	}
}

func newSession(s *Server, conn net.Conn, implicitTLS bool) *session {
	ss := &session{server: s, conn: conn, raw: conn, secure: implicitTLS, addr: hostOf(conn.RemoteAddr())}
	if ss.byProxy = within(s.cfg.Proxies, ss.addr); !ss.byProxy {
		ss.network, ss.trusted = networkOf(ss.addr), within(s.cfg.Trusted, ss.addr)
	}
	if implicitTLS {
		ss.conn = tls.Server(conn, s.tls)
	}
	ss.in = newMeter(ss.conn)
	ss.attach()
	return ss
}

// attach makes fresh buffers over the connection. What an old buffer held is gone.
func (ss *session) attach() {
	ss.in.use(ss.conn)
	ss.br = bufio.NewReaderSize(ss.in, maxAuthLine)
	ss.out = bufio.NewWriterSize(&deadlineWriter{ss.conn}, 4096)
}

// serve runs the session to its end.
func (ss *session) serve(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer func() {
		if p := recover(); p != nil { // REL-09: one message harms one session
			ss.log(ctx, slog.LevelError, "panic in session", "panic", p, "stack", string(debug.Stack()))
		}
	}()
	if !ss.begin(ctx) {
		return
	}
	for {
		c, err := ss.next()
		if err != nil {
			ss.close(readFailure(err))
			return
		}
		if last := ss.do(ctx, c); last {
			return
		}
	}
}

// next reads the next command. What was said before is sent first, unless the client
// did not wait for it (RFC 2920).
func (ss *session) next() (command, error) {
	if ss.br.Buffered() == 0 {
		if err := ss.out.Flush(); err != nil {
			return command{}, err
		}
	}
	ss.in.awaitCommand()
	line, err := ss.readLine(maxLine)
	if err != nil {
		return command{}, err
	}
	ss.in.gotCommand()
	return parseCommand(line), nil
}

// begin brings the session to its greeting.
func (ss *session) begin(ctx context.Context) bool {
	if ss.byProxy {
		refusal, err := ss.proxied(ss.raw)
		if err != nil {
			ss.log(ctx, slog.LevelInfo, "no PROXY header from a proxy", "cause", err)
			return false
		}
		if refusal != nil {
			if !ss.secure {
				ss.close(refusal)
			}
			return false
		}
	}
	if ss.secure {
		if !ss.handshake(ctx) {
			return false
		}
	} else if ss.talksEarly() {
		ss.log(ctx, slog.LevelInfo, "client talked before the greeting")
		ss.close(&reply{554, "5.5.1", "You talk too soon"})
		return false
	}
	ss.say(&reply{220, "", ss.server.cfg.Hostname + " ESMTP Sealpost ready"})
	return true
}

// talksEarly reports whether something can be read already.
func (ss *session) talksEarly() bool {
	ss.conn.SetReadDeadline(time.Now().Add(earlyTalk))
	var one [1]byte
	n, _ := ss.conn.Read(one[:])
	return n > 0
}

// handshake makes the connection a TLS one. After it fails the session is over:
// nothing is ever read in the clear from a connection that was to be TLS (SEC-05).
func (ss *session) handshake(ctx context.Context) bool {
	conn, ok := ss.conn.(*tls.Conn)
	if !ok {
		conn = tls.Server(ss.conn, ss.server.tls)
	}
	ss.conn = conn
	conn.SetDeadline(time.Now().Add(handshakeTimeout))
	if err := conn.HandshakeContext(ctx); err != nil {
		ss.log(ctx, slog.LevelInfo, "handshake failed", "cause", err)
		return false
	}
	conn.SetDeadline(time.Time{})
	ss.secure = true
	ss.attach()
	return true
}

// reset forgets the transaction. It is the only place that does (SEC-04).
func (ss *session) reset() { ss.tx = transaction{} }

// readLine reads one line of at most limit octets and returns it without CRLF.
// A line that is too long, ends in a bare LF, or holds a CR or NUL is errBadLine.
func (ss *session) readLine(limit int) (string, error) {
	line, err := ss.br.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) || err == nil && len(line) > limit {
		return "", errBadLine
	}
	if err != nil {
		return "", err
	}
	if len(line) < 2 || line[len(line)-2] != '\r' {
		return "", errBadLine
	}
	line = line[:len(line)-2]
	for _, c := range line {
		if c == '\r' || c == 0 {
			return "", errBadLine
		}
	}
	return string(line), nil
}

// say puts a reply into the output; it is sent when the client waits for it.
func (ss *session) say(r *reply) { ss.out.WriteString(r.String()) }

// close says a last reply, if there is one, and ends the connection so that the
// client can read it: closing with unread input would reset the connection.
func (ss *session) close(last *reply) {
	if last == nil {
		return
	}
	ss.say(last)
	if ss.out.Flush() != nil {
		return
	}
	if half, ok := ss.conn.(interface{ CloseWrite() error }); ok {
		half.CloseWrite()
	}
	ss.conn.SetReadDeadline(time.Now().Add(lingerTime))
	io.Copy(io.Discard, io.LimitReader(ss.conn, lingerOctets))
}

func (ss *session) log(ctx context.Context, level slog.Level, msg string, args ...any) {
	ss.server.log.Log(ctx, level, msg, append([]any{"client", ss.addr.String()}, args...)...)
}

// A deadlineWriter gives every write a deadline of its own.
type deadlineWriter struct{ conn net.Conn }

func (w *deadlineWriter) Write(p []byte) (int, error) {
	if err := w.conn.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return 0, err
	}
	return w.conn.Write(p)
}
