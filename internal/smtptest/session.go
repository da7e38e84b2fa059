package smtptest

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"strconv"
	"strings"
	"time"
)

// maxContent bounds a message, and a line, so that a broken client cannot eat
// the machine.
const maxContent = 256 << 20

// errOver ends a session.
var errOver = errors.New("session is over")

// A session is one connection that is being served.
type session struct {
	s    *Server
	rec  *Connection
	pump *pump
	conn net.Conn // the pump, or TLS over it
	r    *bufio.Reader
	open int // connections at once when this one came

	tls    bool
	counts map[string]int

	before func(code int) // told the code of a reply before it leaves

	mail    bool
	from    string
	params  string
	rcpts   []string
	chunks  []byte
	chunked bool
}

func newSession(s *Server, p *pump, rec *Connection, open int) *session {
	return &session{s: s, rec: rec, pump: p, conn: p, r: bufio.NewReader(p), open: open, counts: make(map[string]int)}
}

func (x *session) run() {
	greeting := "220 " + x.s.b.Host + " ESMTP"
	if n := x.s.b.MaxConns; n > 0 && x.open > n {
		greeting = "421 4.7.0 too many connections"
	}
	code, err := x.answer(x.command("GREETING", ""), greeting)
	if code == 421 {
		return
	}
	for err == nil {
		var line string
		if line, err = x.line(); err == nil {
			err = x.handle(line)
		}
	}
}

// line reads one command line.
func (x *session) line() (string, error) {
	line, err := x.r.ReadString('\n')
	return strings.TrimRight(line, "\r\n"), err
}

func verbOf(line string) string {
	verb, _, _ := strings.Cut(line, " ")
	return strings.ToUpper(verb)
}

// command records that something is about to be answered.
func (x *session) command(verb, line string) Command {
	x.counts[verb]++
	c := Command{Verb: verb, Line: line, Conn: x.rec.N, N: x.counts[verb], TLS: x.tls, At: time.Now()}
	if verb != "GREETING" {
		x.s.note(func() { x.rec.Commands = append(x.rec.Commands, c) })
	}
	return c
}

// answer replies to c, normally with reply, and returns the code that was sent,
// or 0 if the reply had none.
func (x *session) answer(c Command, reply string) (code int, err error) {
	var a Action
	if x.s.b.On != nil {
		a = x.s.b.On(c)
	}
	if r, ok := x.s.b.Replies[c.Verb]; ok {
		reply = r
	}
	if a.Reply != "" {
		reply = a.Reply
	}
	wait(a.Delay)
	out := strings.ReplaceAll(strings.TrimRight(reply, "\r\n"), "\n", "\r\n") + "\r\n"
	if a.Raw != "" {
		out = a.Raw
	}
	code, _ = strconv.Atoi(out[:min(3, len(out))])
	if x.before != nil && a.Flood == "" && !a.Silent {
		x.before(code)
	}
	stops := x.s.b.StopReading == c.Verb
	if stops { // before the client can send what the answer asks for
		x.pump.pause()
	}
	switch {
	case a.Flood != "":
		return 0, x.flood(a.Flood)
	case a.Silent && (a.Close || a.Reset):
	case a.Silent:
		x.absorb()
		return 0, errOver
	case a.Drip > 0:
		err = drip(x.conn, out, a.Drip)
	default:
		_, err = io.WriteString(x.conn, out)
	}
	if a.Reset {
		x.pump.reset()
		return 0, errOver
	}
	if a.Close {
		return 0, errOver
	}
	if err == nil && stops {
		x.absorb()
		return 0, errOver
	}
	return code, err
}

func wait(d time.Duration) {
	if d > 0 {
		time.Sleep(d) // only where a test asks for it; virtual time within synctest
	}
}

func drip(w io.Writer, text string, every time.Duration) error {
	for i := range len(text) {
		wait(every)
		if _, err := io.WriteString(w, text[i:i+1]); err != nil {
			return err
		}
	}
	return nil
}

func (x *session) flood(text string) error {
	block := []byte(strings.Repeat(text, max(1, 16<<10/len(text))))
	for {
		if _, err := x.conn.Write(block); err != nil {
			return err
		}
	}
}

// absorb reads until the client goes away, and answers nothing.
func (x *session) absorb() { _, _ = io.Copy(io.Discard, x.r) }

// handle answers one command line.
func (x *session) handle(line string) error {
	c := x.command(verbOf(line), line)
	if c.Verb == "BDAT" {
		return x.bdat(line)
	}
	if c.Verb == "STARTTLS" {
		return x.starttls(c)
	}
	code, err := x.answer(c, x.normal(c))
	if err != nil {
		return err
	}
	switch ok := code/100 == 2; c.Verb {
	case "EHLO", "HELO", "RSET":
		if ok {
			x.clear()
		}
	case "MAIL":
		if ok {
			x.mail = true
			x.from, x.params = cutPath(line)
		}
	case "RCPT":
		if ok {
			address, _ := cutPath(line)
			x.rcpts = append(x.rcpts, address)
		}
	case "DATA":
		if code == 354 {
			return x.data()
		}
	case "QUIT":
		return errOver
	}
	return nil
}

// normal returns an honest server's reply.
func (x *session) normal(c Command) string {
	b := &x.s.b
	switch c.Verb {
	case "EHLO":
		return x.ehlo()
	case "HELO":
		return "250 " + b.Host
	case "MAIL":
		switch {
		case b.RequireTLS && !x.tls && b.RequireTLSReply != "":
			return b.RequireTLSReply
		case b.RequireTLS && !x.tls:
			return "530 5.7.0 Must issue a STARTTLS command first"
		case x.mail:
			return "503 5.5.1 nested MAIL"
		}
		return "250 2.1.0 OK"
	case "RCPT":
		if !x.mail {
			return "503 5.5.1 MAIL first"
		}
		address, _ := cutPath(c.Line)
		if b.Rcpt != nil {
			if r := b.Rcpt(address); r != "" {
				return r
			}
		}
		return "250 2.1.5 OK"
	case "DATA":
		if len(x.rcpts) == 0 {
			return "554 5.5.1 no valid recipients"
		}
		return "354 go ahead"
	case "RSET", "NOOP":
		return "250 2.0.0 OK"
	case "QUIT":
		return "221 2.0.0 bye"
	}
	return "502 5.5.2 not implemented"
}

func (x *session) ehlo() string {
	lines := []string{x.s.b.Host + " greets you"}
	if x.tls {
		lines = append(lines, x.s.b.TLSExtensions...)
	} else {
		lines = append(lines, x.s.b.Extensions...)
		if keyword := x.tlsKeyword(); keyword != "" {
			lines = append(lines, keyword)
		}
	}
	var b strings.Builder
	for i, line := range lines {
		sep := "-"
		if i == len(lines)-1 {
			sep = " "
		}
		b.WriteString("250" + sep + line + "\n")
	}
	return b.String()
}

// cutPath splits "MAIL FROM:<path> params".
func cutPath(line string) (path, params string) {
	_, rest, _ := strings.Cut(line, "<")
	quoted := false
	for i := range len(rest) {
		switch {
		case quoted && rest[i] == '\\':
		case rest[i] == '"' && (i == 0 || rest[i-1] != '\\'):
			quoted = !quoted
		case rest[i] == '>' && !quoted:
			return rest[:i], strings.TrimSpace(rest[i+1:])
		}
	}
	return rest, ""
}

func (x *session) clear() {
	x.mail, x.from, x.params, x.rcpts, x.chunks, x.chunked = false, "", "", nil, nil, false
}

// data reads content up to CRLF.CRLF and nothing else.
func (x *session) data() error {
	var content []byte
	start := true
	for {
		line, err := x.r.ReadSlice('\n')
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return err
		}
		if start && string(line) == ".\r\n" {
			return x.message("DOT", content)
		}
		if start && len(line) > 0 && line[0] == '.' {
			line = line[1:]
		}
		if content = append(content, line...); len(content) > maxContent {
			return errOver
		}
		start = bytes.HasSuffix(content, []byte("\r\n"))
	}
}

// bdat takes one chunk (RFC 3030). The command is recorded already.
func (x *session) bdat(line string) error {
	args := strings.Fields(line)[1:]
	if len(args) == 0 {
		_, err := x.answer(Command{Verb: "BDAT", Line: line, Conn: x.rec.N, TLS: x.tls}, "501 5.5.4 size?")
		return err
	}
	size, err := strconv.ParseUint(args[0], 10, 32)
	if err != nil || size > maxContent {
		return errOver
	}
	chunk := make([]byte, size)
	if _, err := io.ReadFull(x.r, chunk); err != nil {
		return err
	}
	x.chunked = true
	x.chunks = append(x.chunks, chunk...)
	if len(args) > 1 && strings.EqualFold(args[1], "LAST") {
		return x.message("LAST", x.chunks)
	}
	reply := "250 2.0.0 chunk taken"
	if len(x.rcpts) == 0 {
		reply = "503 5.5.1 no valid recipients"
	}
	c := Command{Verb: "BDAT", Line: line, Conn: x.rec.N, N: x.counts["BDAT"], TLS: x.tls, At: time.Now()}
	_, err = x.answer(c, reply)
	return err
}

// message records complete content and answers it.
func (x *session) message(verb string, content []byte) error {
	reply := "250 2.0.0 taken"
	if len(x.rcpts) == 0 {
		reply = "503 5.5.1 no valid recipients"
	}
	m := Message{
		From: x.from, Params: x.params, Recipients: x.rcpts, Content: content,
		Chunked: x.chunked, TLS: x.tls, Conn: x.rec.N,
	}
	i := len(x.rec.Messages) // only this goroutine appends
	c := x.command(verb, "")
	x.s.note(func() { x.rec.Messages = append(x.rec.Messages, m) })
	x.before = func(code int) {
		x.s.note(func() { x.rec.Messages[i].Accepted = code/100 == 2 && len(m.Recipients) > 0 })
	}
	_, err := x.answer(c, reply)
	x.before = nil
	x.clear()
	return err
}
