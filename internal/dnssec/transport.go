package dnssec

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"time"
)

// exchange asks one server once: by UDP, and by TCP when that answer is cut. Its AD bit
// counts if believed is set.
func (s *Stub) exchange(ctx context.Context, srv server, q question, hops int, believed bool) reading {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Try)
	defer cancel()

	id := uint16(rand.Uint32()) // from the system's randomness, as is the source port
	query, err := newQuery(q, id)
	if err != nil {
		return fail(BadName, err)
	}
	packet, err := s.overUDP(ctx, srv, query, q, id)
	if err != nil {
		return fail(reasonFor(err), err)
	}
	if isTruncated(packet) {
		packet, err = s.overTCP(ctx, srv, query)
		switch {
		case err != nil && reasonFor(err) == Network:
			return fail(Truncated, err)
		case err != nil:
			return fail(reasonFor(err), err)
		case !answers(packet, q, id):
			return fail(Malformed, errors.New("not a response to what was asked"))
		case isTruncated(packet):
			return fail(Truncated, nil)
		}
	}
	return read(packet, q, hops, believed)
}

// reasonFor tells a server that is silent from one that is not there.
func reasonFor(err error) Reason {
	switch {
	case errors.Is(err, context.Canceled):
		return Canceled
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded):
		return Timeout
	}
	return Network
}

// dial connects and gives the connection the context's end.
func (s *Stub) dial(ctx context.Context, network string, srv server) (net.Conn, func(), error) {
	conn, err := s.cfg.Dial(ctx, network, srv.addr)
	if err != nil {
		return nil, nil, err
	}
	if deadline, ok := ctx.Deadline(); ok {
		if err := conn.SetDeadline(deadline); err != nil {
			conn.Close()
			return nil, nil, err
		}
	}
	// Cancelling must not wait for the deadline.
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	return conn, func() { stop(); conn.Close() }, nil
}

// overUDP returns the first datagram that answers the question. Others, from
// earlier queries or from somebody who guesses, are passed over until the time
// is up.
func (s *Stub) overUDP(ctx context.Context, srv server, query []byte, q question, id uint16) ([]byte, error) {
	conn, end, err := s.dial(ctx, "udp", srv)
	if err != nil {
		return nil, err
	}
	defer end()
	if _, err := conn.Write(query); err != nil {
		return nil, err
	}
	packet := make([]byte, 4096) // some send more than they were told to
	for {
		n, err := conn.Read(packet)
		if err != nil {
			return nil, err
		}
		if answers(packet[:n], q, id) {
			return packet[:n], nil
		}
	}
}

// overTCP returns one message of at most 64 KiB (RFC 1035 section 4.2.2).
func (s *Stub) overTCP(ctx context.Context, srv server, query []byte) ([]byte, error) {
	conn, end, err := s.dial(ctx, "tcp", srv)
	if err != nil {
		return nil, err
	}
	defer end()
	if _, err := conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(query))), query...)); err != nil {
		return nil, err
	}
	var size [2]byte
	if _, err := io.ReadFull(conn, size[:]); err != nil {
		return nil, err
	}
	packet := make([]byte, binary.BigEndian.Uint16(size[:]))
	if _, err := io.ReadFull(conn, packet); err != nil {
		return nil, err
	}
	return packet, nil
}
