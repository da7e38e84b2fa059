package smtptest

import (
	"bufio"
	"crypto/tls"
	"encoding/binary"
	"io"
	"net"
)

// tlsKeyword returns the EHLO line that offers TLS, or nothing.
func (x *session) tlsKeyword() string {
	b := &x.s.b
	switch {
	case b.STARTTLS == TLSNotOffered, b.STARTTLS == TLSOnlyInName:
		return ""
	case b.STARTTLS == TLSLowerCase:
		return "starttls"
	case b.STARTTLS == TLSOffered && b.TLSConfig == nil && b.Certificate.PrivateKey == nil:
		return ""
	}
	return "STARTTLS"
}

// starttls answers STARTTLS and does what the mode says.
func (x *session) starttls(c Command) error {
	b := &x.s.b
	reply := "220 2.0.0 ready"
	switch {
	case x.tls || x.tlsKeyword() == "":
		reply = "502 5.5.1 not offered"
	case b.STARTTLS == TLSReject && b.STARTTLSReply != "":
		reply = b.STARTTLSReply
	case b.STARTTLS == TLSReject:
		reply = "454 4.7.0 TLS not available"
	case b.STARTTLS == TLSCloseOnCommand:
		return errOver
	}
	if b.Inject != "" && reply[:3] == "220" {
		_, err := io.WriteString(x.conn, reply+"\r\n"+b.Inject)
		if err != nil {
			return err
		}
		return x.secure()
	}
	code, err := x.answer(c, reply)
	if err != nil || code != 220 {
		return err
	}
	return x.secure()
}

// secure reads the ClientHello, misbehaves if told to, and else completes TLS.
func (x *session) secure() error {
	mode := x.s.b.STARTTLS
	if mode == TLSCloseAfter220 {
		return errOver
	}
	hello, err := readHello(x.r)
	if err != nil {
		return err
	}
	x.s.note(func() { x.rec.HelloSize = len(hello) })
	big := len(hello) > BigHello
	switch {
	case mode == TLSStall, mode == TLSStallBigHello && big:
		x.absorb()
		return errOver
	case mode == TLSCloseAfterHello:
		return errOver
	case mode == TLSResetAfterHello, mode == TLSResetBigHello && big:
		x.pump.reset()
		return errOver
	case mode == TLSGarbage:
		_, _ = io.WriteString(x.conn, "500 5.5.1 what is this binary stuff?\r\n")
		return errOver
	case mode == TLSAlertAfterHello:
		_, _ = x.conn.Write([]byte{21, 3, 3, 0, 2, 2, 40})
		return errOver
	case mode == TLSStallAfterServer:
		_, _ = x.conn.Write([]byte{22, 3, 3, 0, 122, 2, 0, 0, 118, 3, 3})
		x.absorb()
		return errOver
	}
	return x.handshake(hello)
}

func (x *session) handshake(hello []byte) error {
	conn := tls.Server(&rereader{Conn: x.pump, r: x.r, head: hello}, x.tlsConfig())
	err := conn.Handshake()
	state := conn.ConnectionState()
	x.s.note(func() {
		x.rec.SNI, x.rec.Version, x.rec.TLS = state.ServerName, state.Version, err == nil
		if err != nil {
			x.rec.HandshakeErr = err.Error()
		}
	})
	if err != nil || x.s.b.STARTTLS == TLSLateClose {
		return errOver
	}
	x.tls = true
	x.conn, x.r = conn, bufio.NewReader(conn)
	x.clear()
	return nil
}

func (x *session) tlsConfig() *tls.Config {
	b := &x.s.b
	if b.TLSConfig != nil {
		return b.TLSConfig
	}
	config := &tls.Config{Certificates: []tls.Certificate{b.Certificate}}
	switch b.STARTTLS {
	case TLSOld:
		config.MinVersion, config.MaxVersion = tls.VersionTLS10, tls.VersionTLS11
	case TLSLateRejection:
		// The client has none, and learns only after its Finished that it needs one.
		config.MinVersion, config.ClientAuth = tls.VersionTLS13, tls.RequireAnyClientCert
	case TLSLateClose:
		config.MinVersion = tls.VersionTLS13
	}
	return config
}

// readHello reads the record with the ClientHello.
func readHello(r *bufio.Reader) ([]byte, error) {
	hello := make([]byte, 5)
	if _, err := io.ReadFull(r, hello); err != nil {
		return nil, err
	}
	body := make([]byte, binary.BigEndian.Uint16(hello[3:]))
	if _, err := io.ReadFull(r, body); err != nil {
		return nil, err
	}
	return append(hello, body...), nil
}

// A rereader gives back octets that were read before TLS took over.
type rereader struct {
	net.Conn
	head []byte
	r    *bufio.Reader
}

func (c *rereader) Read(p []byte) (int, error) {
	if len(c.head) > 0 {
		n := copy(p, c.head)
		c.head = c.head[n:]
		return n, nil
	}
	return c.r.Read(p)
}
